"""Metrics of a whole run, with bootstrap intervals.

Rounds are read one at a time and reduced to numbers, so that a run of any length fits into memory.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics.aggregates import Aggregates, final_ratings, ratio, read_reviews, value_and_count
from sandbox.metrics.influence import Influence
from sandbox.metrics.intervals import LEVEL, bounds, numbered, resampled_sums, sum_by
from sandbox.metrics.pareto import TOLERANCE, Rule, pareto_front, rounds_until_front

if TYPE_CHECKING:
    from sandbox.records import RecordedRun

By = Literal["agent", "question"]

SCHEMA = 1
# What the keys of measures.json mean; names within an object follow a dot.
FIELDS: dict[str, str] = {
    "schema": "Version of the format.",
    "about": "How intervals were computed: by, units, level, resamples, tolerance.",
    "interactions": "Number of interactions.",
    "failed": "Number of those that failed.",
    "rounds": "Number of complete rounds.",
    "influence": "The ten most influential agents: agent, value, low, high.",
    "pareto_front": "Rounds on the Pareto front: round, and the mean of each dimension.",
    "*": (
        "Each metric by its name: value, low, high, n. D is the mean of the final answers on a dimension, D_draft of the "
        "drafts, D_gain of the differences; see the page of metrics. The scenario's own measures likewise, without bounds."
    ),
}
_TOP = 10


def run_measures(
    run: RecordedRun,
    *,
    by: By = "agent",
    level: float = LEVEL,
    resamples: int = 2000,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> dict[str, Any]:
    """Compute the metrics of the complete rounds of a run.

    Args:
        run: The run.
        by: Unit of the bootstrap: authors (with all their questions) or questions (with all their authors). Use questions
            if there are few of them.
        level: Confidence level, in (0, 1).
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.
        tolerance: Tolerance of ``rounds_to_front``, in rating points.

    Returns:
        JSON-serialisable: ``about`` (the arguments, with the number of ``units``);
        ``interactions``, ``failed`` and ``rounds`` (counts); each metric named in :mod:`sandbox.metrics.round_metrics`, and
        ``rounds_to_front`` and ``rounds_to_product`` (:func:`sandbox.metrics.pareto.rounds_until_front`), as
        ``{value, low, high, n}``, where n is the number of answers, reviews or rounds, and the bounds are None if there are
        too few units; the scenario's own measures likewise, without bounds: the last value, where n is the number of
        rounds that have one; ``influence``, the ten most influential agents, as ``{agent, value, low, high}``, with bounds
        by resampling reviews; ``pareto_front``, the rounds on the front, as ``{round, D, ...}``.
    """
    found = RunSums(run, by)
    drawn = resampled_sums(found.units, resamples, seed)
    total = found.units.sum(axis=0)
    values = {name: (m.value, m.n) for name, m in found.measures(total).items()}
    replicates = {name: m.value for name, m in found.measures(drawn).items()}
    points, drawn_points = found.points(total), found.points(drawn)
    for name, rule in _RULES.items():
        values[name] = (rounds_until_front(points, tolerance, rule), np.array(len(points)))
        replicates[name] = rounds_until_front(drawn_points, tolerance, rule)
    measures: dict[str, Any] = {
        "about": {"by": by, "units": len(found.units), "level": level, "resamples": resamples, "tolerance": tolerance},
        "interactions": found.interactions,
        "failed": found.failed,
        "rounds": len(points),
    }
    for name, (value, n) in values.items():
        low, high = bounds(replicates[name], level) if len(found.units) > 1 else (math.nan, math.nan)
        measures[name] = _plain({"value": value, "low": low, "high": high}) | {"n": int(n)}
    influence = Influence(*found.reviews())
    measures |= _own(run)
    return measures | {
        "influence_gini": _plain({"value": influence.gini, "low": math.nan, "high": math.nan})
        | {"n": len(influence.values)},
        "influence": _most_influential(influence, level, seed),
        "pareto_front": [
            {"round": r, **dict(zip(run.dimensions, points[r].tolist(), strict=True))} for r in pareto_front(points)
        ],
    }


def rounds_to_front(run: RecordedRun, *, tolerance: float = TOLERANCE, rule: Rule = "front") -> int | None:
    """Count the rounds until a run reaches its own Pareto front of alignment and engagement, or of its own dimensions.

    The points are the means over the final answers of each complete round; see
    :func:`sandbox.metrics.pareto.rounds_until_front` for the definition.

    Args:
        run: The run.
        tolerance: In rating points.
        rule: ``front``, or ``product`` as in the paper.

    Returns:
        The count, from 1; None for fewer than two rounds with ratings.
    """
    sums = [_final_sums(final_ratings(run.interactions(r), run.dimensions)).sum(axis=0) for r in range(run.rounds)]
    points = _means(np.array(sums).reshape(len(sums), len(run.dimensions), 2))
    count = rounds_until_front(points, tolerance, rule)
    return None if math.isnan(count) else int(count)


_RULES: dict[str, Rule] = {"rounds_to_front": "front", "rounds_to_product": "product"}


def _own(run: RecordedRun) -> dict[str, Any]:
    """The scenario's own measures: the last value of each, where n is the number of rounds that have one."""
    found = {}
    for name in run.own_measures:
        values = [value for metrics in run.metrics() if (value := metrics.get(name)) is not None]
        found[name] = {"value": values[-1] if values else None, "low": None, "high": None, "n": len(values)}
    return found


class RunSums:
    """The numbers of a run: one row of sums per unit, and its reviews.

    Args:
        run: The run.
        by: What a unit is.
        rounds: The rounds that are summed up; by default all complete ones.

    Attributes:
        keys: The agent or question of each unit.
        units: The columns of the aggregates, then (sum, count) of final ratings by round and dimension. Shape
            [units, columns].
        interactions: Number of interactions.
        failed: Number of failed interactions.
    """

    def __init__(self, run: RecordedRun, by: By, rounds: Sequence[int] | None = None) -> None:
        numbers = range(run.rounds) if rounds is None else rounds
        labels = dict(zip(*(run.agents()[name].tolist() for name in ("agent", "label")), strict=True))
        self._tally = Aggregates(run.dimensions, sorted(set(labels.values())), run.scale)
        self._shape = (len(numbers), len(run.dimensions), 2)
        self.interactions = self.failed = 0
        self._reviews: list[tuple[NDArray[Any], ...]] = []
        known: dict[Hashable, int] = {}
        sums = np.zeros((0, self._tally.columns))
        finals: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        for round_ in numbers:
            interactions = run.interactions(round_)
            self.interactions += len(interactions)
            self.failed += sum(it.error is not None for it in interactions)
            reviews = read_reviews(interactions)
            self._reviews.append((reviews.author, reviews.reviewer, reviews.uptake))
            unit, n = numbered((getattr(it, by) for it in interactions), known)
            rows = self._tally.rows(interactions, reviews, [labels.get(i) for i in reviews.reviewer.tolist()])
            sums = np.pad(sums, ((0, n - len(sums)), (0, 0))) + sum_by(rows, unit, n)
            finals.append((unit, _final_sums(final_ratings(interactions, run.dimensions))))
        self.keys = list(known)
        self.units = np.hstack([sums, *(sum_by(rows, unit, len(sums)) for unit, rows in finals)])

    def measures(self, sums: NDArray[np.float64]) -> dict[str, Any]:
        """Metrics that follow from sums over units, of shape [..., columns]."""
        return self._tally.measures(sums[..., : self._tally.columns])

    def points(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean final ratings of each round, from sums over units. Shape [..., rounds, dimensions]."""
        return _means(sums[..., self._tally.columns :].reshape(*sums.shape[:-1], *self._shape))

    def reviews(self) -> tuple[NDArray[Any], ...]:
        """Author, reviewer and uptake of all reviews. Each of shape [reviews]."""
        empty = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return tuple(np.concatenate(parts) for parts in zip(empty, *self._reviews, strict=True))


def _final_sums(ratings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum and count of ratings, alternating by dimension. Shape [interactions, 2 * dimensions]."""
    return np.hstack([value_and_count(column) for column in ratings.T])


def _means(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return ratio(sums[..., 0], sums[..., 1])


def _most_influential(influence: Influence, level: float, seed: int) -> list[dict[str, Any]]:
    low, high = influence.bounds(level, seed=seed)
    return [
        {"agent": int(influence.agents[i])} | _plain({"value": influence.values[i], "low": low[i], "high": high[i]})
        for i in np.argsort(-influence.values, kind="stable")[:_TOP]
    ]


def _plain(numbers: dict[str, Any]) -> dict[str, float | None]:
    """The values as plain numbers; None for NaN."""
    return {name: None if math.isnan(value) else float(value) for name, value in numbers.items()}
