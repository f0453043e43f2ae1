"""Sums over interactions, from which the metrics of a society follow.

A metric that follows from sums can be computed in the same way for a round, a run and any resample of it, without the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics.influence import uptake
from sandbox.metrics.polarisation import assortativity, divergence, polarisation
from sandbox.records import Interaction


class Reviews(NamedTuple):
    """The reviews of some interactions, as arrays.

    Attributes:
        row: Number of the interaction, from 0. Shape [reviews].
        author: Index of the agent that was reviewed. Shape [reviews].
        reviewer: Index of the reviewer. Shape [reviews].
        rating: In 1..scale, NaN if unreadable. Shape [reviews].
        uptake: Uptake by the author, see :func:`sandbox.metrics.influence.uptake`; NaN if undefined. Shape [reviews].
    """

    row: NDArray[np.int64]
    author: NDArray[np.int64]
    reviewer: NDArray[np.int64]
    rating: NDArray[np.float64]
    uptake: NDArray[np.float64]


def read_reviews(interactions: Sequence[Interaction]) -> Reviews:
    """Collect the reviews of interactions."""
    rows: list[int] = []
    authors: list[int] = []
    reviewers: list[int] = []
    ratings: list[float | None] = []
    uptakes: list[float | None] = []
    for row, it in enumerate(interactions):
        said = it.feedback
        rows += [row] * len(said)
        authors += [it.agent] * len(said)
        reviewers += [f.reviewer for f in said]
        ratings += [f.rating.value for f in said]
        if it.draft is not None and it.revision is not None and any(f.rating.reason for f in said):
            uptakes += uptake(it.draft, it.revision, [f.rating.reason for f in said])
        else:
            uptakes += [None] * len(said)
    return Reviews(
        np.array(rows, dtype=np.int64),
        np.array(authors, dtype=np.int64),
        np.array(reviewers, dtype=np.int64),
        np.array(ratings, dtype=np.float64),
        np.array(uptakes, dtype=np.float64),
    )


def final_ratings(interactions: Sequence[Interaction], dimensions: Sequence[str]) -> NDArray[np.float64]:
    """Observers' ratings of final answers (the revision, else the draft). Shape [interactions, dimensions]."""
    rows = [
        [after if (after := it.after.value(name)) is not None else it.before.value(name) for name in dimensions]
        for it in interactions
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(dimensions))


class Measured(NamedTuple):
    """Values of a metric, one per row of sums.

    Attributes:
        value: NaN if undefined.
        n: Number of answers, ratings or reviews that it is computed from.
    """

    value: NDArray[np.float64]
    n: NDArray[np.float64]


class Aggregates:
    """Sums up interactions, and computes metrics from the sums.

    Args:
        dimensions: Dimensions of the rubric.
        labels: Labels of the society.
        scale: The highest rating; the lowest is 1.
    """

    def __init__(self, dimensions: Sequence[str], labels: Sequence[str], scale: int) -> None:
        self.dimensions = tuple(dimensions)
        self.labels = {label: number for number, label in enumerate(labels)}
        self.scale = scale
        each = [(name, f"{name}_draft", f"{name}_gain") for name in self.dimensions]
        self._means = ["rating", *(name for names in each for name in names), "consensus", "uptake"]

    @property
    def columns(self) -> int:
        """Number of sums."""
        k = len(self.labels)
        return 2 * len(self._means) + 3 * k * k + 3 * k

    def rows(
        self, interactions: Sequence[Interaction], reviews: Reviews, reviewer_labels: Sequence[str | None]
    ) -> NDArray[np.float64]:
        """Compute the sums of each interaction.

        Args:
            interactions: Interactions, including failed ones.
            reviews: Their reviews.
            reviewer_labels: Label of the reviewer of each review; None if unknown.

        Returns:
            Shape [interactions, columns].
        """
        n = len(interactions)
        # [interactions]; unknown labels are left out of the metrics between labels.
        label = self._numbers([it.label for it in interactions])
        reviewer = self._numbers(reviewer_labels)
        parts = [self._ratings(interactions, reviews), value_and_count(_consensus(n, reviews, self.scale))]
        parts += [_added(n, reviews.row, reviews.uptake), self._between(n, reviews, reviewer, label)]
        first = final_ratings(interactions, self.dimensions[:1])[:, 0]
        parts.append(self._within(first, label))
        return np.hstack(parts)

    def measures(self, sums: NDArray[np.float64]) -> dict[str, Measured]:
        """Compute the metrics that follow from sums.

        Args:
            sums: Sums of the rows of any interactions. Shape [..., columns].

        Returns:
            ``rating`` (mean of all reviews), for each dimension D ``D``, ``D_draft`` and ``D_gain``, ``consensus``,
            ``uptake``, ``polarisation``, ``divergence`` and ``assortativity``, each of the shape of the sums' first
            axes.
        """
        k, cut = len(self.labels), 2 * len(self._means)
        found = {
            name: Measured(ratio(sums[..., 2 * i], sums[..., 2 * i + 1]), sums[..., 2 * i + 1])
            for i, name in enumerate(self._means)
        }
        cells = sums[..., cut : cut + 3 * k * k].reshape(*sums.shape[:-1], 3, k, k)
        made, rated, total = (cells[..., i, :, :] for i in range(3))
        spread = sums[..., cut + 3 * k * k :].reshape(*sums.shape[:-1], 3, k)
        answers, summed, squares = (spread[..., i, :] for i in range(3))
        found["polarisation"] = Measured(polarisation(rated, total, self.scale), rated.sum(axis=(-2, -1)))
        found["divergence"] = Measured(divergence(answers, summed, squares), answers.sum(axis=-1))
        found["assortativity"] = Measured(assortativity(made), made.sum(axis=(-2, -1)))
        return found

    def _numbers(self, labels: Sequence[str | None]) -> NDArray[np.int64]:
        return np.array([-1 if name is None else self.labels.get(name, -1) for name in labels], dtype=np.int64)

    def _ratings(self, interactions: Sequence[Interaction], reviews: Reviews) -> NDArray[np.float64]:
        final = final_ratings(interactions, self.dimensions)
        parts = [_added(len(interactions), reviews.row, reviews.rating)]
        for number, name in enumerate(self.dimensions):
            draft = np.array([it.before.value(name) for it in interactions], dtype=np.float64)
            after = np.array([it.after.value(name) for it in interactions], dtype=np.float64)
            parts += [value_and_count(final[:, number]), value_and_count(draft), value_and_count(after - draft)]
        return np.hstack(parts)

    def _between(
        self, n: int, reviews: Reviews, reviewer: NDArray[np.int64], label: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Number of reviews, of readable ratings, and their sum, for each pair of labels. Shape [n, 3 * labels * labels]."""
        k = len(self.labels)
        author = label[reviews.row]
        known = (reviewer >= 0) & (author >= 0)
        rated = known & ~np.isnan(reviews.rating)
        cell = (reviews.row * k + reviewer) * k + author
        counts = [np.bincount(cell[which], minlength=n * k * k) for which in (known, rated)]
        total = np.bincount(cell[rated], weights=reviews.rating[rated], minlength=n * k * k)
        return np.hstack([part.reshape(n, k * k).astype(np.float64) for part in (*counts, total)])

    def _within(self, first: NDArray[np.float64], label: NDArray[np.int64]) -> NDArray[np.float64]:
        """Number of rated answers, sum of ratings and of squared ratings, by label. Shape [n, 3 * labels]."""
        k = len(self.labels)
        rated = (label >= 0) & ~np.isnan(first)
        # Centred at the middle of the scale, for the precision of the squares.
        centred = np.where(rated, first - (1 + self.scale) / 2, 0.0)
        is_label = (label[:, None] == np.arange(k)) & rated[:, None]
        return np.hstack([is_label * part[:, None] for part in (np.ones_like(centred), centred, centred**2)])


def value_and_count(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value (0 for NaN) and 1 (0 for NaN), the terms of a mean. Shape [n, 2]."""
    known = ~np.isnan(values)
    return np.column_stack([np.where(known, values, 0.0), known])


def _added(n: int, row: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum and count of the values of each of ``n`` rows, ignoring NaN. Shape [n, 2]."""
    known = ~np.isnan(values)
    total = np.bincount(row[known], weights=values[known], minlength=n)
    return np.column_stack([total, np.bincount(row[known], minlength=n)])


def _consensus(n: int, reviews: Reviews, scale: int) -> NDArray[np.float64]:
    """Agreement of the reviewers of each answer: 1 - sd / maximum sd.

    1 if all ratings of an answer are equal, 0 if half are the lowest and half the highest; NaN for fewer than two
    ratings. The standard deviation is that of these ratings, not of a population. Shape [n].
    """
    known = ~np.isnan(reviews.rating)
    row, rating = reviews.row[known], reviews.rating[known]
    count = np.bincount(row, minlength=n)
    mean = np.bincount(row, weights=rating, minlength=n) / np.maximum(count, 1)
    spread = np.bincount(row, weights=(rating - mean[row]) ** 2, minlength=n) / np.maximum(count, 1)
    return np.where(count >= 2, 1 - np.sqrt(spread) / ((scale - 1) / 2), np.nan)


def ratio(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means from sums and counts; NaN where the count is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / count)
