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
