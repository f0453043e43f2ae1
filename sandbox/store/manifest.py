"""What a run says of itself: its identity, which a resumed run must share, and the versions it was made with."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sandbox.errors import RunExists
from sandbox.scenario.scenario import Scenario

_PACKAGES = ("mesa", "networkx", "numpy", "torch", "transformers", "trl", "peft", "sentence-transformers")


def short_hash(text: str) -> str:
    """A short hash of a text (16 hex digits)."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def scenario_identity(scenario: Scenario) -> dict[str, Any]:
    """What a scenario was, without its texts."""
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
    if scenario.roles:
        found["roles"] = {label: short_hash(words) for label, words in scenario.roles.items()}
    return found


def doc_summary(function: Any) -> str:
    """The first line of a function's docstring; empty where it has none."""
    return (inspect.getdoc(function) or "").strip().partition("\n")[0]


def environment() -> dict[str, Any]:
    """Versions, and the time."""
    return {
        "sandbox": package_version("social-sandbox"),
        "versions": {"python": platform.python_version(), **{p: package_version(p) for p in _PACKAGES}},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "tokens": {"calls": 0, "prompt": 0, "completion": 0},
    }


def check_same(path: Any, kept: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Refuse to go on with a run under another identity.

    Raises:
        RunExists: names every part that differs.
    """
    faults = []
    for name, value in ours.items():
        if kept.get(name) != value:
            faults += _differences(name, kept.get(name), value)
    if faults:
        raise RunExists(
            f"{path} holds another run: "
            + "; ".join(faults)
            + ". Resume it with its own settings, or choose another --out"
        )


def _differences(name: str, theirs: Any, ours: Any) -> list[str]:
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        keys = [k for k in {**theirs, **ours} if theirs.get(k) != ours.get(k)]
        return [line for k in keys for line in _differences(f"{name}.{k}", theirs.get(k), ours.get(k))]
    return [f"its {name} is {theirs!r}, not {ours!r}"]


def package_version(package: str) -> str:
    """The installed version of a package, or ``not installed``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def command_line() -> str:
    """The command this process was started with, as one would type it."""
    return shlex.join(["sandbox", *sys.argv[1:]])
