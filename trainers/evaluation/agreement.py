"""How far judges agree on the same answers: Krippendorff's alpha for ratings on an interval scale."""

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

    1 is agreement, 0 what chance gives, below 0 is systematic disagreement. Units with fewer than two ratings do not count.

    Args:
        ratings: For each unit (an answer) the ratings of all judges, None where one has none. Shape [units, judges].
        resamples: Bootstrap draws of units for the interval.
        seed: Of the draws.

    Returns:
        ``alpha``, its 95% bounds ``low`` and ``high``, and ``n``, how many units count. NaN where nothing can be said: with
        fewer than two units, or where all ratings are one number.
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
    """From sums over units: disagreement within them, ratings, their sum, the sum of their squares. Shape [draws, 4]."""
    within, n, total, squares = sums.T
    expected = 2 * (n * squares - total**2) / (n - 1)
    # Ratings that are all alike leave rounding errors.
    known = expected > 1e-9 * np.maximum(1.0, squares)
    return np.where(known, 1 - within / np.where(known, expected, 1.0), math.nan)


def agreement(answers: Sequence[Answer], dimensions: Sequence[str], judges: Sequence[str]) -> dict[str, Any]:
    """Alpha of several judges on each dimension; empty for a single judge.

    Args:
        answers: With their ``judges``; the same answer to the same question counts once.
        dimensions: Of the rubric.
        judges: Their names.
    """
    if len(judges) < 2:
        return {}
    each = list({(a["question"], a["answer"]): a for a in answers}.values())
    return {d: krippendorff_alpha([[a["judges"][j][d] for j in judges] for a in each]) for d in dimensions}
