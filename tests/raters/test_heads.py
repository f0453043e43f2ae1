"""Heads and spans: cross-validation over questions, and positions that length alone does not move."""

from __future__ import annotations

import numpy as np
import pytest

from sandbox.raters.heads import fit_head, fit_span, question_numbers


def test_held_out_logits_come_from_heads_that_have_not_seen_the_question() -> None:
    """Features that name the question: what is learnt from them is of no use for others."""
    n = 40
    groups = np.arange(n)
    labels = np.random.default_rng(0).random(n) > 0.5
    head = fit_head(np.eye(n), labels, groups, c=100.0)
    assert np.mean((head.logits(np.eye(n)) > 0) == labels) == 1.0
    assert head.accuracy < 0.7


def test_few_examples_have_no_accuracy() -> None:
    head = fit_head(np.array([[1.0], [-1.0]]), np.array([True, False]), np.array([0, 1]), c=1.0)
    assert np.isnan(head.accuracy)
    assert head.held_out[0] > 0 > head.held_out[1]


def test_a_span_takes_length_out() -> None:
    draw = np.random.default_rng(0)
    lengths = draw.uniform(2, 6, 400)
    labels = np.arange(400) % 2 == 0
    logits = 2.0 * labels + 1.5 * lengths + draw.normal(0, 0.01, 400)
    span = fit_span(logits, labels, lengths, low=50, high=50)
    for length in (2.0, 4.0, 6.0):
        at = span.position(np.array([0.0, 1.0, 2.0]) + 1.5 * length, np.full(3, length))
        assert at == pytest.approx([0.1, 0.5, 0.9], abs=0.01)


def test_a_head_that_knows_nothing_gives_positions_all_the_same() -> None:
    labels = np.arange(40) % 2 == 0
    span = fit_span(-1.0 * labels, labels, np.zeros(40), low=50, high=50)
    assert 0.0 <= span.position(np.array([0.0]), np.zeros(1))[0] <= 1.0


def test_equal_questions_have_one_number() -> None:
    assert question_numbers(["a", "b", "a"]).tolist() == [0, 1, 0]
