"""States of agents and of the world, and stages of a round, in a public-goods game of scripted players."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox import Scenario, World, keyed_rng, open_run
from sandbox.cli.output import say_losses
from sandbox.errors import ScenarioError

MakeWorld = Callable[..., World]


def give(agent, question, world):
    reply = yield agent.answer(question)
    amount = keyed_rng(world.seed, world.round, agent.index, "gift").choice([0, 5, 10])
    return world.interaction(agent, question, draft=reply.text, extra={"gift": amount})


def punish(agent, question, world):
    gifts = {index: it.extra["gift"] for index, it in world.said("give").items() if it.error is None}
    last = world.last(agent)
    reply = yield agent.answer(f"{question} They gave {sorted(gifts.items())}. You said: {last.draft}")
    return world.interaction(agent, question, draft=reply.text, extra={"fined": min(gifts, key=gifts.get)})


def settle(world, interactions):
    if world.stage == "give":
        share = 1.6 * sum(it.extra["gift"] for it in interactions) / len(world.members)
        for it in interactions:
            world.members[it.agent].state["purse"] += np.float32(share - it.extra["gift"])
        world.state["shares"] = [*world.state["shares"], share]
    else:
        for it in interactions:
            world.members[it.extra["fined"]].state["purse"] -= 1


def purse(interactions, world):
    """Mean purse, in coins."""
    return sum(agent.state["purse"] for agent in world.members) / len(world.members)


def game(**more: Any) -> Scenario:
    rules = {
        "questions": ["What do you give?"], "stages": [give, punish], "settle": settle, "state": {"purse": 20.0},
        "world_state": {"shares": []}, "measures": {"purse": purse}, **more,
    }  # fmt: skip
    return Scenario(name="game", **rules)


def told(out: Path) -> tuple[Any, ...]:
    """All that is recorded of a game but times."""
    run = open_run(out)
    return run.interactions(), run.metrics(), run.states().to_dict("records"), run.world_states().to_dict("records")


@pytest.fixture
def whole(tiny_world: MakeWorld, tmp_path: Path) -> Path:
    tiny_world(game(), size=2, out=tmp_path / "whole").run(3)
    return tmp_path / "whole"


def test_states_follow_from_what_was_done_in_each_stage(whole: Path) -> None:
    """Each purse begins with 20; a round adds 1.6 times the mean gift less one's own, and takes 1 for each fine."""
    run = open_run(whole)
    purses = [20.0] * 4
    for round_ in range(3):
        found = run.interactions(round_)
        gifts = [it.extra["gift"] for it in found]
        purses = [p + 1.6 * sum(gifts) / 4 - gift for p, gift in zip(purses, gifts, strict=True)]
        for it in found:
            purses[it.extra["fined"]] -= 1
        states = run.states().query("rounds == @round_ + 1")
        assert list(states["purse"]) == pytest.approx(purses)
        assert run.metrics()[round_]["purse"] == pytest.approx(sum(purses) / 4)
        assert [it.extra["stages"]["give"]["extra"] for it in found] == [{"gift": gift} for gift in gifts]
    assert [it.protocol for it in run.interactions(0)] == ["give+punish"] * 4
    assert list(run.states().query("rounds == 0")["purse"]) == [20.0] * 4
    assert [len(shares) for shares in run.world_states()["shares"]] == [0, 1, 2, 3]
    assert [len(run.interactions(round_)) for round_ in range(3)] == [4, 4, 4]


@pytest.mark.parametrize("in_flight", [1, 3, 1000])
def test_a_game_that_is_resumed_or_branched_ends_the_same(
    tiny_world: MakeWorld, tmp_path: Path, whole: Path, in_flight: int
) -> None:
    tiny_world(game(), size=2, out=tmp_path / "part", in_flight=in_flight).run(1)
    tiny_world(game(), size=2, out=tmp_path / "branch", branch=f"{whole}@2", in_flight=in_flight).run(3)
    open_world = tiny_world(game(), size=2, out=tmp_path / "other", in_flight=in_flight)
    open_world.run(2)
    open_world.close()
    tiny_world(game(), size=2, out=tmp_path / "other", resume=True, in_flight=in_flight).run(3)
    assert told(tmp_path / "other") == told(tmp_path / "branch") == told(whole)


def test_a_cap_stops_between_stages_and_the_rest_is_made_up(tiny_world: MakeWorld, tmp_path: Path, whole: Path) -> None:
    """Eight calls a round: a cap of 10 ends in the first stage of the second round, one of 13 in its second."""
    for cap in (10, 13):
        out = tmp_path / str(cap)
        scenario = game(stages=[_capped(give), _capped(punish)])
        world = tiny_world(scenario, size=2, out=out, max_calls=cap)
        world.run(3)
        assert world.capped
        world.close()
        tiny_world(scenario, size=2, out=out, resume=True).run(3)
        assert told(out)[0] == told(whole)[0]
        assert told(out)[2] == told(whole)[2]


def _capped(stage):
    def protocol(agent, question, world):
        return (yield from stage(agent, question, world))

    protocol.__name__, protocol.max_calls = stage.__name__, lambda agent, world: 1
    return protocol


@pytest.mark.slow
def test_a_killed_game_ends_the_same(tmp_path: Path) -> None:
    """Killed with -9 at four moments of its calls, each of which takes 20 ms."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_states import game; from sandbox import World; "
        "World(game(), model='scripted:', embedder='hashing', size=2, out=sys.argv[2], resume=True, in_flight=1, "
        "**{'model.delay_s': 0.02}).run(3)"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    for wait in (0.05, 0.1, 0.2, 0.3):
        process = subprocess.Popen([*command, str(tmp_path / "killed")])
        began = time.monotonic()
        while not (tmp_path / "killed" / "manifest.json").exists() and time.monotonic() - began < 60:
            time.sleep(0.01)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], check=True)
    assert told(tmp_path / "killed") == told(tmp_path / "whole")


def test_states_are_in_prompts_and_change_before_rounds_and_at_events(tiny_world: MakeWorld, scripted_lm: Any) -> None:
    from sandbox import Prompts

    def collect(world):
        for agent in world.members:
            agent.state["purse"] += 1

    def tax(world):
        world.members[0].state.update(purse=0)

    lm = scripted_lm(lambda request: "Nothing.", in_order=False)
    world = tiny_world(
        Scenario(
            questions=["Q?"], protocol=lambda a, q, w: (yield from _say(a, q, w)),
            state=lambda agent, world: {"purse": agent.index},
            prompts=Prompts(answer="You own {state[purse]:.0f}. {question}"), before_round=collect, events={1: tax},
        ),
        size=2, model=lm,
    )  # fmt: skip
    world.run(2)
    asked = [request.messages[-1].content for request in lm.history]
    assert asked == [f"You own {n}. Q?" for n in (1, 2, 3, 4, 0, 3, 4, 5)]


def _say(agent, question, world):
    reply = yield agent.answer(question)
    return world.interaction(agent, question, draft=reply.text)


def test_what_would_be_lost_is_refused(tiny_world: MakeWorld, tmp_path: Path) -> None:
    def keep(agent, question, world):
        agent.purse = 3
        return world.interaction(agent, question, draft="x")

    world = tiny_world(Scenario(questions=["Q?"], protocol=keep), size=2, out=tmp_path / "plain")
    with pytest.raises(ScenarioError, match=r"agent\.purse = \.\.\. would be lost when the run is resumed"):
        world.run(1)

    def write(agent, question, world):
        agent.state["purse"] = 3
        return world.interaction(agent, question, draft="x")

    world = tiny_world(Scenario(questions=["Q?"], protocol=write, state={"purse": 1}), size=2, out=tmp_path / "stage")
    with pytest.raises(ScenarioError, match=r"the state of Agent 1 was changed within a stage"):
        world.run(1)

    def append(agent, question, world):
        agent.state["log"].append(question)
        return world.interaction(agent, question, draft="x")

    world = tiny_world(Scenario(questions=["Q?"], protocol=append, state={"log": []}), size=2, out=tmp_path / "place")
    with pytest.raises(ScenarioError, match=r"state\['log'\] of Agent 1 was changed in place within a stage"):
        world.run(1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), r"state\['x'\] of Agent 1 is nan, which JSON cannot hold"),
        ([1, {2}], r"state\['x'\]\[1\] of Agent 1 is a set"),
        ({"a": open}, r"state\['x'\]\['a'\] of Agent 1 is a builtin_function"),
    ],
)
def test_what_json_cannot_hold_is_named(tiny_world: MakeWorld, value: Any, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        tiny_world(Scenario(questions=["Q?"], state={"x": value}), size=2)


def test_a_fault_of_settle_is_told_with_its_line_and_loses_nothing(
    tiny_world: MakeWorld, tmp_path: Path, whole: Path
) -> None:
    def broken(world, interactions):
        if world.round == 1 and world.stage == "punish":
            world.members[0].state["purze"] += 1
        settle(world, interactions)

    world = tiny_world(game(settle=broken), size=2, out=tmp_path / "out")
    with pytest.raises(
        ScenarioError, match=r"settle of the scenario failed: KeyError: .*the state of Agent 1 has no 'purze'"
    ):
        world.run(3)
    world.close()
    tiny_world(game(), size=2, out=tmp_path / "out", resume=True).run(3)
    assert told(tmp_path / "out") == told(whole)


def test_failures_of_complete_rounds_with_stages_are_not_promised_to_be_repeated(
    tiny_world: MakeWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def early(agent, question, world):
        if agent.index == 1:
            raise ValueError("lost")
        return world.interaction(agent, question, draft="x")

    def late(agent, question, world):
        assert world.last(agent).draft == "x"
        return world.interaction(agent, question, draft="y")

    world = tiny_world(Scenario(questions=["Q?"], stages=[early, late]), size=2, out=tmp_path / "out")
    run = world.run(1)
    summary = run.summary()
    assert (summary["failed"], summary["stages"]) == (1, ["early", "late"])
    assert [it.draft for it in run.interactions()] == ["y", None, "y", "y"]
    say_losses(summary)
    said = capsys.readouterr().out
    assert "ValueError: lost" in said
    assert "not repeated by --resume" in said
    assert "run again to another --out" in said


def test_a_stage_keeps_out_of_what_the_record_says_of_earlier_ones(tiny_world: MakeWorld, tmp_path: Path) -> None:
    def early(agent, question, world):
        return world.interaction(agent, question, draft="x", extra={"stages": 3})

    def late(agent, question, world):
        return world.interaction(agent, question, draft="y")

    world = tiny_world(Scenario(questions=["Q?"], stages=[early, late]), size=2, out=tmp_path / "out")
    with pytest.raises(ScenarioError, match=r"a stage returned extra\['stages'\].*choose another key"):
        world.run(1)


def test_faults_of_stages_and_states_are_listed_with_their_fields() -> None:
    with pytest.raises(ScenarioError) as found:
        Scenario(
            questions=["Q?"],
            stages=[give, give],
            protocol="vote",
            state=3,
            settle="x",
            events={-1: give},
            before_round=1,
        )  # type: ignore[arg-type]
    for words in (
        "stages: names are used twice: give, give", "stages: protocol is given too", "state: expected a mapping or a function",
        "settle: expected a function of (world, interactions)", "events[-1]: expected the number of a round",
        "before_round: expected a function of (world)",
    ):  # fmt: skip
        assert words in str(found.value)


def test_a_stage_that_has_not_ended_cannot_be_read(tiny_world: MakeWorld) -> None:
    def early(agent, question, world):
        return world.interaction(agent, question, draft=str(world.said("punsh")))

    with pytest.raises(ScenarioError, match=r"no stage of that name has ended in this round. Did you mean 'punish'\?"):
        tiny_world(game(stages=[early, punish], settle=None), size=2).run(1)
