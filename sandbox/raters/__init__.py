"""Raters of answers, one file per kind; ``base.py`` is their contract."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Rater": "base",
    "RatingRole": "base",
    "load_rater": "base",
    "LMRater": "lm",
    "ValuesRater": "values",
    "ProbeRater": "probe",
    "RewardRater": "reward",
}


def __getattr__(name: str) -> Any:
    """The contract and the included classes by name, imported when they are first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
