"""How sure a number is: Student's t for plain means, the bootstrap for everything that follows from sums.

The units that are resampled must be independent of each other. Where answers hang together, as those of one agent or to
one question do, the unit is the agent or the question: a cluster is drawn whole or not at all.
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
    """A mean and the bounds between which it lies at the level asked for; NaN where there is too little to say.

    Attributes:
        mean: Of the values.
        low: Lower bound.
        high: Upper bound.
        n: How many values it is the mean of.
    """

    mean: float
    low: float
    high: float
    n: int


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The mean of independent values, with Student's t interval.

    Args:
        values: Without NaN. For a paired comparison, the differences.
        level: Of confidence, in (0, 1).

    Returns:
        Bounds are NaN for fewer than two values, the mean too for none.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    # Half a second quicker to import than scipy.stats.
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def share_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The mean of independent shares in [0, 1], with Wilson's score interval (Wilson 1927).

    Unlike Student's t it says something where all values are 0, or all are 1. For values between, as means of several
    tries each, it is wider than it need be.

    Args:
        values: In [0, 1], without NaN.
        level: Of confidence, in (0, 1).

    Returns:
        Within [0, 1]; NaN for no values.
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
    """The mean of values, with the percentile interval of the bootstrap (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: Without NaN.
        level: Of confidence, in (0, 1).
        resamples: How many societies are drawn.
        seed: Of the draws.
        clusters: For each value the agent, question, or the like that it hangs together with; these are drawn with
            replacement, with all their values. By default each value stands for itself.

    Returns:
        Bounds are NaN for fewer than two values or clusters, the mean too for no values.
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
    """Number keys from 0 in the order in which they are met.

    Args:
        keys: Of any kind.
        known: Keys met before, with their numbers; new ones are added.

    Returns:
        The number of each key, shape [keys], and how many different ones there are.
    """
    numbers = {} if known is None else known
    found = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    return found, len(numbers)


def sum_by(rows: NDArray[np.float64], group: NDArray[np.int64], groups: int | None = None) -> NDArray[np.float64]:
    """Add up rows by group.

    Args:
        rows: Shape [rows, columns].
        group: The group of each row, from 0. Shape [rows].
        groups: How many there are; by default as many as are met.

    Returns:
        Shape [groups, columns].
    """
    n = (int(group.max()) + 1 if len(group) else 0) if groups is None else groups
    total = np.zeros((n, rows.shape[1]))
    np.add.at(total, group, rows)
    return total


def resampled_sums(units: NDArray[np.float64], resamples: int, seed: int = 0) -> NDArray[np.float64]:
    """Draw as many units as there are, with replacement, and add them up; again and again.

    Whatever is computed from sums over units (a mean, a share of variance, a mixing coefficient) can be computed from
    each row of the result, and the spread of what comes out says how sure it is.

    Args:
        units: One row for each independent unit. Shape [units, columns].
        resamples: How often.
        seed: Of the draws.

    Returns:
        Shape [resamples, columns]; zeros where there are no units.
    """
    n, columns = units.shape
    total = np.zeros((resamples, columns))
    if n == 0:
        return total
    draw = np.random.default_rng(seed)
    # So that memory stays bounded for a million units.
    at_once = max(1, _DRAWS_AT_ONCE // n)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = draw.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        total[start : start + rows] = times @ units
    return total


def bounds(replicates: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """The percentiles between which the given share of the replicates lies.

    Args:
        replicates: One number for each resample, NaN where it has none. Shape [resamples].
        level: Of confidence, in (0, 1).

    Returns:
        The bounds to nine decimals, since sums may differ in the last bits from one machine to another; NaN where fewer
        than half of the resamples have a number.
    """
    finite = replicates[np.isfinite(replicates)]
    if 2 * len(finite) < max(1, len(replicates)):
        return math.nan, math.nan
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return round(float(low), 9), round(float(high), 9)
