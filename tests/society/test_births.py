"""Agents that are added and removed while a run goes on: who lives in which round, and the same again from the record."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Personas, Prompts, Scenario, World, keyed_rng, open_run
from sandbox.errors import ScenarioError

MakeWorld = Callable[..., World]
TABLES = (
    "agents",
    "population",
    "interactions",
    "feedback",
    "states",
    "moves",
    "memories",
    "heard",
    "rounds",
    "events",
    "notes",
)


def say(agent, question, world):
    reply = yield agent.answer(question)
    for other in world.audience(agent):
        other.hear(reply, from_=agent)
    return world.interaction(agent, question, draft=reply.text)


def trade(agent, question, world):
    reply = yield agent.answer(question, heard=[("Before", world.last(agent).draft)])
    gain = keyed_rng(world.seed, world.round, agent.index, "gain").choice([-2, -1, 1, 2])
    return world.interaction(agent, question, draft=reply.text, extra={"gain": gain})


def settle(world, interactions):
    """In the first stage the oldest of every third round leaves; after the second the poor leave and the rich have a child."""
    if world.stage == "say":
        if world.round % 3 == 1:
            world.members[:1][0].remove()
        return
    for it in interactions:
        if (agent := world.members[it.agent]) in world.members and "gain" in it.extra:
            agent.state["purse"] += it.extra["gain"]
            if agent.state["purse"] <= 0:
                agent.remove()
            elif agent.state["purse"] >= 5:
                agent.state["purse"] -= 3
                child = world.add(label=agent.label, state={"purse": 3, "parent": agent.index})
                child.hear("Welcome.", from_=agent)


def arrive(world):
    newcomer = world.add(label="good", place=next(c.coordinate for c in world.space.places() if not c.is_full))
    world.tell("A newcomer is here.", [newcomer])


def lives(interactions, world):
    """Number of agents."""
    return len(world.members)


def village(**more: Any) -> Scenario:
    rules = {
        "questions": ["What do you trade?", "Whom do you trust?", "What is a fair price?"], "stages": [say, trade],
        "settle": settle, "state": {"purse": 3}, "measures": {"lives": lives}, "events": {2: arrive},
        "society": {"agents": 6, "movement": 0.5, "audience": "local_global", "reviewers": 2, "memory": "stream"}, **more,
    }  # fmt: skip
    return Scenario(name="village", **rules)


def recorded(out: Path) -> dict[str, list[Any]]:
    """All that is in the tables of a run."""
    db = sqlite3.connect(out / "run.sqlite")
    found = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
    found["calls"] = sorted(db.execute("SELECT key, model, reply FROM calls").fetchall())
    found["embeddings"] = sorted(db.execute("SELECT * FROM embeddings").fetchall())
    db.close()
    return found


@pytest.fixture
def whole(tiny_world: MakeWorld, tmp_path: Path) -> Path:
    tiny_world(village(), out=tmp_path / "whole").run(6)
    return tmp_path / "whole"


def test_the_record_says_who_lived_in_which_round(whole: Path) -> None:
    """Whoever is in the table of the population is asked in its rounds, has positions in them and a state after them."""
    run = open_run(whole)
    people = run.population()
    assert list(people["agent"]) == list(range(len(people)))
    assert (people["added"] > 0).sum() > 1
    assert people["removed"].notna().sum() > 1
    for round_ in range(6):
        there = people[(people["added"] <= round_) & ~(people["removed"] <= round_).fillna(False)]
        assert list(run.positions(round_)["agent"]) == list(there["agent"])
        assert [it.agent for it in run.interactions(round_)] == list(there["agent"])
        at = run.states().query("rounds == @round_ + 1")["agent"]
        assert run.metrics()[round_]["lives"] == len(at)
    positions = run.positions(5)
    assert len(positions[["x", "y"]].drop_duplicates()) == len(positions)


def test_whoever_is_removed_between_stages_keeps_what_it_said(whole: Path) -> None:
    """Agent 0 leaves after the first stage of the second round: it said something, and did not trade."""
    run = open_run(whole)
    gone, other = run.interactions(1)[:2]
    assert (gone.agent, gone.error, gone.extra) == (0, None, {})
    assert gone.draft
    assert "gain" in other.extra
    assert run.population()["removed"][0] == 2


@pytest.mark.parametrize("in_flight", [1, 7, 1000])
def test_a_run_that_is_resumed_or_branched_is_the_same_byte_for_byte(
    tiny_world: MakeWorld, tmp_path: Path, whole: Path, in_flight: int
) -> None:
    expected = recorded(whole)
    for rounds in (1, 2, 3, 5):
        world = tiny_world(village(), out=tmp_path / f"r{rounds}", in_flight=in_flight)
        world.run(rounds)
        world.close()
        tiny_world(village(), out=tmp_path / f"r{rounds}", in_flight=in_flight, resume=True).run(6)
        assert recorded(tmp_path / f"r{rounds}") == expected
        tiny_world(village(), out=tmp_path / f"b{rounds}", in_flight=in_flight, branch=f"{whole}@{rounds}").run(6)
        branched = recorded(tmp_path / f"b{rounds}")
        assert {name: branched[name] for name in TABLES} == {name: expected[name] for name in TABLES}


def test_a_replay_says_the_same(tiny_world: MakeWorld, tmp_path: Path, whole: Path) -> None:
    tiny_world(village(), model=f"replay:{whole}", out=tmp_path / "replay").run(6)
    found, expected = recorded(tmp_path / "replay"), recorded(whole)
    same = ("population", "interactions", "feedback", "states", "moves", "heard")
    assert {name: found[name] for name in same} == {name: expected[name] for name in same}


@pytest.mark.parametrize("how", ["stepped", "resumed"])
@pytest.mark.parametrize("moment", ["begin", "say", "barrier", "trade", "settle", "finish"])
def test_a_round_that_is_interrupted_at_any_moment_is_made_up(
    tiny_world: MakeWorld, tmp_path: Path, whole: Path, moment: str, how: str
) -> None:
    """In rounds 1, 2 and 4 something fails once, before the record, in a stage or at a barrier."""
    if (moment, how) == ("finish", "stepped"):
        pytest.skip("agents have moved by then; the program ends where the disk is full")
    broken = {1, 2, 4}

    def fail(at: str, world: Any) -> None:
        if at == moment and world.round in broken:
            broken.remove(world.round)
            raise RuntimeError("the power went out")

    def settled(world, interactions):
        settle(world, interactions)
        if world.stage == "trade":
            fail("settle", world)

    def before(world):
        arrive(world)
        fail("begin", world)

    def watched(call: Any, at: str, world: World) -> Any:
        def stop(*given: Any) -> None:
            if at != "trade" or given[0].round == world.round:
                fail(at, world)
            call(*given)

        return stop

    before.__name__, before.__doc__ = arrive.__name__, arrive.__doc__
    scenario, out, interrupted = village(settle=settled, events={2: before}), tmp_path / "broken", 0
    world = None
    while world is None or world.round < 6:
        if world is None:
            world = tiny_world(scenario, out=out, resume=True)
            for at, name in (("trade", "commit"), ("barrier", "add_barrier"), ("finish", "finish_round")):
                setattr(world.store, name, watched(getattr(world.store, name), at, world))
            world.on_calls = lambda calls, world=world: fail("say", world) if world.stage == "say" else None
        try:
            world.step()
        except (RuntimeError, ScenarioError):
            interrupted += 1
            if how == "resumed":
                world.close()
                world = None
    world.close()
    assert interrupted == (1 if moment == "begin" else 3)
    assert recorded(out) == recorded(whole)


@pytest.mark.slow
def test_a_killed_run_ends_the_same(tmp_path: Path) -> None:
    """Killed with -9 at several moments of its calls, each of which takes 10 ms."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_births import village; from sandbox import World; "
        "World(village(), model='scripted:', embedder='hashing', size=3, out=sys.argv[2], resume=True, in_flight=1, "
        "**{'model.delay_s': 0.01}).run(6)"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    for wait in (0.05, 0.1, 0.17, 0.23, 0.3, 0.4):
        process = subprocess.Popen([*command, str(tmp_path / "killed")])
        began = time.monotonic()
        while not (tmp_path / "killed" / "manifest.json").exists() and time.monotonic() - began < 60:
            time.sleep(0.01)
        time.sleep(wait + 1.0)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], check=True)
    assert recorded(tmp_path / "killed") == recorded(tmp_path / "whole")


def test_what_a_new_agent_begins_with_depends_on_its_number_alone(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Agents 4 and 5 are the same whether they come in one round or in two, and with other labels in between."""
    rows = [{"name": f"P{i}", "age": str(i)} for i in range(40)]

    def society(events: Any) -> World:
        scenario = Scenario(
            questions=["Q?"], personas=Personas(rows, "You are {age}."), population="all_good", events=events,
            protocol=_only_say, society={"agents": 4}, roles={"good": "Be good.", "bad": "Be bad."},
        )  # fmt: skip
        return tiny_world(scenario, out=tmp_path / str(len(list(tmp_path.iterdir()))))

    both = society({0: lambda world: [world.add(label="good"), world.add(label="bad")]})
    single = society({0: lambda world: world.add(label="bad"), 1: lambda world: world.add(label="good")})
    for world in (both, single):
        world.run(2)
    assert [dict(both.members[i].persona) for i in (4, 5)] == [dict(single.members[i].persona) for i in (4, 5)]
    assert [agent.label for agent in both.members][4:] == ["good", "bad"]
    people = open_run(both.path).agents()
    assert list(people["age"][4:]) == [int(both.members[i].persona["age"]) for i in (4, 5)]


def _only_say(agent, question, world):
    reply = yield agent.answer(question)
    return world.interaction(agent, question, draft=reply.text)


def simple(**more: Any) -> Scenario:
    return Scenario(**{"questions": ["Q?"], "protocol": _only_say, "population": "all_good", **more})


def test_members_are_found_by_number_and_drawn_among_those_who_live(tiny_world: MakeWorld) -> None:
    def leave(world):
        for index in (0, 2):
            world.members[index].remove()

    world = tiny_world(simple(events={0: leave}), size=2, out=None)
    world.run(1)
    assert (len(world.members), [agent.index for agent in world.members]) == (2, [1, 3])
    assert [world.members[2].name, world.members[-1].name] == ["Agent 3", "Agent 4"]
    assert (world.members[2] in world.members, world.members[3] in world.members) == (False, True)
    assert [agent.index for agent in world.members[:1]] == [1]
    assert {keyed_rng(i).choice(world.members).index for i in range(20)} == {1, 3}
    assert {agent.index for agent in keyed_rng(0).sample(world.members, 2)} == {1, 3}
    assert len(world.agents) == 2  # Mesa's own
    with pytest.raises(IndexError, match="there is no agent 4; agents are 0 to 3"):
        world.members[4]


def test_a_new_node_is_linked_to_the_neighbours_that_are_given(tiny_world: MakeWorld, tmp_path: Path) -> None:
    def arrive(world):
        world.add(neighbours=[0, world.members[2]])

    scenario = simple(events={1: arrive}, society={"neighborhood": "small_world", "degree": 2, "movement": 0.3})
    world = tiny_world(scenario, size=2, out=tmp_path / "net")
    world.run(3)
    near = sorted(other.index for other in world.space.neighbors(world.members[4]))
    world.close()
    again = tiny_world(scenario, size=2, out=tmp_path / "net", resume=True)
    assert sorted(other.index for other in again.space.neighbors(again.members[4])) == near
    assert sorted(again.space.G.neighbors(4)) == [0, 2]
    run = open_run(tmp_path / "net")
    assert sorted(run.network().neighbors(4)) == [0, 2]
    assert run.population()["added"].tolist() == [0, 0, 0, 0, 1]


def test_rounds_without_agents_are_said_and_not_a_crash(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """All leave after the first round; an event of the fourth adds one."""

    def leave(world):
        if world.round == 0:
            for agent in list(world.members):
                agent.remove()

    out = tmp_path / "empty"
    scenario = simple(after_round=leave, events={3: lambda world: world.add()}, measures={"lives": lives})
    tiny_world(scenario, size=2, out=out).run(2)
    tiny_world(scenario, size=2, out=tmp_path / "next", branch=f"{out}@2").run(4)
    run = open_run(tmp_path / "next")
    assert [len(run.interactions(round_)) for round_ in range(4)] == [4, 0, 0, 1]
    note = "no agent is left from round 2 on: these rounds have no interactions"
    assert any(note in one for one in run.manifest["notes"])
    assert run.summary()["interactions"] == 5
    asked = run.survey([{"question": "Q?", "options": "yes|no"}], at="0,2,last", scenario=scenario)
    assert asked.groupby("at").size().to_dict() == {0: 4, 4: 1}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda w: w.add(label="goood"), r"add\(label='goood'\): there is no such label. Did you mean 'good'"),
        (lambda w: w.add(), r"add\(...\) needs a label: label='good'"),
        (lambda w: w.add(label="good"), r"all 4 places are taken \(capacity=1\); remove an agent first"),
        (lambda w: w.add(label="good", place=(0, 1)), r"add\(place=\(0, 1\)\): the place is taken by Agent 2; remove an agent"),
        (lambda w: w.add(label="good", place=(7, 7)), r"there is no such place; place is \(row, column\), with rows 0 to 1"),
        (lambda w: w.add(label="good", near=9), r"add\(near=9\): there is no such agent, or it was removed"),
        (lambda w: w.add(label="good", near=0), r"add\(near=Agent 1\): no place within its neighbourhood is free"),
        (lambda w: w.add(label="good", neighbours=[0]), r"add\(neighbours=...\): links are of networks"),
        (lambda w: w.add(label="good", place=(0, 0), near=0), r"give one of place, near and neighbours"),
        (lambda w: w.add(label="good", persona={"age": 3}), r"the scenario has no personas, so that no prompt would tell it"),
        (lambda w: (w.members[1].remove(), w.members[1].remove()), r"Agent 2 was removed before"),
        (lambda w: (w.members[1].remove(), w.members[1].state.update(x=1)), r"was changed, but Agent 2 was removed; leave it"),
    ],
)  # fmt: skip
def test_faults_name_the_function_and_the_remedy(tiny_world: MakeWorld, call: Any, words: str) -> None:
    """And nothing has changed: the next step is as if nothing had been tried."""
    world = tiny_world(simple(population="half_half", before_round=call), size=2, out=None)
    with pytest.raises(ScenarioError, match=words):
        world.step()
    assert [agent.index for agent in world.members] == [0, 1, 2, 3]
    assert not world.store.changes()


def test_changes_within_a_stage_are_refused(tiny_world: MakeWorld, tmp_path: Path) -> None:
    for number, call in enumerate([lambda agent: agent.remove(), lambda agent: agent.world.add(label="good")]):

        def leave(agent, question, world, call=call):
            call(agent)
            return world.interaction(agent, question, draft="x")

        world = tiny_world(simple(protocol=leave), size=2, out=tmp_path / str(number))
        with pytest.raises(
            ScenarioError, match=r"\(...\) was called within a stage, or outside a round|remove\(\) was called"
        ):
            world.step()


def test_whoever_was_removed_is_not_asked(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """A protocol that lets one speak that is gone fails in that conversation alone."""

    def with_the_first(agent, question, world):
        reply = yield world.members[0].answer(question)
        return world.interaction(agent, question, draft=reply.text)

    scenario = simple(protocol=with_the_first, events={1: lambda world: world.members[0].remove()})
    tiny_world(scenario, size=2, out=tmp_path / "gone").run(2)
    run = open_run(tmp_path / "gone")
    assert [it.error is None for it in run.interactions(0)] == [True] * 4
    assert all("Agent 1 was removed and speaks no more" in str(it.error) for it in run.interactions(1))


def test_states_in_prompts_of_a_new_agent(tiny_world: MakeWorld, scripted_lm: Any) -> None:
    lm = scripted_lm(lambda request: "Nothing.", in_order=False)
    scenario = simple(
        state=lambda agent, world: {"purse": agent.index}, prompts=Prompts(answer="You own {state[purse]}. {question}"),
        events={1: lambda world: (world.members[0].remove(), world.add(state={"purse": 9}))},
    )  # fmt: skip
    tiny_world(scenario, size=2, model=lm, out=None).run(2)
    asked = [request.messages[-1].content for request in lm.history]
    assert asked == [f"You own {n}. Q?" for n in (0, 1, 2, 3, 1, 2, 3, 9)]
