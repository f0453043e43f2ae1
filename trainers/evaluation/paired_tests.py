"""Paired tests of two models on the same questions, pairs or items, which are the independent units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from sandbox.metrics.intervals import mean_interval

# A record of :func:`trainers.evaluation.answering.generate_answers`, rated.
Answer: TypeAlias = Mapping[str, Any]


def score_by_question(answers: Sequence[Answer], dimension: str, judge: str | None = None) -> dict[str, float]:
    """Mean score of each question's answers: questions are the independent draws, not answers.

    Args:
        answers: Of one model.
        dimension: Of the rubric.
        judge: Whose ratings; None for the mean of all judges.
    """
    found: dict[str, list[float]] = {}
    for answer in answers:
        value = (answer["scores"] if judge is None else answer["judges"][judge])[dimension]
        if value is not None:
            found.setdefault(answer["question"], []).append(value)
    return {question: float(np.mean(values)) for question, values in found.items()}


def paired(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, Any]:
    """A paired test over what both have: mean difference, 95% t interval, n, and the p value of Student's t.

    Args:
        ours: A number for each question.
        theirs: What it is compared with.
    """
    both = [ours[q] - theirs[q] for q in ours if q in theirs]
    return {**mean_interval(both)._asdict(), "p": paired_p(both)}


def paired_p(differences: Sequence[float]) -> float:
    """Two-sided p value of the paired t test; NaN for fewer than two differences, or where all are alike."""
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    if spread == 0:
        return math.nan
    # Imports half a second faster than scipy.stats.
    from scipy.special import stdtr

    t = float(np.mean(differences)) / (spread / np.sqrt(len(differences)))
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


def mcnemar_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided exact p value of McNemar's test: are two models right equally often on the same items?

    Args:
        ours: Whether a model is right on each item: 1 or 0, or 0.5 where no answer is the better one.
        theirs: The same of the other.

    Returns:
        From the binomial of the items on which one alone is right; 1 where there are none.
    """
    won = sum(a > b for a, b in zip(ours, theirs, strict=True))
    lost = sum(b > a for a, b in zip(ours, theirs, strict=True))
    if won + lost == 0:
        return 1.0
    # Imports half a second faster than scipy.stats.
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(won, lost), won + lost, 0.5)))
