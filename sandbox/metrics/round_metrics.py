"""Metrics of a round, with intervals, computed when it ends.

=================  ======================================================================================
``D``              mean of observers' ratings of final answers on dimension D, in 1..scale
``D_draft``        the same for drafts
``D_gain``         mean gain from draft to revision, if both are rated
``rating``         mean of the neighbours' readable ratings of drafts, in 1..scale
``consensus``      agreement of the ratings of an answer, mean over answers with two or more ratings, in [0, 1]
``polarisation``   how much higher labels rate themselves: :func:`sandbox.metrics.polarisation.polarisation`
``divergence``     share of the variance of final ratings between labels: :func:`sandbox.metrics.polarisation.divergence`
``assortativity``  how much reviews stay within labels: :func:`sandbox.metrics.polarisation.assortativity`
``uptake``         mean uptake of a review's words in revisions: :func:`sandbox.metrics.influence.uptake`
``influence_gini`` Gini coefficient of influence: :class:`sandbox.metrics.influence.Influence`
=================  ======================================================================================

A scenario may add measures of its own, which have no interval; that of a run is its last value.

Intervals are percentiles of the bootstrap. They cover the choice of agents (or questions), but not that agents influence each
other: for that, run several seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.errors import SandboxError, ScenarioError, failing_line
from sandbox.metrics.aggregates import Aggregates, read_reviews
from sandbox.metrics.influence import Influence
from sandbox.metrics.intervals import Interval, bootstrap_interval, bounds, mean_interval, resampled_sums
from sandbox.metrics.pareto import pareto_front, rounds_until_front
from sandbox.metrics.run_metrics import rounds_to_front, run_measures
from sandbox.records import Interaction

if TYPE_CHECKING:
    from sandbox.scenario.scenario import Scenario

__all__ = [
    "Interval",
    "bootstrap_interval",
    "mean_interval",
    "own_measures",
    "pareto_front",
    "round_metrics",
    "rounds_to_front",
    "run_measures",
]

# Intervals of a round are shown while a society runs: fewer resamples are enough.
_ROUND_RESAMPLES = 500


def round_metrics(
    interactions: Sequence[Interaction],
    dimensions: Sequence[str],
    *,
    scale: int = 7,
    label_of: Callable[[int], str | None] | None = None,
    earlier: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Compute the metrics of one round.

    Args:
        interactions: All interactions of the round, including failed ones.
        dimensions: Dimensions of the rubric.
        scale: The highest rating.
        label_of: Returns the label of an agent, by its index; by default labels are those of the round's interactions.
        earlier: Metrics of the earlier rounds, for ``rounds_to_front``.

    Returns:
        ``interactions`` and ``failed`` (counts); the metrics named above, each X with the bounds ``X_low`` and ``X_high``
        of its 95% interval (except ``influence_gini``); and ``rounds_to_front`` of the run so far. Undefined metrics are
        None. The keys are the same for every round.
    """
    reviews = read_reviews(interactions)
    known = {it.agent: it.label for it in interactions}
    reviewer_labels = list(map(label_of or known.get, reviews.reviewer.tolist()))
    labels = {it.label for it in interactions} | {name for name in reviewer_labels if name is not None}
    tally = Aggregates(dimensions, sorted(labels), scale)
    rows = tally.rows(interactions, reviews, reviewer_labels)
    found: dict[str, Any] = {
        "interactions": len(interactions),
        "failed": sum(it.error is not None for it in interactions),
    }
    drawn = tally.measures(resampled_sums(rows, _ROUND_RESAMPLES))
    for name, measured in tally.measures(rows.sum(axis=0)).items():
        low, high = bounds(drawn[name].value) if len(rows) > 1 else (math.nan, math.nan)
        found |= {name: _plain(float(measured.value)), f"{name}_low": _plain(low), f"{name}_high": _plain(high)}
    found["influence_gini"] = _plain(Influence(reviews.author, reviews.reviewer, reviews.uptake).gini)
    rounds = [[_number(metrics.get(name)) for name in dimensions] for metrics in (*earlier, found)]
    found["rounds_to_front"] = _plain(rounds_until_front(rounds))
    return found


def measure_round(
    world: Any, interactions: Sequence[Interaction], earlier: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """All metrics of a round of a world: those of every run, and the scenario's own.

    Args:
        world: The world; its scenario and the labels of its members are read.
        interactions: Interactions of the round.
        earlier: Metrics of the rounds before.
    """
    scenario = world.scenario
    found = round_metrics(
        interactions,
        [d.name for d in scenario.rubric.dimensions],
        scale=scenario.rubric.scale,
        label_of=lambda agent: world.members[agent].label,
        earlier=earlier,
    )
    return found | own_measures(scenario, interactions, world)


def own_measures(scenario: Scenario, interactions: Sequence[Interaction], world: Any) -> dict[str, float | None]:
    """Compute a scenario's own measures of a round, by name; all None for a round without interactions.

    Raises:
        ScenarioError: a measure failed, or did not return a number.
    """
    found: dict[str, float | None] = {}
    for name, measure in scenario.measures.items():
        try:
            value = measure(list(interactions), world) if interactions else None
            found[name] = None if value is None else _plain(float(value))
        except SandboxError:
            raise
        except Exception as error:  # raised by the author's code; --debug shows its traceback
            raise ScenarioError(
                f"{failing_line(error)}scenario {scenario.name!r}: measures[{name!r}] failed in round "
                f"{world.round + 1}: {type(error).__name__}: {error}; it must return a number or None"
                f"{_failed_before(interactions)}"
            ) from error
    return found


def _failed_before(interactions: Sequence[Interaction]) -> str:
    """For messages: that a measure was given interactions that failed, and why these did; empty if none failed."""
    errors = [it.error for it in interactions if it.error is not None]
    if not errors:
        return ""
    return (
        f". {len(errors)} of {len(interactions)} interactions of the round had failed before, and a measure is given these "
        f"too, without an answer: {errors[0]}"
    )


def _plain(value: float) -> float | None:
    """The value as a plain number; None for NaN."""
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
