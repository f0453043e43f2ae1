"""The Pareto front, and how long a society takes to reach its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.metrics.pareto import pareto_front, rounds_until_front

RATING = st.integers(1, 7).map(float)
POINTS = st.lists(st.tuples(RATING, RATING), max_size=25)


@given(POINTS)
def test_the_front_is_all_that_no_point_betters(points: list[tuple[float, float]]) -> None:
    """Its definition, point by point."""
    expected = [
        i
        for i, p in enumerate(points)
        if not any(all(b >= a for a, b in zip(p, q, strict=True)) and q != p for q in points)
    ]
    assert pareto_front(points) == expected


def test_a_front_by_hand() -> None:
    """(2,6), (4,5) and (6,1) cannot be bettered; (4,4) is bettered by (4,5), (2,5) by (2,6). Equal points stand together;
    what is not known is on no front."""
    points = [(2, 6), (4, 4), (4, 5), (2, 5), (6, 1), (4, 5), (math.nan, 7)]
    assert pareto_front(points) == [0, 2, 4, 5]
    assert pareto_front([]) == []
    assert pareto_front(np.array([[1.0], [3.0], [3.0]])) == [1, 2]


ROUNDS = st.lists(st.tuples(st.floats(1, 7), st.floats(1, 7)), min_size=2, max_size=12)


@given(ROUNDS, st.floats(0, 1))
def test_rounds_until_the_front_by_its_definition(rounds: list[tuple[float, float]], tolerance: float) -> None:
    """The first round than which no other is better by more than the tolerance in both dimensions."""
    expected = next(
        i
        for i, p in enumerate(rounds, 1)
        if not any(q[0] > p[0] + tolerance and q[1] > p[1] + tolerance for q in rounds)
    )
    assert rounds_until_front(rounds, tolerance) == expected


def test_rounds_until_the_front_by_hand() -> None:
    """Alignment rises 3, 4, 5, 5.05; engagement 4, 4.5, 5, 5.05: the third is within 0.1 of the fourth.

    Where engagement falls as alignment rises, no round betters another and the first is on the front already.
    """
    assert rounds_until_front([(3, 4), (4, 4.5), (5, 5), (5.05, 5.05)]) == 3
    assert rounds_until_front([(3, 4), (4, 4.5), (5, 5), (5.05, 5.05)], tolerance=0.0) == 4
    assert rounds_until_front([(3, 6), (4, 5), (5, 4)]) == 1
    assert rounds_until_front([(math.nan, 5), (3, 3), (6, 6)]) == 3


def test_the_products_rule_is_the_papers() -> None:
    """Products 18, 20, 20: sqrt 18 = 4.24 is more than 0.1 below sqrt 20 = 4.47; the second is the first that is not."""
    assert rounds_until_front([(3, 6), (4, 5), (5, 4)], rule="product") == 2


def test_one_round_cannot_be_compared() -> None:
    assert math.isnan(rounds_until_front([(3, 4)]))
    assert math.isnan(rounds_until_front([(3, 4), (math.nan, 4)]))
    assert math.isnan(rounds_until_front(np.zeros((0, 2))))


@given(st.lists(ROUNDS.map(lambda r: (r * 6)[:6]), min_size=1, max_size=5))
def test_many_runs_at_once_are_as_each_alone(runs: list[list[tuple[float, float]]]) -> None:
    found = rounds_until_front(np.array(runs))
    assert found.tolist() == [rounds_until_front(run) for run in runs]
    assert found.shape == (len(runs),)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_any_number_of_dimensions(n: int) -> None:
    rounds = np.linspace(1, 5, 5)[:, None].repeat(n, axis=1)
    assert rounds_until_front(rounds) == 5
