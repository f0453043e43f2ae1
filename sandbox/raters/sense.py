"""The sense of what an answer is: is a text an answer to its question, in words that mean something?

Logistic heads, learnt from labelled answers, whether good or bad, and from controls made from them
(:mod:`sandbox.raters.controls`). One tells answers to the question from answers to other questions. One tells answers from all
that is no answer to anything, or two do: one from texts without form, the other from refusals and platitudes, which are
sentences but say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.raters.controls import EMPTY, MISMATCHED, make_controls, with_excerpts
from sandbox.raters.heads import Head, Span, fit_head, fit_span, question_numbers
from sandbox.raters.text_features import log2_words
from sandbox.scenario.rubric import Example

MIN_QUESTIONS = 8
# Of other kinds than mismatched, for each question. More of them, or more excerpts, made the heads no better.
_CONTROLS = 4

# Percentiles of held-out logits, of negative and of positive examples, that get the positions 0.1 and 0.9.
RELEVANCE_SPAN = (60.0, 30.0)
_SUBSTANCE = (85.0, 6.0)
# Where refusals and platitudes are told from answers by a head of their own: of the head for form, and of theirs.
_FORM = (95.0, 4.0)
_CONTENT = (50.0, 3.0)
# What is left of the position of a refusal or a platitude that is recognised as one for certain. Other people's answers can
# look like them in their wording; then relevance decides.
_EMPTY = 0.35


@dataclass(frozen=True)
class SenseExamples:
    """What the sense of an answer is learnt from.

    Attributes:
        items: (question, text) pairs.
        answers: Which of them are answers. Shape [items].
        mismatched: Which of them are answers to other questions. Shape [items].
        empty: Which of them are refusals or platitudes. Shape [items].
    """

    items: Sequence[tuple[str, str]]
    answers: NDArray[np.bool_]
    mismatched: NDArray[np.bool_]
    empty: NDArray[np.bool_]

    @property
    def related(self) -> NDArray[np.bool_]:
        """Which of them the head for relevance learns from: answers, to the question or to others. Shape [items]."""
        return self.answers | self.mismatched


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
    return SenseExamples(
        items,
        answers=np.array([not kind for kind in kinds]),
        mismatched=np.array([kind == MISMATCHED for kind in kinds]),
        empty=np.array([kind in EMPTY for kind in kinds]),
    )


class SenseHeads:
    """The heads, on features given from outside.

    Args:
        relevance: Features of the :attr:`SenseExamples.related` examples for the head for relevance. Shape [related, ...].
        substance: Features of all examples for the other heads. Shape [examples, ...].
        examples: The examples.
        relevance_c: Inverse strength of the penalty of the head for relevance.
        substance_c: Inverse strength of the others' penalty.
        empty_apart: Tell refusals and platitudes from answers by a head of their own.
        relevance_span: Percentiles of held-out logits of answers to other questions and of answers to the question that get
            the relevances 0.1 and 0.9.
    """

    def __init__(
        self,
        relevance: NDArray[np.floating],
        substance: NDArray[np.floating],
        examples: SenseExamples,
        *,
        relevance_c: float,
        substance_c: float,
        empty_apart: bool = False,
        relevance_span: tuple[float, float] = RELEVANCE_SPAN,
    ) -> None:
        lengths = text_lengths(examples.items)
        groups = question_numbers([question for question, _ in examples.items])

        def calibrated(
            features: NDArray[np.floating], of: NDArray[np.bool_], c: float, percentiles: tuple[float, float]
        ) -> tuple[Head, Span]:
            head = fit_head(features, examples.answers[of], groups[of], c=c)
            low, high = percentiles
            return head, fit_span(head.held_out, examples.answers[of], lengths[of], low=low, high=high)

        self._relevance = calibrated(relevance, examples.related, relevance_c, relevance_span)
        no_answers = ~examples.related
        without_form = no_answers & ~examples.empty if empty_apart else no_answers
        used = examples.answers | without_form
        self._substance = calibrated(substance[used], used, substance_c, _FORM if empty_apart else _SUBSTANCE)
        self._content: tuple[Head, Span] | None = None
        if empty_apart and examples.empty.any():
            used = examples.answers | examples.empty
            self._content = calibrated(substance[used], used, substance_c, _CONTENT)

    def positions(
        self, relevance: NDArray[np.floating], substance: NDArray[np.floating], lengths: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How surely texts are answers, between 0 and 1: the product of the heads' positions. Shape [texts].

        The position of the head for refusals and platitudes counts in part, so that such a text keeps 0.35 of the product.
        """

        def position(of: tuple[Head, Span], features: NDArray[np.floating]) -> NDArray[np.float64]:
            head, span = of
            return span.position(head.logits(features), lengths)

        product = position(self._relevance, relevance) * position(self._substance, substance)
        if self._content is not None:
            product = product * (_EMPTY + (1.0 - _EMPTY) * position(self._content, substance))
        return np.asarray(product, dtype=np.float64)


def text_lengths(items: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """log2 of the words of each text. Shape [items]."""
    return np.array([log2_words(text) for _, text in items], dtype=np.float64)
