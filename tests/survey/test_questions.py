"""Questions of a survey: kinds, inference, and faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import DataFileError
from sandbox.survey.questions import SurveyQuestion, read_survey


def test_kinds_follow_from_the_columns_that_are_filled(tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    path.write_text(
        "id,question,kind,options,low,high\n"
        "why,Why?,,,,\nhours,How many?,,,0,10\nvote,Which?,,yes | no,,\nfine,How fine?,,1|2|3,,\n"
        "often,How often?,ordered,never|always,,\n",
        encoding="utf-8",
    )
    assert read_survey(path) == [
        SurveyQuestion("Why?", "why"),
        SurveyQuestion("How many?", "hours", "number", (), 0, 10),
        SurveyQuestion("Which?", "vote", "choice", ("yes", "no")),
        SurveyQuestion("How fine?", "fine", "ordered", ("1", "2", "3")),
        SurveyQuestion("How often?", "often", "ordered", ("never", "always")),
    ]


def test_whole_bounds_stay_whole() -> None:
    asked = [
        {"question": "a", "low": low, "high": high} for low, high in (("-2", "5"), ("0.0", "5.0"), (0, 5), (0.0, 5))
    ]
    assert [[type(bound) for bound in one.bounds] for one in read_survey(asked)] == [
        [int, int], [float, float], [int, int], [float, int],
    ]  # fmt: skip


def test_a_list_of_texts_and_mappings_is_a_survey() -> None:
    found = read_survey(["Why?", {"question": "Which?", "options": ["a", "b"]}, SurveyQuestion("Who?", "who")])
    assert [(one.id, one.kind) for one in found] == [("q1", "text"), ("q2", "choice"), ("who", "text")]


def test_the_random_draws_of_a_question_do_not_depend_on_its_place() -> None:
    first, second = read_survey([{"question": "Why?", "id": "a"}, {"question": "Who?", "id": "b"}])
    assert first.turn != second.turn
    assert read_survey([{"question": "Who?", "id": "b"}])[0].turn == second.turn


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "the survey holds no questions"),
        ([{"question": ""}], "question 1: has no question"),
        ([{"question": "a", "kind": "chioce", "options": "a|b"}],
         "question 1: kind 'chioce' is not one of text, number, choice, ordered. Did you mean 'choice'?"),
        ([{"question": "a", "option": "a|b"}], "question 1: unknown column 'option'. Did you mean 'options'? Columns are"),
        ([{"question": "a", "options": "a"}], "kind choice needs at least two options, separated by |"),
        ([{"question": "a", "options": "a|A"}], "an option is given twice: a | A"),
        ([{"question": "a", "kind": "text", "options": "a|b"}], "kind text has no options; leave them out"),
        ([{"question": "a", "low": "0"}], "kind number needs low and high"),
        ([{"question": "a", "low": 3, "high": 3}], "low must be below high; found 3 and 3"),
        ([{"question": "a", "low": "x", "high": 3}], "low is 'x'; expected a number"),
        ([{"question": "a", "options": "a|b", "low": 1, "high": 2}], "kind choice has no low and high; leave them out"),
        ([{"question": "a", "id": "x"}, {"question": "b", "id": "x"}], "question 2: the id 'x' is given twice"),
        ([7], "question 1: is a int; expected a text, or columns id, question, kind, options, low, high"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(given: Any, words: str) -> None:
    with pytest.raises(DataFileError) as refused:
        read_survey(given)
    assert words in str(refused.value)


def test_a_column_that_is_unknown_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    path.write_text("question,option\na,\nb,\nc,\n", encoding="utf-8")
    with pytest.raises(DataFileError) as refused:
        read_survey(path)
    assert str(refused.value).count("unknown column") == 1


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    path.write_text("question,options\n,a|b\nWhich?,a\n", encoding="utf-8")
    with pytest.raises(DataFileError) as refused:
        read_survey(path)
    assert str(refused.value) == (
        f"{path} cannot be used:\n  {path}, line 2: has no question\n"
        f"  {path}, line 3: kind choice needs at least two options, separated by |"
    )
