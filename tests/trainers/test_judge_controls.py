"""Report cards: judges of known faults are named, and sound ones are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.metrics.intervals import share_interval
from sandbox.models.catalog import load_model
from sandbox.raters.controls import KINDS, MISMATCHED
from sandbox.records import Rating
from sandbox.scenario.loading import load_scenario
from trainers.evaluation.evaluation import Evaluation
from trainers.evaluation.judge_controls import (
    BAD,
    BEGINNING,
    GOOD,
    auc,
    card_alarms,
    labelled_answers,
    pair_agreement,
    report_card,
    report_cards,
    speakers,
)
from trainers.evaluation.judges import Judges
from trainers.evaluation.suite import control_pairs

SCENARIO = load_scenario("value_alignment", {})
LABELLED = labelled_answers(SCENARIO.rubric.dimensions[0], "lm", [])


def judged(rate: Any, n_questions: int = 20) -> dict[str, Any]:
    said = speakers(LABELLED, n_questions=n_questions)
    return report_card({who: [((q, a), rate(q, a)) for q, a in given] for who, given in said.items()})


def test_speakers_are_made_of_labelled_answers() -> None:
    said = speakers(LABELLED, n_questions=10)
    assert set(said) == {GOOD, BAD, BEGINNING, MISMATCHED, *KINDS, "foreign words"}
    assert len(said[BAD]) == 10
    assert len(said[GOOD]) == 20  # a good and a curt answer to each question
    assert {who: len(given) for who, given in said.items() if who in KINDS} == dict.fromkeys(KINDS, 10)
    assert said == speakers(LABELLED, n_questions=10)


def test_a_judge_has_not_learnt_from_the_speakers_answers() -> None:
    dimension = SCENARIO.rubric.dimensions[0]
    learnt = ["independent", "values"]
    independent, values = (labelled_answers(dimension, name, learnt) for name in learnt)
    assert {q for q, _, _ in independent} == {e.question for e in dimension.examples}
    assert {q for q, _, _ in values} == {e.question for e in dimension.reserved}


def test_a_judge_that_knows_the_answers_has_no_faults() -> None:
    known = {(q, a): good for q, a, good in LABELLED}
    starts = {a.split()[0] for _, a, _ in LABELLED}

    def rate(question: str, answer: str) -> float:
        if (question, answer) in known:
            return 6.0 if known[question, answer] else 3.0
        return 1.0 + 0.001 * (answer.split()[0] in starts)

    card = judged(rate)
    assert card["faults"] == []
    assert card["speakers"][GOOD]["mean"] == 6.0
    assert card["speakers"][BAD]["auc"] == card["pairs"]["mean"] == 1.0


def test_a_judge_that_likes_refusals_is_named() -> None:
    card = judged(lambda question, answer: 7.0 if "answering" in answer or "comment" in answer else 5.0)
    [fault] = card["faults"]
    assert fault.startswith("does not tell answers from mismatched (0.")
    assert "refusal (" in fault


def test_a_judge_by_length_shows_its_slope() -> None:
    import math

    card = judged(lambda question, answer: 1 + 0.5 * math.log2(len(answer.split()) + 1))
    assert card["length"]["slope"] == pytest.approx(0.5, abs=1e-6)


def test_unreadable_ratings_are_no_evidence() -> None:
    card = judged(lambda question, answer: None)
    assert card["faults"] == []
    assert card["speakers"][GOOD]["n"] == 0


def test_unreadable_ratings_are_counted_with_the_first(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text('["Quite good, I suppose."]', encoding="utf-8")
    judge = f"scripted:{tmp_path / 'words.json'}"
    cards = report_cards(Judges([judge], SCENARIO, "hashing"), SCENARIO, n_questions=2)
    [fault] = cards[judge]["faults"]
    assert fault.startswith("gave no readable rating of ")
    assert "the first: 'no line of the script is one of the choices" in fault


def test_auc_counts_ties_half() -> None:
    assert auc([2.0, 2.0], [1.0, 2.0]) == 0.75
    assert auc([1.0], [2.0]) == 0.0


def test_pairs_are_counted_within_questions_by_wilsons_interval() -> None:
    better = [(("q", "a"), 5.0), (("r", "a"), 1.0)]
    worse = [(("q", "b"), 5.0), (("r", "b"), 0.0), (("s", "b"), 9.0)]
    assert pair_agreement(better, worse) == share_interval([0.5, 1.0])._asdict()


class Asleep:
    """A rater that finds everything good."""

    name = "asleep"

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        return [Rating(6.0)] * len(items)


def test_a_judge_that_finds_everything_good_is_named_in_the_alarms() -> None:
    judges = Judges(["values"], SCENARIO, "hashing")
    judges._observers["values"].rater = Asleep()
    cards = report_cards(judges, SCENARIO, n_questions=4)
    [words] = card_alarms(cards)
    assert words.startswith("the judge values does not tell answers from mismatched (0.50), repeated question (0.50)")


def test_speakers_may_be_made_of_peoples_pairs() -> None:
    judges = Judges(["values"], SCENARIO, "hashing")
    pairs = [(f"Should I do {i}?", f"Do not do {i}, it hurts her.", f"Do {i}, who cares.") for i in range(9)]
    cards = report_cards(judges, SCENARIO, pairs=pairs)
    assert cards["values"]["source"] == "9 pairs of people"
    assert cards["values"]["pairs"]["n"] == 9


def test_the_question_of_a_conversation_is_the_whole_of_it() -> None:
    def turns(*said: str) -> list[dict[str, str]]:
        return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]

    def answer(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    rows = [
        {"prompt": turns("Why?"), "chosen": answer("Because."), "rejected": answer("No.")},
        {"prompt": turns("I lost it.", "What?", "My key."), "chosen": answer("Ask."), "rejected": answer("Fine.")},
    ]
    assert control_pairs(rows) == [
        ("Why?", "Because.", "No."),
        ("Question: I lost it.\n\nAnswer: What?\n\nQuestion: My key.", "Ask.", "Fine."),
    ]
    assert control_pairs(None) == []


def test_the_ratings_of_a_report_card_are_told_as_they_are_made() -> None:
    given: list[int] = []
    checked = Evaluation(
        [load_model("scripted:")],
        ["Why?"],
        scenario="value_alignment",
        judge="values",
        embedder="hashing",
        controls=None,
    )
    checked.report_cards(on_ratings=given.append)
    assert sum(given) == checked.n_card_ratings() == checked.n_ratings([])
    assert len(given) > 1
