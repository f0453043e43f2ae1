"""The Pareto front, and the number of rounds until a society reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rule = Literal["front", "product"]

TOLERANCE = 0.1


def pareto_front(points: Sequence[Sequence[float]] | NDArray[np.float64]) -> list[int]:
    """Find the points that no other point dominates.

    A point dominates another if it is at least as high in every dimension and higher in one.

    Args:
        points: Points; higher is better. Shape [points, dimensions]. A point with NaN is never on the front.

    Returns:
        Indices of the points on the front, ascending; of equal points all or none.
    """
    if not len(points):
        return []
    known = np.asarray(points, dtype=np.float64)
    # In this order a point follows all that dominate it, so that comparison with the front so far is enough.
    order = np.lexsort(-known.T[::-1])
    front: list[int] = []
    best = np.empty_like(known)
    for index in order:
        point = known[index]
        if np.isnan(point).any():
            continue
        so_far = best[: len(front)]
        if not ((so_far >= point).all(axis=1) & (so_far > point).any(axis=1)).any():
            best[len(front)] = point
            front.append(int(index))
    return sorted(front)


def rounds_until_front(points: ArrayLike, tolerance: float = TOLERANCE, rule: Rule = "front") -> Any:
    """Count the rounds until a society is within a tolerance of its own Pareto front.

    That is the first round for which no other round of the run is better by more than ``tolerance`` in every
    dimension at once (additive epsilon-dominance: Laumanns, Thiele, Deb and Zitzler 2002). The rule ``product``
    uses the geometric mean of all dimensions instead: arXiv:2305.16960 calls a society Pareto optimal when the product of
    alignment and engagement no longer improves.

    A count equal to the number of rounds means that the last round still improved: read it as "at least".

    Args:
        points: Mean ratings of each round in each dimension, above 0; NaN if a round has none. Shape
            [rounds, dimensions], or with more axes before these.
        tolerance: In rating points.
        rule: ``front`` or ``product``.

    Returns:
        The count, from 1; NaN for fewer than two rounds with ratings, which cannot be compared. A float, or an array
        with the shape of the axes before rounds.
    """
    known = np.asarray(points, dtype=np.float64)
    if rule == "product":
        known = np.exp(np.log(known).mean(axis=-1, keepdims=True))
    rated = np.asarray(~np.isnan(known).any(axis=-1))
    found = np.full(known.shape[:-2], np.nan)
    left = np.asarray(rated.sum(axis=-1) >= 2)
    for index in range(known.shape[-2]):
        if not left.any():
            break
        better = (known > known[..., index : index + 1, :] + tolerance).all(axis=-1).any(axis=-1)
        reached = left & rated[..., index] & ~better
        found = np.where(reached, index + 1.0, found)
        left = left & ~reached
    return found if found.ndim else float(found)
