"""Agreement of judges on the same answers: Krippendorff's alpha for interval data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics.intervals import bounds, resampled_sums
from trainers.evaluation.paired_tests import Answer


def krippendorff_alpha(
    ratings: Sequence[Sequence[float | None]], *, resamples: int = 2000, seed: int = 0
) -> dict[str, float]:
    """Krippendorff's alpha, with differences squared (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability").

    1 is perfect agreement, 0 chance, below 0 systematic disagreement. Units with fewer than two ratings do not count.

    Args:
        ratings: For each unit (an answer) the ratings of all judges, None for a missing one. Shape [units, judges].
        resamples: Number of bootstrap resamples of units.
        seed: Seed of the resampling.

    Returns:
        ``alpha``, its 95% bounds ``low`` and ``high``, and ``n``, the number of units that count. NaN for fewer than two
        units, or if all ratings are equal.
    """
    rows = []
    for unit in ratings:
        known = np.array([value for value in unit if value is not None], dtype=np.float64)
        m = len(known)
        if m > 1:
            within = 2 * (m * float(known @ known) - float(known.sum()) ** 2) / (m - 1)
            rows.append([within, m, float(known.sum()), float(known @ known)])
    if len(rows) < 2:
        return {"alpha": math.nan, "low": math.nan, "high": math.nan, "n": len(rows)}
    units = np.array(rows)
    low, high = bounds(_alpha(resampled_sums(units, resamples, seed)))
    return {"alpha": float(_alpha(units.sum(axis=0)[None])[0]), "low": low, "high": high, "n": len(rows)}


def _alpha(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Alpha from sums over units: disagreement within units, count, sum and sum of squares of ratings. Shape [draws, 4]."""
    within, n, total, squares = sums.T
    expected = 2 * (n * squares - total**2) / (n - 1)
    # Equal ratings leave rounding errors.
    known = expected > 1e-9 * np.maximum(1.0, squares)
    return np.where(known, 1 - within / np.where(known, expected, 1.0), math.nan)


def agreement(answers: Sequence[Answer], dimensions: Sequence[str], judges: Sequence[str]) -> dict[str, Any]:
    """Alpha of several judges on each dimension; empty for a single judge.

    Args:
        answers: Answers with ratings under ``judges``; equal answers to a question count once.
        dimensions: Dimensions of the rubric.
        judges: Names of the judges.
    """
    if len(judges) < 2:
        return {}
    each = list({(a["question"], a["answer"]): a for a in answers}.values())
    return {d: krippendorff_alpha([[a["judges"][j][d] for j in judges] for a in each]) for d in dimensions}
