"""Worlds in which something fails: models, protocols, invalid settings, folders in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import RunExists, RunLocked, ScenarioError, SettingsError, UnknownPlugin
from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.scenario.scenario import Scenario
from sandbox.store.run import Run, is_run, open_run
from sandbox.world import World

MakeWorld = Callable[..., World]


def as_bytes(run: Run | Path) -> bytes:
    """All that a run says of its conversations, memories and measures, as bytes."""
    run = open_run(run) if isinstance(run, Path) else run
    told = [interaction.as_dict() for interaction in run.interactions()]
    minds = [run.memories(agent) for agent in run.agents()["agent"]]
    places = run.agents().to_dict("list")
    return json.dumps([told, minds, places, run.metrics()], ensure_ascii=False, sort_keys=True).encode()


FAULTY = """
def protocol(agent, question, world):
    if (world.round, agent.index) == (1, 2):
        raise KeyError("nobody")
    if (world.round, agent.index) == (1, 3):
        yield "a text"
    draft = yield agent.answer(question)
    from sandbox.records import Interaction
    return Interaction(world.round, agent.index, agent.label, question, draft=draft.text, protocol="faulty")
"""


def test_a_failing_conversation_is_recorded_and_the_others_go_on(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Of nine in round 1 the third raises and the fourth yields a text; both say so, and remember nothing of it."""
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY)
    world = tiny_world(Scenario("one", ["Is it so?", "Or so?"]), protocol=str(path))
    run = world.run(3)
    assert [i.error for i in run.interactions() if (i.round, i.agent) not in ((1, 2), (1, 3))] == [None] * 25
    third, fourth = run.interactions(1)[2:4]
    line = next(n for n, text in enumerate(FAULTY.splitlines(), 1) if "nobody" in text)
    assert (
        third.error
        == f"KeyError: 'nobody' at faulty.py:{line} (protocol {str(path)!r}, round 1, agent 2, question 'Or so?')"
    )
    assert fourth.error is not None
    assert fourth.error.startswith("ProtocolError: a protocol yielded a str; it may yield ")
    assert (third.draft, third.final, third.feedback) == (None, None, ())
    assert [m["failed"] for m in run.metrics()] == [0, 2, 0]
    assert [question for question, _ in run.memories(2)] == ["Is it so?"]


def test_a_model_that_fails_now_and_then_does_not_stop_a_run(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """The draft of Agent 5 cannot be had; its interaction alone fails, and says why."""

    def say(request: Request) -> str | Reply:
        if request.messages[0].content.startswith("You are Agent 5, ") and len(request.messages) == 2:
            if not request.prefix:
                return Reply("", finish_reason="error", error="the line is dead")
        return "4" if request.choices else "Yes."

    run = tiny_world(Scenario("one", ["Is it so?"]), model=ScriptedModel(replies=say)).run(1)
    failed = [i for i in run.interactions() if i.error]
    assert [i.agent for i in failed] == [4]
    assert failed[0].error == (
        "CallFailed: the line is dead (protocol 'back_scatter', round 0, agent 4, question 'Is it so?')"
    )
    assert run.metrics()[0]["failed"] == 1


def test_a_run_that_is_there_is_refused_before_anything_is_loaded(tiny_world: MakeWorld, run_dir: Path) -> None:
    with pytest.raises(RunExists, match="already holds a run; add --resume to continue it"):
        tiny_world(out=run_dir, model="hf:./does/not/exist")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 5}, "seed was 0, now 5"),
        ({"population": "all_bad"}, "population was 'half_half', now 'all_bad'"),
        ({"rater": "values"}, "raters.neighbours was 'lm', now 'values'; raters.observer was 'lm', now 'values'"),
        ({"reviewers": 2, "temperature": 0.5}, "settings.reviewers was 4, now 2; settings.temperature was 0.8, now 0.5"),
        ({"n_questions": 5}, "questions.n was 128, now 5; questions.hash was "),
    ],
)  # fmt: skip
def test_another_run_is_not_resumed(tiny_world: MakeWorld, run_dir: Path, changed: dict[str, Any], words: str) -> None:
    before = as_bytes(run_dir)
    with pytest.raises(RunExists) as refused:
        tiny_world(out=run_dir, resume=True, **changed)
    assert str(refused.value).startswith(f"{run_dir} holds another run: {words}")
    assert str(refused.value).endswith(". Resume it with its own settings, or choose another --out")
    assert as_bytes(run_dir) == before


def test_two_worlds_do_not_write_to_one_folder(tiny_world: MakeWorld) -> None:
    tiny_world()
    with pytest.raises(RunLocked):
        tiny_world(resume=True)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"reviewrs": 2}, SettingsError, "has no setting 'reviewrs'"),
        ({"temprature": 2}, SettingsError, "has no setting 'temprature'"),
        ({"reviewers": "many"}, SettingsError, "the society: reviewers='many' is not a whole number"),
        ({"audience": "global", "reviewers": 9}, ScenarioError, "needs 9 reviewers per agent but there are only 8"),
        ({"size": 1}, ScenarioError, "a society needs at least 2 agents, not 1"),
        ({"population": "half_hlaf"}, ScenarioError, "Did you mean 'half_half'"),
        ({"protocol": "back_scater"}, UnknownPlugin, "Did you mean 'back_scatter'"),
        ({"rater": "value"}, UnknownPlugin, "no rater named 'value'. Did you mean 'values'"),
        ({"scenario": "value_alinment"}, UnknownPlugin, "Did you mean 'value_alignment'"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_written(
    tiny_world: MakeWorld, tmp_path: Path, settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        tiny_world(out=tmp_path / "never", **settings)
    assert not (tmp_path / "never").exists()


def test_an_unknown_setting_is_told_all_there_are(tiny_world: MakeWorld) -> None:
    with pytest.raises(SettingsError) as refused:
        tiny_world(n_question=4)
    assert str(refused.value).startswith(
        "scenario 'value_alignment' has no setting 'n_question'. Did you mean 'n_questions'? Settings: n_questions, "
        "questions, upbringing; of the society: active, agents, audience, "
    )


def test_settings_may_be_text(tiny_world: MakeWorld) -> None:
    world = tiny_world(reviewers="2", torus="yes", temperature="0.5", radius="none", n_questions="5")
    assert (world.society.reviewers, world.society.torus, world.society.temperature) == (2, True, 0.5)
    assert world.society.radius is None
    assert len(world.scenario.questions) == 5


def test_without_a_folder_the_run_goes_with_the_world(tiny_world: MakeWorld) -> None:
    world = tiny_world(out=None)
    path = world.path
    assert len(world.run(1).interactions()) == 9
    assert is_run(path)
    world.close()
    assert world._temporary is not None
    world._temporary.cleanup()
    assert not path.exists()


def test_a_failure_names_its_line_its_key_and_a_forgotten_yield(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "slips.py"
    path.write_text(
        "def protocol(agent, question, world):\n"
        "    if agent.index == 0:\n"
        "        return world.interaction(agent, question, draft=agent.answer(question).text)\n"
        "    if agent.index == 1:\n"
        "        return world.interaction(agent, question, draft='', extra={'whole': 1, 'half': {0.5}})\n"
        "    return world.interaction(agent, question, draft='Yes.')\n"
        "    yield\n",
        encoding="utf-8",
    )
    errors = [
        it.error for it in tiny_world(Scenario("one", ["Is it so?"]), protocol=str(path), size=2).run(1).interactions()
    ]
    assert errors[0] is not None
    assert "at slips.py:3; was yield forgotten, as in reply = yield agent.answer(question)?" in errors[0]
    assert errors[1] is not None
    assert "extra['half'] cannot be stored as JSON: Object of type set is not JSON serializable" in errors[1]
    assert errors[2:] == [None, None]
