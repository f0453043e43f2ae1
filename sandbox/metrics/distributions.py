"""Differences between two distributions over the same values, and the score of one as a simulation of the other.

Each distribution is an array of weights, which need not sum to 1, over positions in increasing order. Knows no surveys.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]


def shares(weights: Weights) -> Weights:
    """Weights divided by their sum; NaN if they sum to 0."""
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(len(weights), math.nan)


def total_variation(first: Weights, second: Weights) -> float:
    """Total variation distance: half the sum of the differences of the shares, in [0, 1].

    Args:
        first: Weights. Shape [values].
        second: Weights. Shape [values].
    """
    return float(np.abs(shares(first) - shares(second)).sum() / 2)


def wasserstein(positions: Weights, first: Weights, second: Weights) -> float:
    """Wasserstein (earth mover's) distance of order 1, in the unit of the positions; as of ``scipy.stats``.

    Args:
        positions: Values in increasing order. Shape [values].
        first: Weights. Shape [values].
        second: Weights. Shape [values].
    """
    gaps = np.abs(np.cumsum(shares(first) - shares(second)))[:-1]
    return float((gaps * np.diff(positions)).sum()) if _are_both(first, second) else math.nan


def kolmogorov_smirnov(first: Weights, second: Weights) -> float:
    """Largest difference of the cumulative shares, in [0, 1]: the statistic of the two-sample Kolmogorov-Smirnov test.

    Args:
        first: Weights of values in increasing order. Shape [values].
        second: Weights. Shape [values].
    """
    return float(np.abs(np.cumsum(shares(first) - shares(second))).max())


def simulation_score(simulated: Weights, people: Weights) -> float:
    """Score of SimBench (arXiv:2510.17516): 100 for the distribution of people, 0 for a guess as bad as the uniform one.

    It is ``100 * (1 - TV(simulated, people) / TV(uniform, people))``, negative for what is worse than the uniform guess.

    Args:
        simulated: Weights. Shape [values].
        people: Weights. Shape [values].

    Returns:
        NaN if people's distribution is uniform, for which the score is not defined.
    """
    chance = total_variation(np.ones(len(people)), people)
    return 100 * (1 - total_variation(simulated, people) / chance) if chance > 1e-12 else math.nan


def _are_both(first: Weights, second: Weights) -> bool:
    return bool(first.sum() > 0 and second.sum() > 0)
