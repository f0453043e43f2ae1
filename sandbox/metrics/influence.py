"""Whose words move others: how much of a review a revision takes up, and the PageRank of that.

No embeddings: words are compared as they are written, so that a run of any size can be measured without a model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics.intervals import LEVEL

DAMPING = 0.85

# Chinese and Japanese write no spaces: there a character stands for a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")


def words(text: str) -> set[str]:
    """The different words of a text, whatever their case."""
    return set(_WORD.findall(text.casefold()))


def uptake(draft: str, revision: str, reasons: Sequence[str]) -> list[float]:
    """How much an author took up of each reviewer's words when it revised.

    The share of the revision's different words that the reviewer used too, minus the share of the draft's. What both
    versions share with the review by chance, as small words, cancels out.

    Args:
        draft: The answer that was reviewed.
        revision: The answer after it.
        reasons: What each reviewer said.

    Returns:
        For each reviewer a number in [-1, 1]: 0 when its words moved nothing, 1 when none of the draft's and all of the
        revision's words are its. NaN where the revision or the reason has no words.
    """
    before, after = words(draft), words(revision)
    if not after:
        return [math.nan] * len(reasons)
    found = []
    for reason in reasons:
        said = words(reason)
        had = len(said & before) / len(before) if before else 0.0
        found.append(len(said & after) / len(after) - had if said else math.nan)
    return found


def pagerank(
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    weight: NDArray[np.float64],
    n: int,
    start: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """PageRank (Brin and Page 1998) of a graph given as arrays.

    The same numbers as ``networkx.pagerank``; arrays, because intervals need it hundreds of times.

    Args:
        source: Where each edge begins. Shape [edges].
        target: Where it ends. Shape [edges].
        weight: 0 or more. Shape [edges].
        n: How many nodes there are.
        start: A guess. Shape [n].

    Returns:
        Sums to 1. Shape [n].
    """
    out = np.bincount(source, weights=weight, minlength=n)
    is_end = out == 0
    share = weight / np.where(is_end, 1.0, out)[source]
    rank = np.full(n, 1 / n) if start is None else start
    for _ in range(200):
        flow = np.bincount(target, weights=share * rank[source], minlength=n)
        fresh = (1 - DAMPING) / n + DAMPING * (flow + rank[is_end].sum() / n)
        moved = np.abs(fresh - rank).sum()
        rank = fresh
        if moved < 1e-8:
            break
    return rank


def gini(values: NDArray[np.float64]) -> float:
    """How unequal values are: 0 when all are equal, towards 1 when one has everything. NaN for nothing."""
    total = float(values.sum())
    if not total:
        return math.nan
    n = len(values)
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(values)) / (n * total)


class Influence:
    """How much each agent's words moved others' revisions.

    PageRank on a graph with an edge from each author to each of its reviewers, weighted by the sum of what the author
    took up of the reviewer's words (a negative uptake counts as none). So words count that were taken up, and more when
    those who took them up are listened to in turn.

    Args:
        authors: Of each review. Shape [reviews].
        reviewers: Of each review. Shape [reviews].
        uptakes: As :func:`uptake` gives them; NaN is none. Shape [reviews].

    Attributes:
        agents: Those who wrote or reviewed, from the lowest index. Shape [agents].
        values: Their influence; sums to 1. Empty where nobody's words moved anybody. Shape [agents].
    """

    def __init__(self, authors: NDArray[np.int64], reviewers: NDArray[np.int64], uptakes: NDArray[np.float64]) -> None:
        self.agents, place = np.unique(np.concatenate([authors, reviewers]), return_inverse=True)
        self._weight = np.maximum(np.nan_to_num(uptakes), 0.0)
        self._source, self._target = place[: len(authors)], place[len(authors) :]
        is_moved = bool(self._weight.any())
        self.values = self._rank(self._weight) if is_moved else np.empty(0)

    @property
    def gini(self) -> float:
        """How unequal influence is, in [0, 1); NaN where there is none."""
        return gini(self.values)

    def bounds(
        self, level: float = LEVEL, resamples: int = 200, seed: int = 0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Percentile intervals of each agent's influence, from reviews drawn with replacement.

        Returns:
            Lower and upper bounds, each of the shape of ``values``.
        """
        if not len(self.values):
            return self.values, self.values
        draw = np.random.default_rng(seed)
        n = len(self._weight)
        found = np.empty((resamples, len(self.values)))
        for number in range(resamples):
            times = np.bincount(draw.integers(n, size=n), minlength=n)
            found[number] = self._rank(self._weight * times)
        low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], axis=0).round(9)
        return low, high

    def _rank(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        return pagerank(self._source, self._target, weight, len(self.agents))
