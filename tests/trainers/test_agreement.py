"""Krippendorff's alpha against its author's worked example, and at its ends."""

from __future__ import annotations

import math

import pytest

from trainers.evaluation.agreement import agreement, krippendorff_alpha

_ = None
# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve units.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]


def test_the_worked_example_of_its_author() -> None:
    """He finds 0.849 for interval data; the twelfth unit has one rating and does not count."""
    found = krippendorff_alpha(list(zip(*OBSERVERS, strict=True)))
    assert round(found["alpha"], 3) == 0.849
    assert found["n"] == 11
    assert found["low"] < found["alpha"] < found["high"]


def test_from_agreement_to_disagreement() -> None:
    """Two judges, units (1,7) and (7,1): differences within are twice the expected ones' 24: 1 - 36/24 = -0.5."""
    assert krippendorff_alpha([[1, 1], [4, 4], [7, 7]])["alpha"] == 1
    assert krippendorff_alpha([[1, 7], [7, 1]])["alpha"] == pytest.approx(-0.5)
    assert math.isnan(krippendorff_alpha([[4, 4], [4, 4]])["alpha"])
    assert math.isnan(krippendorff_alpha([[4, None], [4, 5]])["alpha"])


def test_an_answer_that_was_given_twice_counts_once() -> None:
    def rated(answer: str, a: float, b: float) -> dict[str, object]:
        return {"question": "Q", "answer": answer, "judges": {"a": {"d": a}, "b": {"d": b}}}

    answers = [rated("x", 1, 2), rated("y", 5, 5), rated("z", 7, 6), rated("z", 7, 6)]
    assert agreement(answers, ["d"], ["a", "b"])["d"] == krippendorff_alpha([[1, 2], [5, 5], [7, 6]])
    assert agreement(answers, ["d"], ["a"]) == {}
