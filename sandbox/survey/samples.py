"""Answers to one question as a weighted sample of values, and the measures of two such samples. Knows no files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics.distributions import kolmogorov_smirnov, simulation_score, total_variation, wasserstein

MEASURES = ("tv", "wasserstein", "ks", "score")
_MOST_WHOLE_NUMBERS, _BINS = 21, 10


@dataclass(frozen=True)
class Sample:
    """Answers of agents, or of people, to one question.

    Attributes:
        value: Position of each answer among the values of its :class:`Scale`. Shape [answers].
        weight: Weight of each. Shape [answers].
        unit: Number of the agent or respondent who gave it. Shape [answers].
    """

    value: NDArray[np.int64]
    weight: NDArray[np.float64]
    unit: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of agents or respondents."""
        return len(np.unique(self.unit))

    def weights(self, values: int, times: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Weight of each value.

        Args:
            values: Number of values.
            times: How often each unit was drawn in a resample; by default once. Shape [units].
        """
        weight = self.weight if times is None else self.weight * times[self.unit]
        return summed(self.value, weight, values)


def summed(place: NDArray[np.int64], weight: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Sum of the weights at each of ``n`` places. Shape [n]."""
    return np.bincount(place, weight, minlength=n).astype(np.float64)


@dataclass(frozen=True)
class Scale:
    """The values that answers to a question may have.

    Attributes:
        positions: Where each value lies: the numbers themselves, or 0, 1, 2, ... for options. Shape [values].
        is_ordered: Whether distances between values mean anything.
        is_number: Whether they are numbers.
        bins: For numbers, the bin of each value, over which shares are compared; else each value is its own. Shape [values].
        n_bins: Number of bins.
    """

    positions: NDArray[np.float64]
    is_ordered: bool
    is_number: bool
    bins: NDArray[np.int64]
    n_bins: int

    def measure(self, simulated: NDArray[np.float64], people: NDArray[np.float64]) -> list[float]:
        """The :data:`MEASURES` of two distributions over its values; NaN for those that do not apply."""
        if not (simulated.sum() > 0 and people.sum() > 0):
            return [math.nan] * len(MEASURES)
        binned = [summed(self.bins, weights, self.n_bins) for weights in (simulated, people)]
        return [
            total_variation(*binned),
            wasserstein(self.positions, simulated, people) if self.is_ordered else math.nan,
            kolmogorov_smirnov(simulated, people) if self.is_number else math.nan,
            simulation_score(*binned),
        ]


def option_scale(positions: Sequence[float] | None, n: int, *, is_ordered: bool) -> Scale:
    """The scale of a choice among ``n`` options; they lie at ``positions`` if they are numbers."""
    places = np.arange(n, dtype=np.float64) if positions is None else np.array(positions, dtype=np.float64)
    return Scale(places, is_ordered, False, np.arange(n), n)


def number_scale(numbers: Sequence[float], low: float, high: float) -> Scale:
    """The scale of the numbers that were given, in [low, high].

    Shares are compared over bins: one per whole number if the range is from one whole number to another at most 20 above it
    and all numbers are whole, else ten of equal width.
    """
    positions = np.unique(np.array(numbers, dtype=np.float64))
    is_whole = bool(np.all(positions == np.round(positions))) and low.is_integer() and high.is_integer()
    if is_whole and high - low < _MOST_WHOLE_NUMBERS:
        bins, n = (positions - low).astype(np.int64), int(high - low) + 1
    else:
        bins = np.minimum(((positions - low) / (high - low) * _BINS).astype(np.int64), _BINS - 1)
        n = _BINS
    return Scale(positions, True, True, bins, n)
