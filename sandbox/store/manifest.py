"""Parts of a manifest: the identity of the scenario, versions, and the command line."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import platform
import shlex
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sandbox.scenario.scenario import Scenario

# What the keys of manifest.json mean; names within an object follow a dot. An object whose keys are not named
# holds any.
FIELDS: dict[str, str] = {
    "schema": "Version of the format of run.sqlite; another one is refused.",
    "command": "Command that repeats the run; empty for runs from Python.",
    "scenario": "Name of the scenario.",
    "scenario_source": "What the scenario was loaded from, and its settings.",
    "questions": "Number of questions (n), where they came from (source), and the hash of their texts.",
    "protocol": "Name of the protocol; of several stages, joined by +.",
    "stages": "Names of the stages, if there are several.",
    "groups": "True if agents talk in groups.",
    "rubric": "Names of the dimensions, and the highest rating (scale).",
    "prompts": "Hash of each prompt template.",
    "personas": "Number of personas (n), where they came from (source), and their hash.",
    "speakers": "Hash of the words of each speaker that is no agent.",
    "roles": "Hash of the role of each label.",
    "size": "Size of the grid, or the square root of the number of agents.",
    "population": "Population setting, or the share of each label.",
    "seed": "Seed of all random numbers of the run.",
    "models": "URI and fingerprint of the language models of agents and observer; dealt: those of labels or shares.",
    "model_settings": "Settings of models that differ from their defaults.",
    "raters": "Raters of neighbours and of the observer.",
    "embedder": "Name of the sentence embedder.",
    "embedding_dim": "Length of its vectors.",
    "settings": "Settings of the society, with those that are defaults; see the page of settings.",
    "network": "Nodes, links, and hashes of the network, if there is one.",
    "event": "The event given from outside: its round, text and receivers, or its function.",
    "from": "Run and number of rounds from which the run branches.",
    "birth_seed": "Seed of the agents of the first run of a branch.",
    "upbringing": "Labels whose agents have an upbringing.",
    "notes": "Warnings, for example of parameters that a server rejected.",
    "measures": "First line of the docstring of each measure of the scenario.",
    "measure_axes": "Unit, limits and panel of measures that have them.",
    "rewards": "Description, discount and unit of each reward.",
    "sandbox": "Version of the program.",
    "versions": "Versions of Python and of packages.",
    "started": "When the run began, in UTC.",
    "seconds": "Time spent, over all resumptions, in seconds.",
    "tokens": "Number of calls, and tokens of prompts and replies; cached, those from prefix caches; usd, if prices are known.",
    "ended": "Number of rounds after which the scenario's stop condition ended the run; null if it did not.",
}

_PACKAGES = ("mesa", "networkx", "numpy", "torch", "transformers", "trl", "peft", "sentence-transformers")


def short_hash(text: str) -> str:
    """A short hash of a text (16 hex digits)."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def scenario_identity(scenario: Scenario) -> dict[str, Any]:
    """The identity of a scenario: names, numbers and hashes of its texts."""
    rubric = scenario.rubric
    questions = "\n".join(scenario.questions)
    found = {
        "scenario": scenario.name,
        "questions": {"n": len(scenario.questions), "source": scenario.source, "hash": short_hash(questions)},
        "protocol": scenario.protocol_name,
        "rubric": {"dimensions": [d.name for d in rubric.dimensions], "scale": rubric.scale},
        "prompts": {name: short_hash(text) for name, text in asdict(scenario.prompts).items()},
    }
    if scenario.personas is not None:
        rows = [dict(row) for row in scenario.personas.rows]
        content = json.dumps([scenario.personas.template, rows], sort_keys=True, default=str)
        found["personas"] = {"n": len(rows), "source": scenario.personas.source, "hash": short_hash(content)}
    if scenario.speakers:
        found["speakers"] = {name: short_hash(words) for name, words in scenario.speakers.items()}
    if scenario.roles:
        found["roles"] = {label: short_hash(words) for label, words in scenario.roles.items()}
    return found


def doc_summary(function: Any) -> str:
    """The first line of a function's docstring; empty if it has none."""
    return (inspect.getdoc(function) or "").strip().partition("\n")[0]


def environment() -> dict[str, Any]:
    """Versions of Python and packages, and the current time."""
    return {
        "sandbox": package_version("social-sandbox"),
        "versions": {"python": platform.python_version(), **{p: package_version(p) for p in _PACKAGES}},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "tokens": {"calls": 0, "prompt": 0, "completion": 0},
    }


@functools.cache  # reading it takes milliseconds, and environments make many runs
def package_version(package: str) -> str:
    """The installed version of a package, or ``not installed``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def command_line() -> str:
    """The command line of this process, quoted for a shell."""
    return shlex.join(["sandbox", *sys.argv[1:]])
