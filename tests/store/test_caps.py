"""Caps on calls and tokens: never exceeded, used as far as they go, and the run can be resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.errors import SettingsError
from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.records import Interaction
from sandbox.store.run import open_run
from sandbox.world import World

MakeWorld = Callable[..., World]


class Remote(ScriptedModel):
    async def agenerate(self, request: Request) -> Reply:
        self.history.append(request)
        await asyncio.sleep(0)
        return self._reply(request)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 320), st.sampled_from([1, 3, 256]), st.booleans())
def test_no_call_is_made_over_a_cap_and_none_that_fits_is_left(
    tiny_world: MakeWorld,
    run_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    cap: int,
    in_flight: int,
    remote: bool,
) -> None:
    """Back-Scatter around agent i makes 6 + 2 n_i calls, n_i being its neighbours: it stops at the first interaction that
    does not fit, whoever else is under way, and goes on to the same run."""
    out = tmp_path_factory.mktemp("caps") / "run"
    model = Remote() if remote else ScriptedModel()
    world = tiny_world(model=model, out=out, max_calls=cap, in_flight=in_flight)
    run = world.run(3)
    near = [len(world.space.neighbors(agent)) for agent in world.members]
    spent, fit = 0, 0
    for _ in range(3):
        for n in near:
            if spent + 6 + 2 * n <= cap and fit < 27:
                spent, fit = spent + 6 + 2 * n, fit + 1
            else:
                break
        else:
            continue
        break
    assert len(model.history) == world.budget.counts["calls"] == spent <= cap
    kept = run.interactions()
    assert len(kept) == fit
    assert kept == open_run(run_dir).interactions()[:fit]
    assert (world.capped, world.running) == (fit < 27, fit == 27)
    world.close()
    resumed = tiny_world(out=out, resume=True)
    assert resumed.run(3).interactions() == open_run(run_dir).interactions()
    assert resumed.budget.counts["calls"] == 306


@pytest.mark.parametrize("remote", [False, True])
def test_a_cap_on_tokens_stops_near_it(tiny_world: MakeWorld, run_dir: Path, tmp_path: Path, remote: bool) -> None:
    """A run of 306 calls, capped at half of its tokens: it stops between 80% and 105% of that, at a whole interaction."""
    tokens = open_run(run_dir).manifest["tokens"]
    cap = (tokens["prompt"] + tokens["completion"]) // 2
    model = Remote() if remote else ScriptedModel()
    world = tiny_world(model=model, out=tmp_path / "a", max_tokens_total=cap)
    kept = world.run(3).interactions()
    assert world.capped
    assert 0.8 * cap <= world.budget.tokens <= 1.05 * cap
    assert all(i.error is None and i.after.value("alignment") is not None for i in kept)
    world.close()
    assert tiny_world(out=tmp_path / "a", resume=True).run(3).interactions() == open_run(run_dir).interactions()


def greedy(agent: Any, question: str, world: World) -> Any:
    """Makes 40 calls, more than are foreseen of any conversation."""
    replies = []
    for turn in range(20):
        replies += yield [agent.answer(question, turn=2 * turn), agent.answer(question, turn=2 * turn + 1)]
    return Interaction(
        world.round, agent.index, agent.label, question, draft=replies[-1].text, extra={"n": len(replies)}
    )


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("in_flight", [1, 256])
def test_a_protocol_that_talks_more_than_foreseen_is_stopped_all_the_same(
    tiny_world: MakeWorld, tmp_path: Path, in_flight: int, remote: bool
) -> None:
    """Nine conversations of 40 calls; at 100 two are whole when held one by one, none when eight are held together, who
    then have made 96. What was paid for is kept: the resumed run makes the others and no more."""
    model = Remote() if remote else ScriptedModel()
    world = tiny_world(protocol=greedy, model=model, out=tmp_path / "a", max_calls=100, in_flight=in_flight)
    run = world.run(1)
    assert world.capped
    assert len(model.history) <= 100
    assert len(run.interactions()) == (2 if in_flight == 1 else 0)
    assert run.manifest["tokens"]["calls"] == len(model.history) >= 96
    world.close()
    after = Remote() if remote else ScriptedModel()
    resumed = tiny_world(protocol=greedy, model=after, out=tmp_path / "a", resume=True)
    whole = tiny_world(protocol=greedy, out=tmp_path / "b").run(1).interactions()
    assert resumed.run(1).interactions() == whole
    assert len(after.history) == 360 - len(model.history)


@pytest.mark.parametrize("in_flight", [1, 256])
def test_a_protocol_may_declare_its_calls(tiny_world: MakeWorld, in_flight: int) -> None:
    """Nine conversations of 40 calls: where the protocol says so, two fit into 100 calls, and no third one starts."""

    def declared(agent: Any, question: str, world: World) -> Any:
        return (yield from greedy(agent, question, world))

    declared.max_calls = lambda agent, world: 40  # type: ignore[attr-defined]
    model = ScriptedModel()
    world = tiny_world(protocol=declared, model=model, max_calls=100, in_flight=in_flight)
    assert world.expected_calls(2) == 2 * 9 * 40
    run = world.run(1)
    assert (len(run.interactions()), len(model.history), world.capped) == (2, 80, True)


def test_a_cap_counts_what_was_paid_before(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """102 calls a round: at 150 it stops in the second; resumed with the same cap nothing more is called."""
    for _ in range(2):
        model = ScriptedModel()
        world = tiny_world(model=model, out=tmp_path / "a", max_calls=150, resume=True)
        world.run(3)
        counted = world.budget.counts["calls"]
        world.close()
    assert (len(model.history), world.capped) == (0, True)
    assert 102 < counted <= 150


@pytest.mark.parametrize("name", ["in_flight", "max_calls", "max_tokens_total"])
def test_a_cap_of_nothing_is_refused(tiny_world: MakeWorld, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}=0 must be at least 1"):
        tiny_world(**{name: 0})
    assert not (tmp_path / "run").exists()
