"""Differences between two runs: values by hand, and pairing by agent."""

from __future__ import annotations

import math

import pytest

from sandbox.metrics.paired_differences import agent_differences


def test_numbers_are_paired_by_agent() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t(2) = 4.302653."""
    first = {0: {"x": 10, "name": "a"}, 1: {"x": 200}, 2: {"x": 3000, "only": 1}, 3: {"x": 5}}
    second = {0: {"x": 11, "name": "b"}, 1: {"x": 202}, 2: {"x": 3003}}
    found = agent_differences(first, second)
    assert set(found) == {"x"}
    half = 4.302653 / math.sqrt(3)
    assert [found["x"][key] for key in ("difference", "low", "high")] == pytest.approx(
        [2, 2 - half, 2 + half], abs=1e-5
    )
    assert (found["x"]["n"], found["x"]["over"], found["x"]["second"]) == (3, "agents", pytest.approx(3216 / 3))


def test_what_is_no_number_is_left_out() -> None:
    assert agent_differences({0: {"x": math.nan, "y": True}}, {0: {"x": 1.0, "y": False}}).keys() == {"y"}
    assert agent_differences({}, {}) == {}
