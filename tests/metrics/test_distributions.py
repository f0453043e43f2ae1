"""Differences of distributions, against values by hand and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from sandbox.metrics.distributions import kolmogorov_smirnov, simulation_score, total_variation, wasserstein

NUMBERS = some.lists(some.integers(-20, 20).map(float), min_size=1, max_size=30)


def as_weights(first: list[float], second: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    positions = np.unique([*first, *second])
    return positions, *(np.array([sample.count(p) for p in positions], float) for sample in (first, second))


def test_by_hand() -> None:
    """Shares (1/2, 1/2, 0) and (1/4, 1/4, 1/2): TV is (1/4 + 1/4 + 1/2) / 2; cumulated they differ by 1/4, 1/2, 0.

    At 0, 1 and 3 the Wasserstein distance is 1/4 * 1 + 1/2 * 2. Against the uniform guess people's TV is
    (1/12 + 1/12 + 1/6) / 2 = 1/6, so that the score is 100 * (1 - 3).
    """
    first, second = np.array([1.0, 1.0, 0.0]), np.array([2.0, 2.0, 4.0])
    assert total_variation(first, second) == pytest.approx(0.5)
    assert kolmogorov_smirnov(first, second) == pytest.approx(0.5)
    assert wasserstein(np.array([0.0, 1.0, 3.0]), first, second) == pytest.approx(1.25)
    assert simulation_score(first, second) == pytest.approx(-200)
    assert simulation_score(second, second) == pytest.approx(100)
    assert simulation_score(np.ones(3), second) == pytest.approx(0)


def test_what_is_not_defined_is_nan() -> None:
    nothing, some_ = np.zeros(2), np.array([1.0, 2.0])
    assert math.isnan(total_variation(nothing, some_))
    assert math.isnan(wasserstein(np.arange(2.0), nothing, some_))
    assert math.isnan(kolmogorov_smirnov(some_, nothing))
    assert math.isnan(simulation_score(some_, np.ones(2)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the p-value of scipy's test
@settings(max_examples=60, deadline=None)
@given(first=NUMBERS, second=NUMBERS)
def test_as_scipy_has_it(first: list[float], second: list[float]) -> None:
    positions, *weights = as_weights(first, second)
    assert wasserstein(positions, *weights) == pytest.approx(stats.wasserstein_distance(first, second), abs=1e-9)
    assert kolmogorov_smirnov(*weights) == pytest.approx(
        float(stats.ks_2samp(first, second, method="auto").statistic), abs=1e-9
    )


@settings(max_examples=60, deadline=None)
@given(numbers=NUMBERS, seed=some.integers(0, 1000))
def test_weighted_distances_as_scipy_has_them(numbers: list[float], seed: int) -> None:
    positions = np.unique(numbers)
    first, second = np.random.default_rng(seed).uniform(0.1, 3, (2, len(positions)))
    expected = stats.wasserstein_distance(positions, positions, first, second)
    assert wasserstein(positions, first, second) == pytest.approx(expected, abs=1e-9)
