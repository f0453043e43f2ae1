"""Measures of a society, with intervals: of one round as it ends, and of a whole run from its folder.

=================  ======================================================================================
``D``              mean observed rating of the final answers on dimension D, in 1..scale
``D_draft``        the same of the drafts
``D_gain``         mean gain from draft to revision, where both are rated
``rating``         mean of the neighbours' readable ratings of drafts, in 1..scale
``consensus``      agreement of the ratings of one answer, mean over answers rated twice or more, in [0, 1]
``polarisation``   how much better labels rate their own kind: :func:`sandbox.metrics.polarisation.polarisation`
``divergence``     share of the variance of final ratings between labels: :func:`sandbox.metrics.polarisation.divergence`
``assortativity``  how much reviews stay within labels: :func:`sandbox.metrics.polarisation.assortativity`
``uptake``         how much revisions take up of a review's words, mean: :func:`sandbox.metrics.influence.uptake`
``influence_gini`` how unequal influence is: :class:`sandbox.metrics.influence.Influence`
=================  ======================================================================================

A scenario may add its own: numbers of a round without an interval, and of a run the last that there was.

Intervals are percentiles of the bootstrap. They say how far a number would move had other agents (or questions) of the
same kind been drawn; that agents heard each other they do not know: for that, run several seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.errors import SandboxError, ScenarioError
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

# A round's intervals are for looking at while it runs: fewer resamples do.
_ROUND_RESAMPLES = 500


def round_metrics(
    interactions: Sequence[Interaction],
    dimensions: Sequence[str],
    *,
    scale: int = 7,
    label_of: Callable[[int], str | None] | None = None,
    earlier: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The measures of one round.

    Args:
        interactions: All of the round, failed ones too.
        dimensions: Of the rubric.
        scale: The highest rating.
        label_of: The label of an agent, by its index; by default reviewers are known by what they wrote themselves in
            the round.
        earlier: The measures of the rounds before it, for ``rounds_to_front``.

    Returns:
        ``interactions`` and ``failed`` (counts); the measures named above, each X with the bounds ``X_low`` and
        ``X_high`` of its 95% interval (not ``influence_gini``); and ``rounds_to_front`` of the run so far. What there
        is nothing to say of is None. The same keys whatever the round holds.
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


def own_measures(scenario: Scenario, interactions: Sequence[Interaction], world: Any) -> dict[str, float | None]:
    """A scenario's own measures of a round, by name; all None where the round holds nothing.

    Raises:
        ScenarioError: a measure failed, or gave no number.
    """
    found: dict[str, float | None] = {}
    for name, measure in scenario.measures.items():
        try:
            value = measure(list(interactions), world) if interactions else None
            found[name] = None if value is None else _plain(float(value))
        except SandboxError:
            raise
        except Exception as error:  # of the author's own code; its traceback is shown by --debug
            raise ScenarioError(
                f"scenario {scenario.name!r}: measures[{name!r}] failed in round {world.round}: "
                f"{type(error).__name__}: {error}"
            ) from error
    return found


def _plain(value: float) -> float | None:
    """As JSON can hold it."""
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
