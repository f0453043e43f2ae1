"""Rounds with states and stages that are broken off at any moment go on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Prompts, Scenario, World, keyed_rng, open_run
from sandbox.errors import ScenarioError
from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.store.writer import RunWriter

MakeWorld = Callable[..., World]


def give(agent, question, world):
    choice = yield agent.choose(question, ("0", "5", "10"))
    gift = float(choice.draw(keyed_rng(world.seed, world.round, agent.index, "gift")))
    return world.interaction(agent, question, draft=choice.best, extra={"gift": gift, "bag": agent.state["bag"]})


def punish(agent, question, world):
    gifts = {i: it.extra["gift"] for i, it in world.said("give").items() if it.error is None}
    before = world.last(agent)
    reply = yield agent.answer(f"They gave {gifts}; you said {before.draft}; your bag: {','.join(agent.state['bag'])}")
    return world.interaction(
        agent, question, draft=reply.text, extra={"fined": min(gifts, key=lambda i: (gifts[i], i))}
    )


def settle(world, interactions):
    """Purses by gifts and fines; a bag whose keys are not in the order of the alphabet."""
    for it in interactions:
        state = world.members[it.agent].state
        if it.error is not None:
            state["purse"] -= 100
        elif world.stage == "give":
            state["purse"] -= it.extra["gift"]
            state["bag"][f"{'zyx'[world.round % 3]}{world.round}"] = 1
        else:
            world.members[it.extra["fined"]].state["purse"] -= 1


def interest(world):
    """Purses grow by the rate of the world."""
    for agent in world.members:
        agent.state["purse"] *= 1 + world.state["rate"]


def crash(world):
    """Half of the rate is lost."""
    world.state["rate"] /= 2


def count(world):
    world.state["rounds"] += 1


def purse(interactions, world):
    """Mean purse, in coins."""
    return sum(agent.state["purse"] for agent in world.members) / len(world.members)


def game(**more: Any) -> Scenario:
    rules: dict[str, Any] = {
        "name": "game", "questions": ["What do you give?"], "population": {"player": 1.0}, "stages": [give, punish],
        "settle": settle, "before_round": interest, "after_round": count, "events": {1: crash},
        "state": lambda agent, world: {"purse": 20.0 + agent.index, "bag": {}}, "world_state": {"rate": 0.5, "rounds": 0},
        "prompts": Prompts(choose="You own {state[purse]:.2f} at {world_state[rate]:.0%}. {question} {options}"),
        "measures": {"purse": purse}, "society": {"recall_distance": 0.0},
    }  # fmt: skip
    return Scenario(**{**rules, **more})


def contents(path: Path, *, models: bool = True) -> list[Any]:
    """All rows of all tables; without the names of models, and where a branch took its calls from, if told so."""
    with sqlite3.connect(path / "run.sqlite") as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
        kept = [name for name in tables if models or name not in ("calls", "agents", "branch_calls")]
        return [(name, sorted(map(repr, db.execute(f"SELECT * FROM {name}")))) for name in kept]


@pytest.fixture
def whole(tiny_world: MakeWorld, tmp_path: Path) -> Path:
    tiny_world(game(), size=2, out=tmp_path / "whole", in_flight=1).run(3)
    return tmp_path / "whole"


def test_what_comes_before_and_after_rounds_is_recorded(whole: Path) -> None:
    """The rate is 0.5 in the first round, and halved before the second; a purse of agent 0 grows before it gives."""
    run = open_run(whole)
    assert run.world_states().to_dict("list") == {
        "rounds": [0, 1, 2, 3], "rate": [0.5, 0.5, 0.25, 0.25], "state.rounds": [0, 1, 2, 3],
    }  # fmt: skip
    assert run.events().values.tolist() == [[1, "crash", "Half of the rate is lost."]]
    states = run.states()
    first = run.interactions(0)
    fines = [it.extra["fined"] for it in first].count(0)
    expected = 20.0 * 1.5 - first[0].extra["gift"] - fines
    assert states.query("rounds == 1 and agent == 0")["purse"].item() == pytest.approx(expected)
    assert (run.state(0)["bag"], run.state()["rate"]) == ({"z0": 1, "y1": 1, "x2": 1}, 0.25)
    assert dict(contents(whole))["barriers"] == []


@pytest.mark.parametrize("in_flight", [1, 7, 1000])
def test_replies_in_any_number_give_the_same_bytes(
    tiny_world: MakeWorld, tmp_path: Path, whole: Path, in_flight: int
) -> None:
    """At once; resumed after every round; as a branch; and replayed without a model."""
    tiny_world(game(), size=2, out=tmp_path / "once", in_flight=in_flight).run(3)
    for rounds in (1, 2, 3):
        world = tiny_world(game(), size=2, out=tmp_path / "parts", in_flight=in_flight, resume=True)
        world.run(rounds)
        world.close()
    for name in ("once", "parts"):
        assert contents(tmp_path / name) == contents(whole)
    tiny_world(game(), size=2, out=tmp_path / "branch", in_flight=in_flight, branch=f"{whole}@1").run(3)
    tiny_world(game(), size=2, out=tmp_path / "replay", in_flight=in_flight, model=f"replay:{whole}").run(3)
    for name in ("branch", "replay"):
        assert contents(tmp_path / name, models=False) == contents(whole, models=False)


TRANSACTIONS = ("add_calls", "commit", "add_barrier", "finish_round", "set_states", "add_embeddings")


def killed_at(out: Path, transaction: int, *, after: bool) -> bool:
    """Run the game in a process that is killed before or after one of its transactions; whether it was."""
    child = os.fork()
    if not child:
        passed = 0
        for name in TRANSACTIONS:
            own = getattr(RunWriter, name)

            def wrapped(self: RunWriter, *given: Any, own: Any = own, **named: Any) -> None:
                nonlocal passed
                passed += 1
                if passed == transaction and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                own(self, *given, **named)
                if passed == transaction:
                    os.kill(os.getpid(), signal.SIGKILL)

            setattr(RunWriter, name, wrapped)
        World(game(), model="scripted:", embedder="hashing", size=2, out=out, in_flight=3, resume=True).run(3)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_killed_before_or_after_any_transaction_it_ends_the_same(
    tiny_world: MakeWorld, tmp_path: Path, whole: Path
) -> None:
    """Between rounds, between stages, in the middle of both, and while the states of a barrier are being stored."""
    n = 1
    while killed_at(out := tmp_path / f"killed {n}", n, after=n % 2 == 0):
        world = tiny_world(game(), size=2, out=out, in_flight=2, resume=True)
        world.run(3)
        world.close()
        assert contents(out) == contents(whole), f"transaction {n}"
        n += 1
    assert n > 20


@pytest.mark.parametrize("stage", ["give", "punish"])
def test_a_round_is_stepped_again_after_a_fault_of_settle(
    tiny_world: MakeWorld, tmp_path: Path, whole: Path, stage: str
) -> None:
    """In the same process: what the functions of the round had changed is not changed twice."""
    faults = [1, 1]

    def faulty(world, interactions):
        settle(world, interactions)
        if (world.round, world.stage) == (1, stage) and faults:
            faults.pop()
            world.state["rat"] += 1

    world = tiny_world(game(settle=faulty), size=2, out=tmp_path / "run")
    words = (
        rf"^{__file__}:\d+: settle of the scenario failed: KeyError: the state of the world has no 'rat'; it has 'rate'"
    )
    for _ in range(2):
        with pytest.raises(ScenarioError, match=words):
            world.run(3)
    world.run(3)
    assert contents(tmp_path / "run") == contents(whole)


def test_a_round_is_stepped_again_after_an_interrupt(tiny_world: MakeWorld, tmp_path: Path, whole: Path) -> None:
    world, n = tiny_world(game(), size=2, out=tmp_path / "run", in_flight=1), 0

    def interrupt(ended: Any) -> None:
        nonlocal n
        n += 1
        if n in (2, 5, 6):
            raise KeyboardInterrupt

    world.on_interactions = interrupt
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            world.run(3)
    world.run(3)
    assert contents(tmp_path / "run") == contents(whole)


def test_what_failed_before_a_barrier_stays_failed_behind_it(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Agent 1 cannot give; killed behind the barrier and resumed with a line that works, all go on from what was said.

    Others have already read that it gave nothing, and its purse has lost 100 coins for it.
    """

    def shaky(request: Request) -> Reply:
        if request.choices and "Agent 2," in request.messages[0].content:
            return Reply("", finish_reason="error", error="the line is down")
        return ScriptedModel().generate([request])[0]

    def model() -> ScriptedModel:
        made = ScriptedModel(replies=shaky)
        made.fingerprint = ScriptedModel().fingerprint
        return made

    tiny_world(game(), size=2, out=tmp_path / "whole", model=model()).run(1)
    out = tmp_path / "run"
    world = tiny_world(game(), size=2, out=out, model=model(), in_flight=1)

    def interrupt(ended: Any) -> None:
        if ended[0].error is None:
            raise KeyboardInterrupt

    world.on_interactions = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.run(1)
    world.close()
    assert len(open_run(out).interactions()) == 2
    tiny_world(game(), size=2, out=out, resume=True).run(1)
    assert contents(out) == contents(tmp_path / "whole")
    assert open_run(out).state(1)["purse"] < -50


def test_the_newest_interaction_may_be_rounds_old(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """A third of the agents is asked in a round; each finds its own last answer however long ago, also when resumed."""
    found: list[tuple[int, int, Any]] = []

    def speak(agent, question, world):
        before = world.last(agent)
        found.append((world.round, agent.index, before and before.round))
        reply = yield agent.answer(question)
        return world.interaction(agent, question, draft=reply.text)

    scenario = Scenario(questions=["Q?"], protocol=speak, society={"active": 1 / 3})
    for rounds in (6, 12):
        world = tiny_world(scenario, out=tmp_path / "run", resume=True)
        world.run(rounds)
        world.close()
    asked: dict[int, int] = {}
    for round_, agent, before in found:
        assert before == asked.get(agent)
        asked[agent] = round_
    assert max(round_ - before for round_, _, before in found if before is not None) > 2


def as_mesa_users_write(agent, question, world):
    agent.purse = getattr(agent, "purse", 0) + 1
    yield None
    return world.interaction(agent, question, draft="1")


def relabels(agent, question, world):
    agent.label = "rich"
    yield None
    return world.interaction(agent, question, draft="1")


def walks(agent, question, world):
    agent.move_to(world.members[0].cell)
    yield None
    return world.interaction(agent, question, draft="1")


def marks_the_world(agent, question, world):
    world.tax = 0.1
    yield None
    return world.interaction(agent, question, draft="1")


def appends(agent, question, world):
    yield None
    agent.state["bag"].update(x=1)
    return world.interaction(agent, question, draft="1")


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (as_mesa_users_write, r"agent.purse = ... would be lost when the run is resumed: only states are recorded. Begin it "
         r"with Scenario\(state={'purse': ...}\), and change agent.state\['purse'\] in settle\(world, interactions\)"),
        (relabels, "agent.label = ... would be lost when the run is resumed: only states are recorded"),
        (walks, r"agent.cell = ... would be lost .* Let Scenario\(move=...\), a function of \(agent, world\), return the cell"),
        (marks_the_world, r"world.tax = ... would be lost .* Scenario\(world_state={'tax': ...}\), and change "
         r"world.state\['tax'\]"),
        (appends, r"state\['bag'\] of Agent 1 was changed in place within a stage"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_refused_with_its_line(tiny_world: MakeWorld, protocol: Any, words: str) -> None:
    world = tiny_world(game(stages=[protocol]), size=2)
    first = protocol.__code__.co_firstlineno
    with pytest.raises(ScenarioError, match=rf"^{__file__}:({'|'.join(str(first + i) for i in range(1, 4))}): {words}"):
        world.step()


def test_mesas_own_ways_of_setting_are_found_out_too(tiny_world: MakeWorld) -> None:
    world = tiny_world(game(), size=2)
    with pytest.raises(ScenarioError, match=rf"^{__file__}:\d+: agent.wealth = ... would be lost"):
        world.agents.set("wealth", 1)
    with pytest.raises(TypeError):
        world.members[0].persona["purse"] = 1
    with pytest.raises(ScenarioError, match="the state of the world was changed within a stage"):
        world.state["rate"] = 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": {"money": 1}}, r"prompts.choose: uses {state\[purse\]}; state begins with money\."),
        ({"world_state": {"rates": 1}}, r"uses {world_state\[rate\]}; world_state begins with rates. Did you mean 'rates'\?"),
        ({"state": lambda agent, world: 3}, "the state of Agent 1 is a int; a mapping is expected"),
        ({"state": lambda agent, world: agent.purse}, rf"^{__file__}:\d+: state of the scenario failed: AttributeError"),
        ({"prompts": Prompts(answer="{state.purse}")}, r"uses {state.purse}; it may use .*{state\[KEY\]}, {world_state"),
        ({"after_round": 3}, r"after_round: expected a function of \(world\), found 3"),
    ],
)  # fmt: skip
def test_what_cannot_begin_is_refused_before_anything_is_written(
    tiny_world: MakeWorld, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ScenarioError, match=words):
        tiny_world(game(**changes), size=2, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_an_agent_of_a_run_chats_with_its_last_state(tiny_world: MakeWorld, tmp_path: Path) -> None:
    from sandbox.chat import agent_role

    scenario = game(prompts=Prompts(answer="You own {state[purse]:.2f} at {world_state[rate]:.0%}. {question}"))
    run = tiny_world(scenario, size=2).run(2)
    told = agent_role(run, 0, scenario=scenario).message("Why?", None)
    assert told == f"You own {run.state(0)['purse']:.2f} at 25%. Why?"


def test_the_prompts_of_every_stage_are_shown() -> None:
    from sandbox.preview.prompt_preview import render_prompts

    shown = render_prompts(game())
    assert [(one.templates[:2], one.note.partition(";")[0]) for one in shown] == [
        (("answer_system", "choose"), "in the stage give"), (("answer_system", "answer"), "in the stage punish"),
    ]  # fmt: skip
