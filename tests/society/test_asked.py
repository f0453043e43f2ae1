"""Who is asked in a round, and what a conversation that asks the same again is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Conversation, Message, Scenario, ScriptedModel, World, open_run
from sandbox.errors import ScenarioError
from sandbox.preview.dry_run import forecast


def by_turns(world: Any) -> list[int]:
    return [] if world.round == 1 else [2, 0]


def taking_turns(**more: Any) -> Scenario:
    return Scenario(questions=["May one?", "Must one?"], asked=by_turns, **more)


def test_only_those_named_are_asked_and_a_round_may_ask_nobody(tmp_path: Path) -> None:
    world = World(taking_turns(), model=ScriptedModel(), embedder="hashing", size=3, out=tmp_path / "run")
    run = world.run(3)
    assert [(it.round, it.agent) for it in run.interactions()] == [(0, 0), (0, 2), (2, 0), (2, 2)]
    assert [found["interactions"] for found in run.metrics()] == [2, 0, 2]


def test_a_forecast_counts_those_that_are_asked() -> None:
    expected = forecast(taking_turns(), rounds=3, model=ScriptedModel(), size=3)
    assert (expected.interactions, expected.failed) == (4, 0.0)


def test_resumed_between_conversations_it_asks_the_same(tmp_path: Path) -> None:
    whole = World(taking_turns(), model=ScriptedModel(), embedder="hashing", size=3, out=tmp_path / "whole").run(3)
    world = World(
        taking_turns(),
        model=ScriptedModel(),
        embedder="hashing",
        size=3,
        out=tmp_path / "parts",
        max_calls=11,
        in_flight=1,
    )
    world.run(3)
    assert len(world.store.interactions(0)) == 1
    world.close()
    World(taking_turns(), model=ScriptedModel(), embedder="hashing", size=3, out=tmp_path / "parts", resume=True).run(3)
    assert open_run(tmp_path / "parts").interactions() == whole.interactions()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda world: 3, r"asked of the scenario returned 3; it must return a list of agents, or of their indices"),
        (lambda world: [99], r"returned 99; expected agents of this world, or indices from 0 to 8"),
        (lambda world: [True], r"returned True; expected agents"),
        (lambda world: [1, world.members[1]], r"returned Agent 2 twice; name each agent once"),
        (lambda world: 1 / 0, r"test_asked\.py:\d+: asked of the scenario failed: ZeroDivisionError: division by zero"),
    ],
)
def test_what_asked_may_not_return(asked: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        World(Scenario(questions=["May one?"], asked=asked), model=ScriptedModel(), embedder="hashing", size=3).run(1)


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        ({"ask": lambda agent, world: 1 / 0}, r"test_asked\.py:\d+: ask of the scenario failed: ZeroDivisionError"),
        (
            {"ask": lambda agent, world: None},
            r"ask of the scenario returned None for Agent 1; it must return a question",
        ),
        ({"stop": lambda world: 1 / 0}, r"test_asked\.py:\d+: stop of the scenario failed: ZeroDivisionError"),
        ({"move": lambda agent, world: 1 / 0}, r"test_asked\.py:\d+: move of the scenario failed: ZeroDivisionError"),
    ],
)
def test_faults_name_the_function_and_its_line(faulty: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        World(Scenario(questions=["May one?"], **faulty), model=ScriptedModel(), embedder="hashing", size=3).run(1)


def same_again(agent: Any, question: str, world: World) -> Conversation:
    message = (Message("user", "Say something."),)
    first = yield agent.ask(message, "same")
    second = yield agent.ask(message, "same")
    third = yield agent.answer(question)
    fourth = yield agent.answer(question)
    return world.interaction(agent, question, draft="|".join(reply.text for reply in (first, second, third, fourth)))


@pytest.mark.parametrize("in_flight", [1, 7, 1000])
def test_the_same_request_in_a_conversation_draws_another_reply(in_flight: int) -> None:
    scenario = Scenario(questions=["May one?"], protocol=same_again)
    world = World(scenario, model=ScriptedModel(), embedder="hashing", size=3, in_flight=in_flight)
    drafts = [str(it.draft).split("|") for it in world.run(1).interactions()]
    assert all(len(set(replies)) == 4 for replies in drafts)
    again = World(scenario, model=ScriptedModel(), embedder="hashing", size=3, in_flight=3).run(1).interactions()
    assert [str(it.draft).split("|") for it in again] == drafts


def ask_the_first(agent: Any, question: str, world: World) -> Conversation:
    reply = yield world.members[0].ask((Message("user", "What is the topic?"),), "topic")
    return world.interaction(agent, question, draft=reply.text)


def test_a_request_that_many_wait_for_is_made_once() -> None:
    model = ScriptedModel()
    run = World(Scenario(questions=["May one?"], protocol=ask_the_first), model=model, embedder="hashing", size=3).run(
        1
    )
    assert len({it.draft for it in run.interactions()}) == 1
    assert (len(model.history), run.manifest["tokens"]["calls"]) == (1, 1)
