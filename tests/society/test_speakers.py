"""Speakers that are no members, and dialogues with turns in order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sandbox import Conversation, Reply, Request, Scenario, ScriptedModel, World, dialogue, open_run
from sandbox.errors import RunExists, ScenarioError

TEACHER = "You are the teacher. Ask one question about the sea."


def lesson(members: list[Any], question: str, world: Any) -> Conversation:
    asked = yield world.speaker("teacher").answer("What do you ask the class?")
    said = yield dialogue(members, asked.text, turns=5, stop=lambda said: "enough" in said[-1][1])
    return [
        world.interaction(
            one,
            asked.text,
            draft=next((text for who, text in said if who is one), None),
            extra={"turns": [[who.index, text] for who, text in said]},
        )
        for one in members
    ]


def school(**more: Any) -> Scenario:
    settings: dict[str, Any] = {
        "questions": ["What is it?"], "groups": lambda world: [world.members], "protocol": lesson,
        "speakers": {"teacher": TEACHER}, **more,
    }  # fmt: skip
    return Scenario(**settings)


def by_role(request: Request) -> Reply:
    system, asked = request.messages[0].content, request.messages[-1].content
    if system == TEACHER:
        return Reply("Why is the sea salty?")
    return Reply("That is enough." if asked.count("\n- ") >= 2 else f"I say {asked.count('- ')}.")


def society(out: Path | None = None, **more: Any) -> World:
    settings: dict[str, Any] = {
        "model": ScriptedModel(replies=by_role), "size": 2, "rater": "lm", "embedder": "hashing", "out": out, **more,
    }  # fmt: skip
    return World(settings.pop("scenario", school()), **settings)


def test_a_moderator_speaks_and_members_take_turns_until_they_stop(tmp_path: Path) -> None:
    world = society(tmp_path / "run")
    run = world.run(1)
    [first, *others] = run.interactions()
    assert first.question == "Why is the sea salty?"
    assert first.extra["turns"] == [[0, "I say 0."], [1, "I say 1."], [2, "That is enough."]]
    assert [it.draft for it in others] == ["I say 1.", "That is enough.", None]
    asked = [request.messages[-1].content for request in world.lm.history]  # type: ignore[attr-defined]
    heard = next(text for text in asked if "- Agent 2" in text)
    assert heard == ("You have heard others say:\n- Agent 1: I say 0.\n- Agent 2: I say 1.\n\nWhy is the sea salty?")
    assert len(world.agents) == len(world.members) == 4
    assert len(run.agents()) == 4


def test_one_that_speaks_again_hears_its_own_words_as_its_own() -> None:
    model = ScriptedModel(replies=lambda request: Reply("Words."))
    world = society(model=model, scenario=school(groups=lambda world: [[0, 1]]))
    world.run(1)
    third = next(r.messages[-1].content for r in model.history if r.messages[-1].content.count("Words.") == 3)
    assert "- You: Words.\n- Agent 2: Words." in third


def test_a_speaker_has_a_model_of_its_own(tmp_path: Path) -> None:
    own = ScriptedModel(replies=lambda request: Reply("Who owns the sea?"))
    own.uri = "scripted:teacher"
    world = society(tmp_path / "run", model={"": ScriptedModel(replies=by_role), "teacher": own})
    run = world.run(1)
    assert run.interactions()[0].question == "Who owns the sea?"
    assert len(own.history) == 1
    world.close()
    resumed = society(tmp_path / "run", model={"": ScriptedModel(replies=by_role), "teacher": own}, resume=True)
    assert resumed.run(2).rounds == 2
    resumed.close()
    with pytest.raises(RunExists, match="teacher"):
        society(tmp_path / "run", scenario=school(speakers={"teacher": "Another."}), resume=True,
                model={"": ScriptedModel(replies=by_role), "teacher": own})  # fmt: skip
    assert open_run(tmp_path / "run").rounds == 2


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        (
            lambda members, world: world.speaker("techer"),
            r"no such speaker\. Did you mean 'teacher'\? Speakers: teacher",
        ),
        (
            lambda members, world: world.speaker("teacher").hear("x", from_="y"),
            "teacher is a speaker, and remembers nothing",
        ),
        (lambda members, world: dialogue([], "x"), "0 members and 6 turns; give at least one of each"),
        (lambda members, world: dialogue(members, "x", turns=0), "and 0 turns"),
        (lambda members, world: world.speaker("teacher").state["mood"], "the state of teacher has no 'mood'"),
    ],
)
def test_what_speakers_cannot_do(conversation: Any, words: str) -> None:
    def protocol(members: list[Any], question: str, world: Any) -> Conversation:
        yield conversation(members, world)

    world = society(scenario=school(protocol=protocol))
    try:
        error = str(world.run(1).interactions()[0].error)
    except ScenarioError as failure:
        error = str(failure)
    assert re.search(words, error), error
