"""Surveys of recorded runs: who is asked, with which memories and states, and that the run stays as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from sandbox import Personas, Prompts, Scenario, ScriptedModel, open_run
from sandbox.cli.main import app
from sandbox.errors import RunExists, SettingsError, UnknownPlugin
from sandbox.models.base import Reply, Request
from sandbox.store.export import export_run
from sandbox.store.import_sample_world import import_sample_world
from sandbox.survey.run_survey import survey_run
from sandbox.testing.tiny import tiny_run

PEOPLE = [
    {"name": "Ada", "job": "nurse", "at": "x"},
    {"name": "Bo", "job": "farmer", "at": "y"},
    {"name": "Cy", "job": "baker", "at": "z"},
    {"name": "Di", "job": "smith", "at": "w"},
]
QUESTIONS = [
    {"id": "purse", "question": "How many coins do you have?", "low": 0, "high": 10},
    {"id": "vote", "question": "Which do you want?", "options": "park|road"},
    {"id": "why", "question": "Why?"},
]


def opine(agent: Any, question: str, world: Any) -> Any:
    reply = yield agent.answer(question)
    return world.interaction(agent, question, draft=reply.text)


def settle(world: Any, interactions: Any) -> None:
    for agent in world.members:
        agent.state["purse"] += agent.index


scenario = Scenario(
    questions=["Shall we build a park?", "Shall we build a road?"],
    personas=Personas(PEOPLE, "You work as a {job}."),
    prompts=Prompts(answer_system="You are {name}. {persona}Coins: {state[purse]}.", answer="{recalled}{question}"),
    state={"purse": 1},
    settle=settle,
    name="village",
)


def speak(request: Request) -> Reply:
    """Repeats its coins when asked for a number, and the system prompt and what it recalls when asked why."""
    system, asked = request.messages[0].content, request.messages[-1].content
    if request.choices == ("park", "road"):
        share = 0.75 if "nurse" in system else 0.25
        return Reply("park", {"park": share, "road": 1 - share})
    if "How many coins" in asked:
        return Reply(system.rpartition("Coins: ")[2].strip("."))
    return Reply("A park." if "Shall we" in asked and "Why?" not in asked else f"{system} {asked}")


def model() -> ScriptedModel:
    return ScriptedModel(replies=speak)


@pytest.fixture
def village(tmp_path: Path) -> Path:
    return tiny_run(
        tmp_path / "run", scenario=scenario, model=model(), size=2, rounds=2, rater=None, protocol=opine,
        recall_distance=2.0,
    )  # fmt: skip


def test_agents_answer_as_they_were_after_each_round(village: Path) -> None:
    """Purses begin with 1 and grow by the index each round: 1, 1 + i, 1 + 2 i."""
    found = open_run(village).survey(QUESTIONS, at="0,1,last", scenario=scenario, model=model())
    assert len(found) == 3 * 4 * 3
    coins = found[found["question_id"] == "purse"].pivot(index="agent", columns="at", values="number")
    assert coins.to_numpy().tolist() == [[1, 1, 1], [1, 2, 3], [1, 3, 5], [1, 4, 7]]
    why = found[(found["question_id"] == "why") & (found["agent"] == 1)].set_index("at")["answer"]
    assert "Shall we" not in why[0]
    assert "you answered" in why[1]


def test_the_table_is_tidy(village: Path) -> None:
    found = open_run(village).survey(QUESTIONS, scenario=scenario, model=model())
    assert list(found.columns) == [
        "run", "at", "agent", "name", "label", "persona.at", "job", "question_id", "question", "kind", "options", "answer",
        "number", "probabilities", "low", "high", "raw", "error",
    ]  # fmt: skip
    row = found[(found["agent"] == 0) & (found["question_id"] == "vote")].iloc[0]
    assert row[["run", "at", "name", "job", "persona.at", "kind", "options", "answer"]].tolist() == [
        str(village), 2, "Ada", "nurse", "x", "choice", "park|road", "park",
    ]  # fmt: skip
    assert json.loads(row["probabilities"]) == {"park": 0.75, "road": 0.25}
    assert found["error"].isna().all()
    assert found["raw"].isna().all()


def test_the_run_stays_as_it_is(village: Path) -> None:
    before = {path.name: path.read_bytes() for path in village.iterdir() if path.is_file()}
    open_run(village).survey(QUESTIONS, at=[0, "last"], scenario=scenario, model=model())
    after = {path.name: path.read_bytes() for path in village.iterdir() if path.is_file()}
    assert {name: after[name] for name in before if not name.endswith(("-shm", "-wal"))} == {
        name: kept for name, kept in before.items() if not name.endswith(("-shm", "-wal"))
    }


def test_a_world_that_was_surveyed_goes_on_as_one_that_was_not(tiny_world: Callable[..., Any], tmp_path: Path) -> None:
    asked, other = (
        tiny_world(scenario, model=model(), size=2, protocol=opine, recall_distance=2.0, out=tmp_path / name)
        for name in ("asked", "other")
    )
    tables = []
    for world in (asked, other):
        world.step()
        if world is asked:
            tables.append(world.survey(QUESTIONS))
        world.step()
    assert tables[0]["at"].unique().tolist() == [1]
    assert tables[0]["number"].dropna().tolist() == [1, 2, 3, 4]
    one, two = (open_run(tmp_path / name) for name in ("asked", "other"))
    assert one.interactions() == two.interactions()
    assert one.states().equals(two.states())
    assert [one.memories(agent) for agent in range(4)] == [two.memories(agent) for agent in range(4)]


def test_answers_do_not_depend_on_batches_or_the_order_of_questions(run_dir: Path) -> None:
    asked = [{"id": "a", "question": "Why?"}, {"id": "b", "question": "Which?", "options": "x|y"}]
    one = survey_run(open_run(run_dir), asked, at="0,last")
    two = survey_run(open_run(run_dir), asked[::-1], at="0,last", in_flight=1)
    key = ["at", "agent", "question_id"]
    pd.testing.assert_frame_equal(
        one.sort_values(key).reset_index(drop=True), two.sort_values(key).reset_index(drop=True)
    )


def test_failures_are_data(run_dir: Path) -> None:
    """A reply without the option, a reply without a number, and a call that fails."""

    def odd(request: Request) -> Reply:
        asked = request.messages[-1].content
        if "Why" in asked:
            return Reply("", error="no")
        return Reply("perhaps")

    found = open_run(run_dir).survey(
        ["Why?", {"question": "Which?", "options": "x|y"}, {"question": "Many?", "low": 0, "high": 9}],
        model=ScriptedModel(replies=odd),
    )
    assert found[found["agent"] == 0][["answer", "raw", "error"]].fillna("").to_numpy().tolist() == [
        ["", "", "no"], ["", "perhaps", ""], ["", "perhaps", ""],
    ]  # fmt: skip


def test_numbers_are_whole_if_their_bounds_are(run_dir: Path) -> None:
    """Whole numbers of a small range are chosen; others are read from the reply."""

    def reply(request: Request) -> str:
        return "4" if request.choices else "I say 4.5."

    asked = [{"question": "Many?", "low": 0, "high": 9}, {"question": "Much?", "low": 0.0, "high": 9.0}]
    found = open_run(run_dir).survey(asked, model=ScriptedModel(replies=reply))
    assert found["number"].tolist() == [4.0, 4.5] * 9
    assert found["answer"].tolist() == ["4", "4.5"] * 9


def test_an_interrupted_survey_repeats_no_call(run_dir: Path, tmp_path: Path) -> None:
    """The first model fails after five replies with an error of its own; the second is asked for the other 13 only."""
    said: list[str] = []

    def reply(request: Request) -> str:
        said.append(request.key())
        if len(said) == 6:
            raise KeyboardInterrupt
        return "yes"

    out = tmp_path / "survey.csv"
    lm = ScriptedModel(replies=reply)
    with pytest.raises(KeyboardInterrupt):
        open_run(run_dir).survey(["Why?", "Who?"], model=lm, out=out, in_flight=1)
    assert not out.exists()
    open_run(run_dir).survey(["Why?", "Who?"], model=lm, out=out, in_flight=1)
    assert len(said) == 6 + 13
    assert len(pd.read_csv(out)) == 18
    assert [path.name for path in tmp_path.iterdir()] == ["survey.csv"]
    with pytest.raises(RunExists, match="already exists; choose another --out, or remove it"):
        open_run(run_dir).survey(["Why?"], model=lm, out=out)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("4", "has 3 complete rounds; --at 4 is beyond them"),
        ("first", "--at takes numbers of rounds and last, for example 0,2,last; found 'first'"),
        (-1, "found '-1'"),
    ],
)
def test_rounds_that_are_not_there(run_dir: Path, at: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        open_run(run_dir).survey(["Why?"], at=at)


def test_what_cannot_be_asked_again_is_said(village: Path, run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"given its scenario as an object of Python; give it again"):
        open_run(village).survey(["Why?"], model=model())
    with pytest.raises(
        SettingsError, match="is not what it was: its fingerprint was .* Give the model to ask with --model"
    ):
        open_run(village).survey(["Why?"], scenario=scenario)
    with pytest.raises(SettingsError, match=r"is not a .csv, .parquet or .jsonl file"):
        open_run(run_dir).survey(["Why?"], out=tmp_path / "survey.txt")


@pytest.mark.parametrize("command", ["survey", "chat", "doctor"])
def test_the_scenario_is_found_where_the_run_found_it(command: str, tmp_path: Path) -> None:
    """A file of one's own is found by its path and made with its settings of then; where it has moved, what to give is said."""
    mine, run, asked = tmp_path / "mine.py", tmp_path / "run", tmp_path / "asked.csv"
    mine.write_text(
        "from sandbox import Prompts, Rubric, Scenario\n\ndef scenario(place: str = 'park') -> Scenario:\n"
        "    rubric = Rubric()\n"
        "    return Scenario(questions=['Who?', 'Where?'], rubric=rubric,\n"
        "        prompts=Prompts(answer_system='You live in the ' + place + '.', answer='{recalled}{question}'))\n",
        encoding="utf-8",
    )
    asked.write_text("question\nWhy?\n", encoding="utf-8")
    tiny_run(run, scenario=str(mine), rounds=1, size=2, rater="lm", place="harbour")
    words = {
        "survey": ["survey", str(run), str(asked), "--json"],
        "chat": ["chat", "scripted:", "Why?", "--run", str(run)],
        "doctor": ["doctor", str(run)],
    }[command]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (run / "survey" / "asked.csv").unlink(missing_ok=True)
    mine.rename(tmp_path / "moved.py")
    with pytest.raises(UnknownPlugin, match=r"Give the scenario of the run with --scenario, for example ./mine.py"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    result = CliRunner().invoke(app, [*words, "--scenario", str(tmp_path / "moved.py")], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_an_imported_world_has_no_agents_to_ask(run_dir: Path, tmp_path: Path) -> None:
    export_run(run_dir, "sample_world", tmp_path / "world")
    run = import_sample_world(tmp_path / "world", tmp_path / "run")
    (tmp_path / "asked.csv").write_text("question\nWhy?\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="was not simulated here but imported"):
        CliRunner().invoke(app, ["survey", str(run.path), str(tmp_path / "asked.csv")], catch_exceptions=False)
    assert not (run.path / "survey").exists()


def test_agents_answer_by_the_model_of_their_label(tiny_world: Callable[..., Any]) -> None:
    models = {"good": ScriptedModel(replies=["yes"]), "bad": ScriptedModel(replies=["no"])}
    for label, lm in models.items():
        lm.uri = f"scripted:{label}"
    world = tiny_world(model=models, population="half_half", rater="lm")
    found = world.survey(["Why?"])
    assert set(zip(found["label"], found["answer"], strict=True)) == {("good", "yes"), ("bad", "no")}


def test_a_changed_scenario_is_told(village: Path) -> None:
    changed = Scenario(
        questions=scenario.questions, personas=scenario.personas, state=scenario.state, settle=settle, name="village",
        prompts=Prompts(answer_system="{name} {state[purse]}", answer="{recalled}{question}"),
    )  # fmt: skip
    notes: list[str] = []
    open_run(village).survey(
        ["Why?"], scenario=changed, model=model(), on_begin=lambda n, said: notes.extend([str(n), *said])
    )
    assert notes == [
        "4",
        f"the scenario 'village' is not what it was when {village} was made: prompts.answer_system; agents are asked with "
        "it as it is now",
    ]


def test_the_command(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    table = tmp_path / "mine.csv"
    table.write_text("question,options,low,high\nWhich?,a|b,,\nHow many?,,0,9\n", encoding="utf-8")
    words = ["survey", str(run), str(table), "--at", "0,last"]
    said = json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).output)
    assert {name: said[name] for name in ("answers", "agents", "at", "failed", "unreadable", "file")} == {
        "answers": 36, "agents": 9, "at": [0, 2], "failed": 0, "unreadable": 0, "file": str(run / "survey" / "mine.csv"),
    }  # fmt: skip
    assert [one["n"] for one in said["questions"]] == [9, 9, 9, 9]
    shown = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "a.jsonl")], catch_exceptions=False).output
    assert "36 answers of 9 agents. Compare them with people: sandbox validate" in shown
    assert len((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()) == 36
