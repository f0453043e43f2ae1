"""One conversation of several members, with a record of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Conversation, Interaction, Scenario, ScriptedModel, World, open_run
from sandbox.cli.output import say_losses
from sandbox.errors import ScenarioError
from sandbox.preview.dry_run import forecast
from sandbox.preview.prompt_preview import render_prompts

TRIO = "Where do we go?"


def pairs(world: Any) -> list[list[Any]]:
    """Two and two, changing by rounds; of nine agents the last is left out."""
    members = [*world.members[world.round :], *world.members[: world.round]]
    return [members[i : i + 2] for i in range(0, len(members) - 1, 2)]


def talk(members: list[Any], question: str, world: Any) -> Conversation:
    said: list[tuple[str, str]] = []
    for turn in range(4):
        speaker = members[turn % len(members)]
        reply = yield speaker.answer(question, turn=turn, heard=said)
        said.append((speaker.name, reply.text))
    return [
        world.interaction(one, question, draft=said[place][1], revision=said[place + 2][1], extra={"said": len(said)})
        for place, one in enumerate(members)
    ]


talk.max_calls = lambda members, world: 4  # type: ignore[attr-defined]


def meeting(**more: Any) -> Scenario:
    return Scenario(questions=[TRIO, "When do we go?"], groups=pairs, protocol=talk, **more)


def test_a_group_has_one_conversation_and_each_member_a_record(tmp_path: Path) -> None:
    model = ScriptedModel()
    run = World(meeting(), model=model, size=3, rater="lm", embedder="hashing", out=tmp_path / "run").run(2)
    first = run.interactions(0)
    assert [it.agent for it in first] == list(range(8))
    assert [it.extra["group"] for it in first] == [[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5], [6, 7], [6, 7]]
    assert [it.agent for it in run.interactions(1)] == list(range(1, 9))
    assert (len(model.history), run.metrics()[0]["interactions"]) == (2 * 4 * 4, 8)
    assert (first[0].question, first[1].question) == (TRIO, TRIO)
    assert f"- Agent 1: {first[0].draft}" in next(
        request.messages[-1].content for request in model.history if "You are Agent 2," in request.messages[0].content
    )


@pytest.mark.parametrize("in_flight", [1, 7, 1000])
def test_stopped_by_a_cap_and_resumed_it_ends_the_same(tmp_path: Path, in_flight: int) -> None:
    """A cap of 9 calls lets two groups of four talk: eight calls, four records."""
    settings: dict[str, Any] = {"size": 3, "rater": "lm", "embedder": "hashing", "in_flight": in_flight}
    whole = World(meeting(), model=ScriptedModel(), out=tmp_path / "whole", **settings).run(2)
    world = World(meeting(), model=ScriptedModel(), out=tmp_path / "parts", max_calls=9, **settings)
    world.run(2)
    assert len(world.store.interactions(0)) == 4
    world.close()
    World(meeting(), model=ScriptedModel(), out=tmp_path / "parts", resume=True, **settings).run(2)
    assert open_run(tmp_path / "parts").interactions() == whole.interactions()


def test_if_a_conversation_fails_it_fails_for_all_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(members: list[Any], question: str, world: Any) -> Conversation:
        yield members[0].answer(question)
        if members[0].index == 2:
            raise ValueError("no more words")
        return [world.interaction(one, question, draft="So be it.") for one in members]

    made = Scenario(questions=[TRIO], groups=pairs, protocol=broken)
    run = World(made, model=ScriptedModel(), size=3, rater="lm", embedder="hashing", out=tmp_path / "run").run(1)
    assert [it.agent for it in run.interactions() if it.error] == [2, 3]
    assert "no more words" in str(run.interactions()[2].error)
    say_losses(run.summary())
    assert "rounds with groups are not repeated by --resume where they are complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (lambda world: [[0, 1], [1, 2]], "Agent 2 in two groups; name each agent once"),
        (lambda world: [[]], "an empty group; leave it out"),
        (lambda world: [0, 1], "groups of the scenario returned 0; it must return a list of agents"),
        (lambda world: None, "groups of the scenario returned None; it must return a list of groups"),
        (lambda world: [[99]], "expected agents of this world"),
    ],
)
def test_what_groups_may_not_return(groups: Callable[[Any], Any], words: str) -> None:
    made = Scenario(questions=[TRIO], groups=groups, protocol=talk)
    with pytest.raises(ScenarioError, match=words):
        World(made, model=ScriptedModel(), size=3, rater="lm", embedder="hashing").run(1)


@pytest.mark.parametrize(
    "returned",
    [
        lambda members, question, world: [],
        lambda members, question, world: world.interaction(members[0], question, draft="Only mine."),
        lambda members, question, world: ["text", "text"],
        lambda members, question, world: [world.interaction(members[0], question, draft="Twice.")] * 2,
    ],
)
def test_each_member_needs_one_interaction(returned: Callable[..., Any]) -> None:
    made = Scenario(questions=[TRIO], groups=pairs, protocol=returned)
    run = World(made, model=ScriptedModel(), size=3, rater="lm", embedder="hashing").run(1)
    words = "the protocol of a group must return a list with one Interaction of each of its 2 members"
    assert words in str(run.interactions()[0].error)


def test_groups_need_protocols_for_them() -> None:
    with pytest.raises(ScenarioError, match=r"groups: need protocols of \(members, question, world\)"):
        Scenario(questions=[TRIO], groups=pairs)
    with pytest.raises(ScenarioError, match="groups: asked is given too"):
        meeting(asked=lambda world: [0])


def test_groups_have_stages_and_states(tmp_path: Path) -> None:
    """The second stage asks anew who its members are; ``ask`` reads a state that the first stage changes."""

    def second(members: list[Any], question: str, world: Any) -> list[Interaction]:
        before = world.said("talk")
        return [world.interaction(one, question, draft=f"As {before[one.index].draft}") for one in members]

    def settle(world: Any, interactions: list[Interaction]) -> None:
        world.state["settled"] += 1

    made = meeting()
    staged = Scenario(
        questions=[TRIO],
        groups=pairs,
        stages=[talk, second],
        world_state={"settled": 0},
        settle=settle,
        ask=lambda agent, world: f"Question {world.state['settled']}?",
    )
    settings: dict[str, Any] = {"size": 2, "rater": "lm", "embedder": "hashing"}
    whole = World(staged, model=ScriptedModel(), out=tmp_path / "whole", **settings).run(2)
    assert {it.question for it in whole.interactions(0)} == {"Question 0?"}
    assert {it.question for it in whole.interactions(1)} == {"Question 2?"}
    world = World(staged, model=ScriptedModel(), out=tmp_path / "parts", **settings)

    def interrupt(ended: Any) -> None:
        raise KeyboardInterrupt

    world.on_interactions = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.run(2)
    world.close()
    World(staged, model=ScriptedModel(), out=tmp_path / "parts", resume=True, **settings).run(2)
    assert open_run(tmp_path / "parts").interactions() == whole.interactions()
    assert made.groups is pairs


def test_dry_runs_and_previews_know_groups() -> None:
    expected = forecast(meeting(), rounds=1, model=ScriptedModel(), size=3)
    assert (expected.interactions, expected.calls, expected.failed) == (8, 16, 0.0)
    assert any("answer" in shown.templates for shown in render_prompts(meeting()))
