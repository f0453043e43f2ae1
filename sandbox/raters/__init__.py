"""Raters of answers, one file per kind; ``base.py`` is their contract."""

from __future__ import annotations

from sandbox.lazy_imports import lazy_names

_HOMES = {
    "Rater": "sandbox.raters.base",
    "RatingRole": "sandbox.raters.base",
    "load_rater": "sandbox.raters.base",
    "LMRater": "sandbox.raters.lm",
    "ValuesRater": "sandbox.raters.values",
    "ProbeRater": "sandbox.raters.probe",
    "RewardRater": "sandbox.raters.reward",
}
__getattr__ = lazy_names(__name__, _HOMES)
