"""The sense of what an answer is: is a text an answer to its question, in words that mean something?

Two logistic heads, learnt from labelled answers, whether good or bad, and from controls made from them
(:mod:`sandbox.raters.controls`). The first tells answers to the question from answers to other questions, the second
answers from all that is no answer to anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.raters.controls import MISMATCHED, make_controls, with_excerpts
from sandbox.raters.heads import Head, Span, fit_head, fit_span, question_numbers
from sandbox.raters.text_features import log2_words
from sandbox.scenario.rubric import Example

MIN_QUESTIONS = 8
# Of other kinds than mismatched, for each question. More of them, or more excerpts, made the heads no better.
_CONTROLS = 4

# Percentiles of held-out logits, of negative and of positive examples, that get the positions 0.1 and 0.9.
_RELEVANCE = (60.0, 30.0)
_SUBSTANCE = (85.0, 6.0)


@dataclass(frozen=True)
class SenseExamples:
    """What the sense of an answer is learnt from.

    Attributes:
        items: (question, text) pairs.
        answers: Which of them are answers. Shape [items].
        mismatched: Which of them are answers to other questions. Shape [items].
    """

    items: Sequence[tuple[str, str]]
    answers: NDArray[np.bool_]
    mismatched: NDArray[np.bool_]


def can_learn_sense(answers: Sequence[tuple[str, str]]) -> bool:
    """Whether there are answers to enough questions to tell answers from controls."""
    return len({question for question, _ in answers}) >= MIN_QUESTIONS


def sense_examples(answers: Sequence[tuple[str, str]]) -> SenseExamples:
    """Answers, their first sentences, and controls made from them.

    Args:
        answers: (question, answer) pairs, whether the answers are good or bad.
    """
    positive = with_excerpts([Example(question, answer, True) for question, answer in answers], most=1)
    controls = make_controls(answers, per_question=_CONTROLS)
    items = [(e.question, e.answer) for e in positive] + [(c.question, c.answer) for c in controls]
    kinds = [""] * len(positive) + [c.kind for c in controls]
    return SenseExamples(items, np.array([not kind for kind in kinds]), np.array([k == MISMATCHED for k in kinds]))


class SenseHeads:
    """The two heads, on features given from outside.

    Args:
        relevance: Features of the examples for the first head. Shape [examples, ...].
        substance: Features of the examples for the second head. Shape [examples, ...].
        examples: The examples.
        relevance_c: Inverse strength of the first head's penalty.
        substance_c: Inverse strength of the second head's penalty.
    """

    def __init__(
        self,
        relevance: NDArray[np.floating],
        substance: NDArray[np.floating],
        examples: SenseExamples,
        *,
        relevance_c: float,
        substance_c: float,
    ) -> None:
        lengths = text_lengths(examples.items)
        groups = question_numbers([question for question, _ in examples.items])
        related = examples.answers | examples.mismatched
        self._relevance = _calibrated(
            relevance[related], examples.answers[related], groups[related], lengths[related], relevance_c, _RELEVANCE
        )
        others = ~examples.mismatched
        self._substance = _calibrated(
            substance[others], examples.answers[others], groups[others], lengths[others], substance_c, _SUBSTANCE
        )

    def positions(
        self, relevance: NDArray[np.floating], substance: NDArray[np.floating], lengths: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How surely texts are answers, between 0 and 1: the product of both heads' positions. Shape [texts]."""
        head, span = self._relevance
        related = span.position(head.logits(relevance), lengths)
        head, span = self._substance
        return np.asarray(related * span.position(head.logits(substance), lengths), dtype=np.float64)


def text_lengths(items: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """log2 of the words of each text. Shape [items]."""
    return np.array([log2_words(text) for _, text in items], dtype=np.float64)


def _calibrated(
    features: NDArray[np.floating],
    labels: NDArray[np.bool_],
    groups: NDArray[np.int64],
    lengths: NDArray[np.float64],
    c: float,
    percentiles: tuple[float, float],
) -> tuple[Head, Span]:
    head = fit_head(features, labels, groups, c=c)
    low, high = percentiles
    return head, fit_span(head.held_out, labels, lengths, low=low, high=high)
