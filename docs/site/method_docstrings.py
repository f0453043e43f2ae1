"""Docstrings of trainers as data: the loss, the metrics, when a method suits and when it fails.

The docstring of each built-in trainer has the sections ``Loss``, ``Suits`` and ``Fails``, and names a paper; ``Logs`` lists
what it logs beyond the metrics of all trainers, and is inherited. Knows no pages.
"""

from __future__ import annotations

import fnmatch
import inspect
import re
from collections.abc import Iterable

from trainers.finetuning import metric_names

SECTIONS = ("Loss", "Logs", "Suits", "Fails")
NEEDED = ("Loss", "Suits", "Fails")
# In every record of a history, beside the metrics.
PROGRESS = ("step", "epoch", "learning_rate", "grad_norm")
# Named for all trainers, but not logged by all.
_OF_SOME = ("reward_margin", "preference_accuracy")


def sections(kind: type) -> dict[str, str]:
    """The parts of a trainer's docstring: ``About``, and each section by its name.

    Raises:
        ValueError: a section or the paper is missing; names all that is.
    """
    found = _parts(kind)
    missing = [f"the section {name}:" for name in NEEDED if not found.get(name)]
    if "arXiv:" not in found["About"]:
        missing.append("its paper, as (arXiv:NUMBER)")
    if "$$" not in found.get("Loss", "$$"):
        missing.append("a formula between $$ in Loss")
    if missing:
        raise ValueError(f"the docstring of {kind.__module__}.{kind.__qualname__} lacks {', '.join(missing)}")
    return found


def metrics(kind: type) -> dict[str, str]:
    """What a trainer logs, also by its base classes: name, or pattern of names with ``*``, -> description."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= _definitions(_parts(base).get("Logs", "")) if "Logs:" in (base.__doc__ or "") else {}
    return found | {name: words for name, words in of_all_trainers().items() if name not in found}


def of_all_trainers() -> dict[str, str]:
    """Metrics of all trainers, from the table of :mod:`trainers.finetuning.metric_names`."""
    table = (metric_names.__doc__ or "").split("=" * 20)
    rows = re.findall(r"^``(\w+)`` +(.*(?:\n {10,}.*)*)", "".join(table), flags=re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in rows if name not in _OF_SOME}


def undocumented(kind: type, logged: Iterable[str]) -> list[str]:
    """Names in a history that no docstring names."""
    known = [*metrics(kind), *PROGRESS]
    return [name for name in logged if not any(fnmatch.fnmatchcase(name, pattern) for pattern in known)]


def _parts(kind: type) -> dict[str, str]:
    text = inspect.cleandoc(kind.__doc__ or "")
    headings = "|".join(SECTIONS)
    about, *rest = re.split(rf"^({headings}):\n", text, flags=re.MULTILINE)
    bodies = (inspect.cleandoc("\n" + body) for body in rest[1::2])
    return {"About": about.strip(), **dict(zip(rest[::2], bodies, strict=True))}


def _definitions(text: str) -> dict[str, str]:
    rows = re.findall(r"^([\w/*]+): (.*(?:\n +.*)*)", text, flags=re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in rows}
