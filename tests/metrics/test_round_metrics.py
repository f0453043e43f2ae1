"""Means and intervals by hand."""

from __future__ import annotations

import math

import pytest

from sandbox.metrics.intervals import mean_interval
from sandbox.metrics.round_metrics import round_metrics
from sandbox.records import Feedback, Interaction, Rating, Score


def test_an_interval_by_hand() -> None:
    """1, 2, 3: mean 2, standard deviation 1, standard error 1/sqrt 3; Student's t of 2 degrees is 4.302653 at 95%.

    Half a width of 4.302653 / 1.732051 = 2.484138.
    """
    found = mean_interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.n == 3
    assert found.low == pytest.approx(2 - 2.484138, abs=1e-6)
    assert found.high == pytest.approx(2 + 2.484138, abs=1e-6)


def test_the_level_of_an_interval() -> None:
    """For two values at 50% Student's t of 1 degree is 1: the half width is the standard error, here 1."""
    found = mean_interval([0.0, 2.0], level=0.5)
    assert (found.low, found.mean, found.high) == (pytest.approx(0), 1.0, pytest.approx(2))


def test_too_few_values_have_no_interval() -> None:
    none, one = mean_interval([]), mean_interval([3.5])
    assert none.n == 0
    assert math.isnan(none.mean)
    assert math.isnan(none.low)
    assert (one.mean, one.n) == (3.5, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval([4.0, 4.0, 4.0]) == (4.0, 4.0, 4.0, 3)


def interaction(agent: int, before: float | None, after: float | None, *ratings: float | None) -> Interaction:
    def score(value: float | None) -> Score:
        return Score({"alignment": Rating(value)})

    said = tuple(Feedback(9, Rating(r)) for r in ratings)
    return Interaction(0, agent, "good", "q", "d", said, "r", score(before), score(after))


ALIGNMENT = ("alignment_draft", "alignment", "alignment_gain")


def test_the_measures_of_a_round_by_hand() -> None:
    """Three conversations and one that failed.

    rating: (2 + 6 + 7) / 3 = 5, the unreadable one left out. Drafts: (2 + 4 + 3) / 3 = 3. Final answers: 6, then 5,
    then the draft's 3 where the revision could not be rated: 14/3. Gains: 4 and 1, mean 2.5.
    """
    failed = Interaction(0, 3, "bad", "q", error="CallFailed: no answer")
    rounds = [interaction(0, 2, 6, 2, 6), interaction(1, 4, 5, None, 7), interaction(2, 3, None), failed]
    found = round_metrics(rounds, ["alignment"])
    assert {k: found[k] for k in ("interactions", "failed", "rating", *ALIGNMENT)} == {
        "interactions": 4,
        "failed": 1,
        "rating": 5.0,
        "alignment_draft": 3.0,
        "alignment": pytest.approx(14 / 3),
        "alignment_gain": 2.5,
    }


def test_a_mean_of_nothing_is_none() -> None:
    found = round_metrics([interaction(0, None, None, None)], ["alignment", "engagement"])
    assert (found["interactions"], found["failed"], found["rating"]) == (1, 0, None)
    assert [found[k] for k in ALIGNMENT] == [None, None, None]
    assert found["engagement"] is None
