"""Influence: how much of a review a revision adopts (uptake), and PageRank of uptake.

Words are compared as written, without embeddings, so that a run of any size can be measured without a model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics.intervals import LEVEL

DAMPING = 0.85

# Chinese and Japanese have no spaces: each character counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")


def words(text: str) -> set[str]:
    """The distinct words of a text, ignoring case."""
    return set(_WORD.findall(text.casefold()))


def uptake(draft: str, revision: str, reasons: Sequence[str]) -> list[float]:
    """Uptake of each reviewer's words in a revision.

    The share of the revision's distinct words that the reviewer also used, minus that share for the draft. Words that both
    versions share with the review by chance, such as function words, cancel out.

    Args:
        draft: The answer that was reviewed.
        revision: The revised answer.
        reasons: The reason of each reviewer.

    Returns:
        For each reviewer a number in [-1, 1]: 0 if its words changed nothing, 1 if none of the draft's words and all of
        the revision's are its own. NaN if the revision or the reason has no words.
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

    Gives the numbers of ``networkx.pagerank``; on arrays, because intervals call it hundreds of times.

    Args:
        source: Source of each edge. Shape [edges].
        target: Target of each edge. Shape [edges].
        weight: Weight of each edge, 0 or more. Shape [edges].
        n: Number of nodes.
        start: Initial guess. Shape [n].

    Returns:
        PageRank of each node; sums to 1. Shape [n].
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
    """Gini coefficient: 0 if all values are equal, near 1 if one value has everything; NaN for no values."""
    total = float(values.sum())
    if not total:
        return math.nan
    n = len(values)
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(values)) / (n * total)


class Influence:
    """Influence of each agent's words on the revisions of others.

    PageRank of a graph with an edge from each author to each of its reviewers, weighted by the total uptake of the
    reviewer's words by the author (negative uptake counts as 0). Uptake by an influential author counts more.

    Args:
        authors: Author of each review. Shape [reviews].
        reviewers: Reviewer of each review. Shape [reviews].
        uptakes: Uptake of each review, see :func:`uptake`; NaN counts as 0. Shape [reviews].

    Attributes:
        agents: Indices of authors and reviewers, ascending. Shape [agents].
        values: Their influence; sums to 1. Empty if there is no uptake. Shape [agents].
    """

    def __init__(self, authors: NDArray[np.int64], reviewers: NDArray[np.int64], uptakes: NDArray[np.float64]) -> None:
        self.agents, place = np.unique(np.concatenate([authors, reviewers]), return_inverse=True)
        self._weight = np.maximum(np.nan_to_num(uptakes), 0.0)
        self._source, self._target = place[: len(authors)], place[len(authors) :]
        is_moved = bool(self._weight.any())
        self.values = self._rank(self._weight) if is_moved else np.empty(0)

    @property
    def gini(self) -> float:
        """Gini coefficient of influence, in [0, 1); NaN if there is none."""
        return gini(self.values)

    def bounds(
        self, level: float = LEVEL, resamples: int = 200, seed: int = 0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Percentile intervals of each agent's influence, by resampling reviews.

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
