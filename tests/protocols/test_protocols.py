"""Protocols of outside packages: whatever they yield, however long they talk, and whatever they do wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import ScenarioError
from sandbox.models.base import Message, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.records import Interaction, Rating, Score
from sandbox.scenario.scenario import Scenario
from sandbox.world import World

MakeWorld = Callable[..., World]
Talk = Generator[Any, Any, Any]

SCENARIO = Scenario("one", ["Is it so?"])


class Waves(ScriptedModel):
    """Answers ``4`` or ``Yes.``, and remembers how many requests came in each batch."""

    def __init__(self) -> None:
        super().__init__(replies=lambda request: "4" if request.choices else "Yes.")
        self.waves: list[int] = []

    def generate(self, requests: Any) -> Any:
        self.waves.append(len(requests))
        return super().generate(requests)


def record(agent: Any, question: str, world: World, **fields: Any) -> Interaction:
    return world.interaction(agent, question, **fields)


def one_request(agent: Any, question: str, world: World) -> Talk:
    draft = yield agent.answer(question)
    return record(agent, question, world, draft=draft.text)


def a_list(agent: Any, question: str, world: World) -> Talk:
    replies = yield [agent.answer(question), *(peer.answer(question, turn=1) for peer in world.audience(agent))]
    return record(agent, question, world, draft=replies[0].text, extra={"others": [r.text for r in replies[1:]]})


def nothing(agent: Any, question: str, world: World) -> Talk:
    yield
    yield []
    return record(agent, question, world, draft="said without a model")


def several_turns(agent: Any, question: str, world: World) -> Talk:
    said = []
    for turn in range(5):
        reply = yield agent.answer(question, turn=turn)
        said.append(reply.text)
    return record(agent, question, world, draft=said[0], revision=said[-1], extra={"said": said})


def ending_early(agent: Any, question: str, world: World) -> Talk:
    draft = yield agent.answer(question)
    if agent.index % 2:
        return record(agent, question, world, draft=draft.text)
    revision = yield agent.revise(question, draft, [])
    return record(agent, question, world, draft=draft.text, revision=revision.text)


def the_same_agent_twice(agent: Any, question: str, world: World) -> Talk:
    """Every agent hears two others, and the first of them a second time; it also reviews itself."""
    first, *_ = world.audience(agent)
    draft = yield agent.answer(question)
    feedback = yield [first.review(agent, question, draft), first.review(agent, question, "No."),
                      agent.review(agent, question, draft)]  # fmt: skip
    score = yield world.observer.score(question, draft)
    return record(agent, question, world, draft=draft.text, feedback=tuple(feedback), before=score)


def without_a_word(agent: Any, question: str, world: World) -> Interaction:
    """No generator at all."""
    return record(agent, question, world, draft="at once")


def nested(agent: Any, question: str, world: World) -> Talk:
    def pair(peer: Any) -> Talk:
        first = yield peer.answer(question)
        second = yield peer.answer(first.text, turn=1)
        return first.text, second.text

    pairs = yield [pair(peer) for peer in world.audience(agent)]
    return record(agent, question, world, draft=str(len(pairs)))


@pytest.mark.parametrize(
    ("protocol", "waves"),
    [
        (one_request, [9]),
        (a_list, [9 + 9]),
        (nothing, []),
        (several_turns, [9] * 5),
        (ending_early, [9, 5]),
        (without_a_word, []),
        (nested, [9, 9]),
    ],
)
def test_all_agents_share_every_wave(tiny_world: MakeWorld, protocol: Any, waves: list[int]) -> None:
    """Nine agents, and a batch for each turn.

    The neighbours are asked 24 times in all (corners 2, edges 3, the middle 4: 8 + 12 + 4), but each of the nine the same.
    """
    model = Waves()
    world = tiny_world(SCENARIO, model=model, protocol=protocol)
    run = world.run(1)
    assert model.waves == waves
    assert [i.error for i in run.interactions()] == [None] * 9
    assert {i.protocol for i in run.interactions()} == {protocol.__name__}
    assert run.manifest["protocol"] == protocol.__name__


@pytest.mark.parametrize("protocol", [one_request, a_list, nothing, several_turns, ending_early, the_same_agent_twice])
def test_it_does_not_matter_how_many_talk_at_once(tiny_world: MakeWorld, tmp_path: Path, protocol: Any) -> None:
    first, *others = [
        tiny_world(protocol=protocol, out=tmp_path / f"{n}", in_flight=n).run(2).interactions() for n in (1, 7, 1000)
    ]
    assert len(first) == 18
    assert all(other == first for other in others)


def test_several_turns_are_told_apart(tiny_world: MakeWorld) -> None:
    """Five answers to one question in one round: the turn keys the random stream, so the made-up replies differ."""
    run = tiny_world(SCENARIO, protocol=several_turns).run(1)
    assert all(len(set(i.extra["said"])) == 5 for i in run.interactions())
    assert all(i.final == i.extra["said"][-1] for i in run.interactions())


def test_a_conversation_may_end_early(tiny_world: MakeWorld) -> None:
    run = tiny_world(SCENARIO, protocol=ending_early).run(1)
    assert [i.revision is None for i in run.interactions()] == [bool(i % 2) for i in range(9)]
    assert [question for question, _ in run.memories(1)] == ["Is it so?"]


def test_an_agent_may_take_part_twice(tiny_world: MakeWorld) -> None:
    run = tiny_world(SCENARIO, protocol=the_same_agent_twice).run(1)
    for interaction in run.interactions():
        first, second, own = (f.reviewer for f in interaction.feedback)
        assert first == second != own == interaction.agent
    graph = run.social_graph()
    assert all(graph.has_edge(agent, agent) for agent in range(9))


def test_a_protocol_may_be_named_by_the_scenario_or_by_a_path(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from sandbox import Interaction\n\n\n"
        "def protocol(agent, question, world):\n"
        "    draft = yield agent.answer(question)\n"
        "    return Interaction(world.round, agent.index, agent.label, question, draft=draft.text)\n"
    )
    by_scenario = tiny_world(replace(SCENARIO, protocol=str(path)), out=tmp_path / "a").run(1)
    by_setting = tiny_world(SCENARIO, protocol=str(path), out=tmp_path / "b").run(1)
    assert by_scenario.interactions() == by_setting.interactions()
    assert {i.protocol for i in by_setting.interactions()} == {str(path)}


# -- what goes wrong -----------------------------------------------------------------------------------------------


def raising(agent: Any, question: str, world: World) -> Talk:
    yield agent.answer(question)
    raise ZeroDivisionError("by hand")


def raising_at_once(agent: Any, question: str, world: World) -> Talk:
    raise LookupError("before the first word")


def yielding_text(agent: Any, question: str, world: World) -> Talk:
    yield "a text"


def returning_nothing(agent: Any, question: str, world: World) -> Talk:
    yield agent.answer(question)


def for_another_agent(agent: Any, question: str, world: World) -> Talk:
    draft = yield agent.answer(question)
    return Interaction(world.round, agent.index + 1, agent.label, question, draft=draft.text)


def with_a_whole_reply(agent: Any, question: str, world: World) -> Talk:
    draft = yield agent.answer(question)
    return record(agent, question, world, draft=draft, extra={"who": object()})


def with_no_feedback(agent: Any, question: str, world: World) -> Talk:
    yield agent.answer(question)
    return record(agent, question, world, feedback=(Rating(4.0),), before=None)


YIELDED = (
    "a protocol yielded a str; it may yield what agents and observers return (for example agent.answer(question)), "
    "generators, lists of these, or None"
)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (raising, "ZeroDivisionError: by hand"),
        (raising_at_once, "LookupError: before the first word"),
        (yielding_text, f"ProtocolError: {YIELDED}"),
        (returning_nothing, "ProtocolError: it returned a NoneType; a protocol must return an Interaction"),
        (
            for_another_agent,
            "ProtocolError: it returned an Interaction of round 1 and agent 5; make it with "
            "world.interaction(agent, question, ...), for the agent that the protocol was started for",
        ),
        (
            with_a_whole_reply,
            "ProtocolError: the Interaction it returned cannot be stored: draft is a Reply; take its .text; "
            "extra['who'] cannot be stored as JSON: Object of type object is not JSON serializable",
        ),
        (
            with_no_feedback,
            "ProtocolError: the Interaction it returned cannot be stored: before is a NoneType; feedback holds a Rating",
        ),
    ],
)
def test_a_fault_fails_that_interaction_alone_and_is_named(tiny_world: MakeWorld, fault: Any, words: str) -> None:
    """Agent 4 of nine goes wrong in the second of three rounds; everybody else, and it in other rounds, goes on."""

    def mostly_right(agent: Any, question: str, world: World) -> Talk:
        if (world.round, agent.index) != (1, 4):
            return (yield from one_request(agent, question, world))
        wrong = fault(agent, question, world)
        return (yield from wrong) if isinstance(wrong, Generator) else wrong

    run = tiny_world(SCENARIO, protocol=mostly_right).run(3)
    failed = [i for i in run.interactions() if i.error]
    assert [(i.round, i.agent) for i in failed] == [(1, 4)]
    assert failed[0].error is not None
    placed = re.sub(r" at test_protocols.py:\d+", "", failed[0].error)
    assert placed == f"{words} (protocol 'mostly_right', round 1, agent 4, question 'Is it so?')"
    assert failed[0].final is None
    assert len(run.interactions()) == 27
    assert [m["failed"] for m in run.metrics()] == [0, 1, 0]


def test_a_fault_of_the_society_stops_the_run(tiny_world: MakeWorld) -> None:
    """What the user must mend would be wrong for every agent: it is not recorded 9 times, it is raised."""

    def wrong(agent: Any, question: str, world: World) -> Talk:
        raise ScenarioError("there is nobody to ask")
        yield

    with pytest.raises(ScenarioError, match="there is nobody to ask"):
        tiny_world(SCENARIO, protocol=wrong).run(1)


def test_a_protocol_may_say_anything_to_a_model(tiny_world: MakeWorld) -> None:
    """``ask`` takes the fields of a request; the purpose keys the stream, so two purposes have two seeds."""
    model = Waves()

    def asking(agent: Any, question: str, world: World) -> Talk:
        message = (Message("user", f"Well, {agent.name}?"),)
        yield [agent.ask(message, "one", max_tokens=3), agent.ask(message, "two", temperature=0.0)]
        score = yield world.observer.score(question, "Yes.")
        return record(agent, question, world, draft="Yes.", before=score)

    run = tiny_world(SCENARIO, model=model, protocol=asking, in_flight=1).run(1)
    first, second, *_ = model.history
    assert isinstance(first, Request)
    assert (first.max_tokens, first.temperature, second.temperature) == (3, 0.8, 0.0)
    assert first.seed != second.seed
    assert run.interactions()[0].before == Score({d: Rating(4.0, (0, 0, 0, 1, 0, 0, 0)) for d in run.dimensions})
