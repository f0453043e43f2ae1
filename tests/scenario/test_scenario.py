"""Scenarios: what is checked when they are made, and where questions come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.data_files import read_questions, read_table
from sandbox.errors import DataFileError, ScenarioError, SettingsError
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.prompts import Prompts, rating_word, whole_sentences
from sandbox.scenario.rubric import Dimension, Rubric
from sandbox.scenario.scenario import Scenario


def test_all_but_the_questions_has_a_default() -> None:
    made = Scenario("mine", ["May I?"])
    assert [d.name for d in made.rubric.dimensions] == ["alignment", "engagement"]
    assert (made.rubric.scale, made.protocol, made.population) == (7, "back_scatter", "half_half")


def test_all_faults_are_reported_at_once_with_their_fields() -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario(
            "mine",
            ["May I?", " ", 3],  # type: ignore[list-item]
            population="half_haf",
            rubric=Rubric((Dimension("kind", "is it"), Dimension("kind", "is it")), scale=1),
            heldout=["May I?"],
            prompts=Prompts(answer="{question} {mood}", revise="{rating"),
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "scenario 'mine' cannot be used:"
    starts = ("questions[1]: expected text, found ' '", "questions[2]: expected text, found 3",
              "heldout: contains 1 of the questions, for example 'May I?'", "population: ",
              "rubric.dimensions: names are used twice: kind, kind", "rubric.scale: 1 must be at least 2",
              "prompts.answer: uses {mood}; it may use {recalled}, {heard}, {question}",
              "prompts.revise: not a template: ")  # fmt: skip
    assert [line for line, start in zip(lines[1:], starts, strict=True) if not line.startswith("  " + start)] == []


def test_a_scenario_without_questions_or_dimensions_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"questions: there are none; give at least one"):
        Scenario("mine", [])
    with pytest.raises(ScenarioError, match=r"rubric\.dimensions: there are none; name at least one"):
        Scenario("mine", ["May I?"], rubric=Rubric(()))


def write(folder: Path, text: str) -> str:
    path = folder / "mine.py"
    path.write_text(f"from sandbox import Scenario\n\n{text}\n", encoding="utf-8")
    return str(path)


def test_a_file_may_hold_a_scenario_or_a_function_with_settings(tmp_path: Path) -> None:
    constant = write(tmp_path, "scenario = Scenario('constant', ['May I?'])")
    assert load_scenario(constant, {}).name == "constant"
    with pytest.raises(SettingsError, match="has no setting 'n'. Settings: none"):
        load_scenario(constant, {"n": 3})
    (tmp_path / "f").mkdir()
    function = write(tmp_path / "f", "def scenario(n: int = 1):\n    return Scenario('made', ['May I?'] * n)")
    assert len(load_scenario(function, {"n": "3"}).questions) == 3
    with pytest.raises(SettingsError, match=r"n='x' is not a whole number"):
        load_scenario(function, {"n": "x"})
    with pytest.raises(SettingsError, match=r"has no setting 'm'\. .*Settings: n"):
        load_scenario(function, {"m": "x"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scenario = 3", "is a int; expected a Scenario or a function that returns one"),
        ("def scenario():\n    return 3", "returned a int; expected a Scenario"),
    ],
)
def test_what_is_no_scenario_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        load_scenario(write(tmp_path, text), {})


MESSAGES = [{"role": "user", "content": "May I?"}, {"role": "assistant", "content": "No."}]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("q.txt", "May I?\n\n  Must I? \n", ["May I?", "Must I?"]),
        ("q.jsonl", '{"question": "May I?"}\n{"query": "Must I?"}\n', ["May I?", "Must I?"]),
        ("q.json", '[{"prompt": "May I?"}, {"prompt": "May I?"}]', ["May I?"]),
        ("q.csv", 'id,question\n1,"May I, please?"\n', ["May I, please?"]),
        ("q.csv", '\ufeffquestion,id\r\n"May I,\nplease?",1\r\n', ["May I,\nplease?"]),  # with a byte order mark
        ("q.jsonl", '\ufeff{"question": "May\u2028I?"}\n', ["May\u2028I?"]),
        ("q.txt", "May\u2028I?\r\nMust I?\n", ["May\u2028I?", "Must I?"]),
        ("q.csv", "question;id\nMay I, please?;1\n", ["May I, please?"]),  # as spreadsheets write where 1,5 is a number
        ("q.csv", "question,id,,\n,,,\nMay I?,1,,\n", ["May I?"]),  # empty columns and rows of a spreadsheet
        ("q.csv", "id, question\n1,May I?\n", ["May I?"]),
        ("q.tsv", "id\tquestion\n1\tMay I, please?\n", ["May I, please?"]),
        ("q.csv", f"question\n{'May I? ' * 30_000}\n", [("May I? " * 30_000).strip()]),  # beyond csv's own limit
        ("q.json", '["May I?"]', ["May I?"]),
        ("q.jsonl", '"May I?"\n', ["May I?"]),
        ("q.json", '{"version": 1, "data": [{"question": "May I?"}]}', ["May I?"]),
        ("q.json", '{"questions": ["May I?"]}', ["May I?"]),
        ("q.json", '{"question": "May I?"}\n{"question": "Must I?"}\n', ["May I?", "Must I?"]),
        ("q.jsonl", '{"question": "\\ud83d\\ude00?"}\n', ["\U0001f600?"]),
        ("q.jsonl", json.dumps({"prompt": MESSAGES}), ["May I?"]),
        ("q.jsonl", json.dumps({"messages": MESSAGES}), ["May I?"]),
        ("q.jsonl", json.dumps({"chosen": "\n\nHuman: May I?\n\nAssistant: No.\n\nHuman: Why?"}), ["May I?"]),
    ],
)
def test_questions_come_from_files_of_every_kind(tmp_path: Path, name: str, content: str, found: list[str]) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_questions(tmp_path / name) == found


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("q.jsonl", '{"question": "May I?"}\n{', r"q\.jsonl, line 2 is not JSON: "),
        ("q.json", "[", r"q\.json is not JSON: "),
        (
            "q.json",
            '{"question": "May I?"}',
            r"q\.json holds an object with the fields question; expected a list of rows, or an object such as",
        ),
        (
            "q.json",
            '{"train": [], "test": []}',
            r"q\.json holds an object with the fields train, test; expected a list",
        ),
        ("q.json", "3", r"q\.json holds a number; expected a list of rows"),
        ("q.json", "[3]", "row 1 is a number; expected a text, or an object with a column 'question'"),
        ("q.jsonl", "[" * 100_000, r"q\.jsonl, line 1 is not a row: its JSON is nested too deeply"),
        ("q.jsonl", '\n{"question": "\\ud83d?"}', r"q\.jsonl, line 2 holds '\\ud83d', half of a character"),
        ("q.csv", "id,question\n1\n", r"q\.csv, line 2 has fewer values than the header has columns \(1, not 2\)"),
        ("q.csv", "id,id\n1,2\n", r"q\.csv, line 1: two columns are called 'id'; rename one of them"),
        ("q.jsonl", '{"prompt": [{"role": "user"}]}', r"q\.jsonl, line 1: expected a column 'question'"),
        ("q.txt", "\n", r"q\.txt holds no questions"),
        (
            "q.csv",
            "id,question\n1,May I, please?\n",
            r"q\.csv, line 2 has more values than the header has columns \(3, not 2\); quote",
        ),
        ("q.csv", 'id,question\n1,"May I', r"q\.csv, line 2 is not CSV: unexpected end of data"),
        ("q.parquet", "May I?", r"q\.parquet cannot be read: "),
        ("q.jsonl", '{"text": "May I?"}', r"line 1: expected a column 'question', 'query' or 'prompt'; found text"),
        ("q.jsonl", "", r"q\.jsonl holds no questions"),
        (
            "q.xyz",
            "May I?",
            r"is not a \.txt, \.jsonl, \.json, \.csv, \.tsv or \.parquet file, nor a hub dataset such as",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_said_with_its_line(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataFileError, match=words):
        read_questions(tmp_path / name)


def test_a_file_that_is_not_there_or_not_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"gone\.txt cannot be read: No such file or directory"):
        read_questions(tmp_path / "gone.txt")
    (tmp_path / "latin.txt").write_bytes("Darf ich? Äh.".encode("latin-1"))
    with pytest.raises(DataFileError, match=r"latin\.txt is not UTF-8 text; convert it first"):
        read_questions(tmp_path / "latin.txt")


@pytest.mark.needs_torch
def test_a_hub_dataset_that_cannot_be_had_is_said() -> None:
    """Tests are offline: the hub's client says so."""
    with pytest.raises(DataFileError, match=r"'nobody/has-this' does not exist here, and as a dataset of the hub"):
        read_table("nobody/has-this")


def test_another_split_of_a_hub_dataset_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(name: str, split: str) -> list[dict[str, str]]:
        asked.append((name, split))
        return [{"question": "May I?"}]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert [read_table(name) for name in ("one/set", "one/set:test_prefs")] == [[{"question": "May I?"}]] * 2
    assert asked == [("one/set", "train"), ("one/set", "test_prefs")]


@pytest.mark.parametrize(
    ("rating", "word"),
    [(1, "bad"), (2.1, "bad"), (2.3, "rather bad"), (4, "middling"), (5, "rather good"), (6, "good"), (7, "good")],
)
def test_ratings_in_a_word(rating: float, word: str) -> None:
    """Fifths of the scale: of 1..7 they end at 2.2, 3.4, 4.6 and 5.8."""
    assert rating_word(rating, 7) == word


def test_a_cut_sentence_is_dropped_unless_it_is_the_only_one() -> None:
    assert whole_sentences("One. Two! And thr") == "One. Two!"
    assert whole_sentences("One (really.) Tw") == "One (really.)"
    assert whole_sentences("Nothing ends here") == "Nothing ends here"
    assert whole_sentences("It costs 3.5 euros and") == "It costs 3.5 euros and"


def test_every_default_prompt_uses_only_what_it_may() -> None:
    assert Prompts().faults() == []
