"""Intervals against scipy, and resampling against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.metrics.intervals import bootstrap_interval, bounds, mean_interval, numbered, resampled_sums, sum_by

VALUES = st.lists(st.floats(1, 7), min_size=2, max_size=40)


@given(VALUES, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_means_have_scipys_interval(values: list[float], level: float) -> None:
    found = mean_interval(values, level)
    error = scipy.stats.sem(values)
    assert found.n == len(values)
    if error < 1e-12:
        assert found.low == pytest.approx(found.high)
        return
    low, high = scipy.stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=error)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_the_bootstrap_is_scipys() -> None:
    """Percentiles of 20,000 resamples of 30 numbers: two programs' bounds differ by chance, by about a hundredth of the
    width (the standard error of a 2.5% quantile of so many draws is some 0.02 standard deviations)."""
    values = np.random.default_rng(1).gamma(2.0, 1.0, 30)
    ours = bootstrap_interval(values.tolist(), resamples=20_000, seed=3)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_clusters_are_drawn_whole() -> None:
    """Ten agents with ten equal answers each are ten numbers, not a hundred: the interval is that of the ten.

    The spread of a mean of ten is sqrt 10 times that of a hundred.
    """
    agents = np.random.default_rng(0).normal(4, 1, 10)
    values, who = np.repeat(agents, 10).tolist(), np.repeat(np.arange(10), 10).tolist()
    clustered = bootstrap_interval(values, clusters=who)
    assert clustered == (pytest.approx(agents.mean()), clustered.low, clustered.high, 100)
    by_agent = bootstrap_interval(agents.tolist())
    assert (clustered.low, clustered.high) == (pytest.approx(by_agent.low), pytest.approx(by_agent.high))
    alone = bootstrap_interval(values)
    assert (clustered.high - clustered.low) / (alone.high - alone.low) == pytest.approx(math.sqrt(10), rel=0.15)


def test_too_little_has_no_interval() -> None:
    assert bootstrap_interval([])[0] != bootstrap_interval([])[0]  # NaN
    one = bootstrap_interval([3.0])
    assert (one.mean, one.n) == (3.0, 1)
    assert math.isnan(one.low)
    assert math.isnan(bootstrap_interval([3.0, 4.0], clusters=["a", "a"]).low)


def test_the_level_is_covered() -> None:
    """Of 400 samples of 40 from a normal distribution, about 95% of the intervals hold its mean; percentiles of so few
    are a little short, 93% or so. 88% lies four standard errors (of 1.2) below that."""
    draw = np.random.default_rng(5)
    held = 0
    for number in range(400):
        found = bootstrap_interval(draw.normal(0, 1, 40).tolist(), resamples=400, seed=number)
        held += found.low <= 0 <= found.high
    assert 0.88 <= held / 400 <= 0.99


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 300), st.integers(0, 99))
def test_resamples_have_as_many_units_as_there_are(n: int, columns: int, resamples: int, seed: int) -> None:
    """A column of ones sums to the number of units in each resample; other columns lie between n times least and most."""
    values = np.random.default_rng(seed).random((n, columns))
    found = resampled_sums(np.hstack([np.ones((n, 1)), values]), resamples, seed)
    assert found.shape == (resamples, columns + 1)
    assert (found[:, 0] == n).all()
    assert (found[:, 1:] >= n * values.min(axis=0) - 1e-9).all()
    assert (found[:, 1:] <= n * values.max(axis=0) + 1e-9).all()
    assert (found == resampled_sums(np.hstack([np.ones((n, 1)), values]), resamples, seed)).all()


def test_memory_stays_bounded_and_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of 3 resamples the sums still are sums of 50 units drawn with replacement."""
    units = np.column_stack([np.ones(50), np.arange(50)])
    monkeypatch.setattr("sandbox.metrics.intervals._DRAWS_AT_ONCE", 150)
    found = resampled_sums(units, 10)
    assert found.shape == (10, 2)
    assert (found[:, 0] == 50).all()
    assert len(set(found[:, 1])) > 5


def test_nothing_resampled_is_nothing() -> None:
    assert resampled_sums(np.zeros((0, 3)), 4).tolist() == [[0, 0, 0]] * 4


def test_bounds_want_half_of_the_resamples() -> None:
    nan = math.nan
    assert bounds(np.array([1.0, 2.0, 3.0, nan]), 0.5) == (1.5, 2.5)
    assert all(map(math.isnan, bounds(np.array([1.0, nan, nan, nan]))))
    assert all(map(math.isnan, bounds(np.array([]))))


def test_keys_are_numbered_as_they_are_met() -> None:
    known: dict[object, int] = {}
    first, n = numbered(["b", "a", "b"], known)
    assert (first.tolist(), n) == ([0, 1, 0], 2)
    second, n = numbered(["a", "c"], known)
    assert (second.tolist(), n) == ([1, 2], 3)
    assert sum_by(np.array([[1.0], [2.0], [4.0]]), np.array([0, 1, 0]), 3).tolist() == [[5.0], [2.0], [0.0]]
