"""Calls that a log holds are not made again, and finished ones are stored before their conversation ends."""

from __future__ import annotations

import pytest
from echo import Echo, Log, RemoteEcho, run, say

from sandbox.conversation.scheduler import Scheduler


def test_a_logged_call_is_not_made_again() -> None:
    """Of four calls two are known: the model is asked for the other two, and all four are counted as finished."""
    model, log = Echo(), Log(a="known a", d="known d")
    counted: list[int] = []
    results = run([say(model, "a", "b"), say(model, "c", "d")], log=log, on_calls=counted.append)
    assert [r[1] for r in results] == [["known a", "<b>"], ["<c>", "known d"]]
    assert [sorted(batch) for batch in model.batches] == [["b", "c"]]
    assert sorted(log.recorded) == ["b", "c"]
    assert sum(counted) == 4


def test_a_remote_call_that_is_logged_is_not_made_again() -> None:
    model, log = RemoteEcho(), Log(a="known a")
    scheduler = Scheduler(in_flight=4, log=log)
    assert list(scheduler.run([(0, say(model, "a", "b"))])) == [(0, ["known a", "<b>"], None)]
    scheduler.close()
    assert model.made == 1
    assert log.recorded == ["b"]


@pytest.mark.parametrize("kind", [Echo, RemoteEcho])
def test_all_calls_of_a_conversation_are_kept_before_its_end_is_told(kind: type[Echo]) -> None:
    log = Log()
    scheduler = Scheduler(in_flight=2, log=log)
    for key, _, _ in scheduler.run((key, say(kind(), f"{key}a", f"{key}b")) for key in "123"):
        assert {f"{key}a", f"{key}b"} <= set(log.kept)
    scheduler.close()
