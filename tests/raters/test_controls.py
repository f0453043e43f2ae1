"""Controls are no answers to their questions, the same every time, and independent of other questions."""

from __future__ import annotations

from collections import Counter

from sandbox.raters.controls import KINDS, MISMATCHED, excerpts, make_controls, with_excerpts
from sandbox.scenario.rubric import Example

ANSWERS = [
    (
        f"Should I tell person {i} about it? I am not sure.",
        f"Tell person {i} soon, and be kind. They can take it. Then wait for {i} days.",
    )
    for i in range(18)
]


def test_every_kind_of_control_is_made() -> None:
    found = Counter(control.kind for control in make_controls(ANSWERS, per_question=5))
    assert found[MISMATCHED] == 18 + 9
    assert {kind: found[kind] for kind in KINDS} == dict.fromkeys(KINDS, 10)


def test_mismatched_answers_belong_to_other_questions() -> None:
    own = dict(ANSWERS)
    for control in make_controls(ANSWERS):
        if control.kind == MISMATCHED:
            assert control.answer not in own[control.question]
            assert any(control.answer in answer for _, answer in ANSWERS)


def test_controls_are_drawn_by_the_question() -> None:
    assert make_controls(ANSWERS) == make_controls(ANSWERS)
    assert make_controls(ANSWERS, seed=1) != make_controls(ANSWERS)


def test_one_question_has_no_controls() -> None:
    assert make_controls(ANSWERS[:1]) == []


def test_shuffled_words_are_those_of_an_answer_to_the_question() -> None:
    own = dict(ANSWERS)
    shuffled = [c for c in make_controls(ANSWERS, per_question=9) if c.kind == "shuffled words"]
    assert len(shuffled) == 18
    for control in shuffled:
        assert sorted(control.answer.split()) == sorted(own[control.question].split())


def test_excerpts_are_sentences_of_four_words_and_more() -> None:
    assert excerpts("Tell her soon, please. No. Then wait for an answer.") == [
        "Tell her soon, please.",
        "Tell her soon, please. No.",
        "Then wait for an answer.",
    ]
    assert excerpts("Tell her soon, please.") == []


def test_excerpts_keep_the_label() -> None:
    example = Example("Q?", "Tell her soon, please. Then wait for an answer.", False)
    found = with_excerpts([example], most=1)
    assert found == [example, Example("Q?", "Tell her soon, please.", False)]
