"""Confidence intervals: Student's t for means, Wilson for shares, the bootstrap for everything that follows from sums.

Resampled units must be independent. Where answers are correlated, such as those of one agent or to one question, the unit is
the agent or the question, whose answers are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_DRAWS_AT_ONCE = 2_000_000


class Interval(NamedTuple):
    """A mean with its confidence interval; NaN where there are too few values.

    Attributes:
        mean: Mean of the values.
        low: Lower bound.
        high: Upper bound.
        n: Number of values.
    """

    mean: float
    low: float
    high: float
    n: int


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean of independent values with Student's t interval.

    Args:
        values: Values without NaN; for a paired comparison, the differences.
        level: Confidence level, in (0, 1).

    Returns:
        The bounds are NaN for fewer than two values, and the mean for none.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    # Imports half a second faster than scipy.stats.
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def share_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean of independent shares in [0, 1] with Wilson's score interval (Wilson 1927).

    Unlike Student's t interval it has a width if all values are 0 or all are 1. For values in between, such as means of
    several trials, it is conservative.

    Args:
        values: Values in [0, 1] without NaN.
        level: Confidence level, in (0, 1).

    Returns:
        Bounds in [0, 1]; NaN for no values.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    from scipy.special import ndtri

    share, z = float(np.mean(values)), float(ndtri(0.5 + level / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half), n)


def bootstrap_interval(
    values: Sequence[float],
    level: float = LEVEL,
    resamples: int = 2000,
    seed: int = 0,
    *,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Mean of values with the percentile interval of the bootstrap (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: Values without NaN.
        level: Confidence level, in (0, 1).
        resamples: Number of resamples.
        seed: Seed of the resampling.
        clusters: Cluster of each value, for example its agent or question; clusters are drawn with replacement, with all
            their values. By default each value is its own cluster.

    Returns:
        The bounds are NaN for fewer than two values or clusters, and the mean for no values.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    units = np.column_stack([np.asarray(values, dtype=np.float64), np.ones(n)])
    if clusters is not None:
        units = sum_by(units, numbered(clusters)[0])
    drawn = resampled_sums(units, resamples, seed)
    low, high = bounds(drawn[:, 0] / drawn[:, 1], level) if len(units) > 1 else (math.nan, math.nan)
    return Interval(float(np.mean(values)), low, high, n)


def numbered(keys: Iterable[Hashable], known: dict[Hashable, int] | None = None) -> tuple[NDArray[np.int64], int]:
    """Number keys from 0 in the order of their first occurrence.

    Args:
        keys: Hashable keys.
        known: Numbers of earlier keys; new ones are added.

    Returns:
        The number of each key, shape [keys], and the number of distinct keys.
    """
    numbers = {} if known is None else known
    found = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    return found, len(numbers)


def sum_by(rows: NDArray[np.float64], group: NDArray[np.int64], groups: int | None = None) -> NDArray[np.float64]:
    """Add up rows by group.

    Args:
        rows: Shape [rows, columns].
        group: The group of each row, from 0. Shape [rows].
        groups: Number of groups; by default the highest group plus 1.

    Returns:
        Shape [groups, columns].
    """
    n = (int(group.max()) + 1 if len(group) else 0) if groups is None else groups
    total = np.zeros((n, rows.shape[1]))
    np.add.at(total, group, rows)
    return total


def resampled_sums(units: NDArray[np.float64], resamples: int, seed: int = 0) -> NDArray[np.float64]:
    """Sums over bootstrap resamples of units.

    A statistic of sums over units (a mean, a share of variance, a mixing coefficient) computed from each row of the result
    gives the replicates of its bootstrap.

    Args:
        units: One row per independent unit. Shape [units, columns].
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        Shape [resamples, columns]; zeros if there are no units.
    """
    n, columns = units.shape
    total = np.zeros((resamples, columns))
    if n == 0:
        return total
    draw = np.random.default_rng(seed)
    # In chunks, to bound memory with a million units.
    at_once = max(1, _DRAWS_AT_ONCE // n)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = draw.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        total[start : start + rows] = times @ units
    return total


def bounds(replicates: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates.

    Args:
        replicates: One number per resample, NaN if undefined. Shape [resamples].
        level: Confidence level, in (0, 1).

    Returns:
        The bounds, rounded to nine decimals, since sums may differ in the last bits between machines; NaN if fewer than
        half of the replicates are defined.
    """
    finite = replicates[np.isfinite(replicates)]
    if 2 * len(finite) < max(1, len(replicates)):
        return math.nan, math.nan
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return round(float(low), 9), round(float(high), 9)
