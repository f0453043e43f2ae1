"""What files hold, as the program says it: for the page of file formats, and for tests that nothing is left out."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Mapping
from typing import Any

# Files of a run folder, beside figures and pages that are asked for.
RUN_FOLDER: dict[str, str] = {
    "manifest.json": "What the run is: scenario, models, seed, settings, versions.",
    "run.sqlite": "The record; while a process writes, also run.sqlite-wal and run.sqlite-shm.",
    "measures.json": "Metrics of the whole run, with intervals.",
    "run.lock": "Held by the process that writes.",
    "figures": "Figures of sandbox plot.",
    "report.html": "Page of sandbox report.",
}


def unnamed(fields: Mapping[str, str], value: Any, prefix: str = "") -> list[str]:
    """Keys of JSON that have no words; an object none of whose keys are named may hold any.

    Args:
        fields: Name, with a dot before each inner name, and ``*`` for any -> words.
        value: What a file holds.
        prefix: Of the names, with a dot.
    """
    if isinstance(value, list):
        return [name for one in value for name in unnamed(fields, one, prefix)]
    inner = [name for name in fields if name.startswith(prefix)]
    if not isinstance(value, Mapping) or not inner:
        return []
    found = []
    for key, content in value.items():
        name = f"{prefix}{key}"
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in inner):
            found.append(name)
        found += unnamed(fields, content, f"{name}.")
    return found


def described(owner: Callable[..., Any]) -> dict[str, str]:
    """Descriptions of attributes and arguments in the docstring of a class or a function, those of base classes too."""
    import griffe  # comes with mkdocs; all else here works without it

    found: dict[str, str] = {}
    for base in reversed(owner.__mro__ if inspect.isclass(owner) else (owner,)):
        if base is object or not base.__doc__:
            continue
        for section in griffe.Docstring(inspect.cleandoc(base.__doc__)).parse("google", warnings=False):
            if section.kind.value in ("attributes", "parameters"):
                found |= {one.name: one.description for one in section.value}
    return found
