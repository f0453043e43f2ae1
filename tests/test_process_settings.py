from __future__ import annotations

import gc
import os
from contextlib import suppress

import pytest

from sandbox.process_settings import fewer_collections, let_threads_sleep


def test_threads_sleep_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    let_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    let_threads_sleep()
    assert "OMP_WAIT_POLICY" not in os.environ
    monkeypatch.delenv("GOMP_SPINCOUNT")
    let_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize(
    ("before", "within"),
    [((700, 10, 10), (10_000, 10, 10)), ((50_000, 5, 5), (50_000, 5, 5)), ((0, 10, 10), (0, 10, 10))],
)
def test_the_collector_runs_less_often_and_is_restored(
    before: tuple[int, int, int], within: tuple[int, int, int]
) -> None:
    """Also after an error; who has turned it off, or has it run less often already, keeps that."""
    kept = gc.get_threshold()
    gc.set_threshold(*before)
    try:
        with suppress(KeyError), fewer_collections():
            assert gc.get_threshold() == within
            raise KeyError
        assert gc.get_threshold() == before
    finally:
        gc.set_threshold(*kept)
