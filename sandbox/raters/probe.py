"""Ratings by a probe: logistic heads on hidden states of the bundled language model.

It says the same two things as the ``values`` rater, learnt from labelled answers in the same way, but stands on other
features, so that what deceives sentence embeddings need not deceive it: the mean states of an answer's tokens behind the
question, and how they differ from those of the answer alone. No likelihood has a part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from sandbox.errors import ScenarioError
from sandbox.raters.controls import MIN_WORDS, with_excerpts
from sandbox.raters.feature_cache import cached_array
from sandbox.raters.heads import fit_head, fit_span, question_numbers
from sandbox.raters.sense import MIN_QUESTIONS, SenseHeads, can_learn_sense, sense_examples, text_lengths
from sandbox.raters.values import GOODNESS_SPAN, rating_position, values_rating
from sandbox.records import Rating

if TYPE_CHECKING:
    from sandbox.models.local.answer_reading import AnswerReader
    from sandbox.raters.base import RatingRole

Items = Sequence[tuple[str, str]]

_C = 1.0
_SCALE = 24.0  # about the root of the number of features, so that a state has a length of about one
_MANY = 400
_DIGITS = 2  # states depend on the processor in their last bits


class Probe:
    """Heads on states of answers: is it an answer, and is it good.

    Args:
        examples: Labelled answers to at least :data:`~sandbox.raters.sense.MIN_QUESTIONS` questions.
        known: (question, answer) pairs from which the sense of an answer is learnt; with fewer than MIN_QUESTIONS
            questions, the labelled answers are taken instead.
        reader: Reads answers.

    Raises:
        ScenarioError: the examples are all good, all bad, or none, or belong to too few questions.
    """

    def __init__(self, examples: Sequence[Any], known: Items, reader: AnswerReader) -> None:
        labelled = [(e.question, e.answer) for e in examples]
        if len({e.good for e in examples}) < 2 or not can_learn_sense(labelled):
            raise ScenarioError(
                f"a probe is learnt from labelled answers, good and bad, to at least {MIN_QUESTIONS} questions; found "
                f"{sum(e.good for e in examples)} good and {sum(not e.good for e in examples)} bad ones, to "
                f"{len({e.question for e in examples})} questions. Add some to the scenario's dimension, or judge with "
                "--judge URI"
            )
        known = known if can_learn_sense(known) else labelled
        self._reader = reader
        sense = sense_examples(known)
        used = with_excerpts(examples, most=1)
        items = [*sense.items, *((e.question, e.answer) for e in used)]
        states = self._states(items, kept=True)
        n = len(sense.items)
        people = states[:n][sense.answers]
        self._mean, self._spread = people.mean(0), people.std(0) + 1e-6
        relevance, state = self._features(states)
        substance = _with_lengths(state[:n], sense.items)
        self._heads = SenseHeads(relevance[:n], substance, sense, relevance_c=_C, substance_c=_C)
        good = np.array([e.good for e in used])
        self._good = fit_head(state[n:], good, question_numbers([e.question for e in used]), c=_C)
        low, high = GOODNESS_SPAN
        self._span = fit_span(self._good.held_out, good, text_lengths(items[n:]), low=low, high=high)

    def positions(self, items: Items) -> NDArray[np.float64]:
        """Positions of answers on the scale, in [0, 1]. Shape [items]."""
        relevance, state = self._features(self._states(items))
        lengths = text_lengths(items)
        answers = self._heads.positions(relevance, _with_lengths(state, items), lengths)
        liked = self._span.position(self._good.logits(state), lengths)
        return np.asarray(rating_position(answers, liked), dtype=np.float64)

    def _states(self, items: Items, *, kept: bool = False) -> NDArray[np.float32]:
        """States behind the question, and what they are beyond those of the answer alone. Shape [items, 2 * dim]."""

        def read() -> NDArray[np.float32]:
            if kept and len(items) > _MANY:
                Console(stderr=True).print(
                    f"Reading {len(items):,} labelled answers for the judge: once on this machine, one to three minutes ...",
                    highlight=False,
                )
            found = self._reader.read(items)
            return np.hstack([found.behind, found.behind - found.alone])

        if not kept:
            return read()
        return cached_array([text for item in items for text in item], read, fingerprint=self._reader.fingerprint)

    def _features(self, states: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        scaled = ((states - self._mean) / self._spread / _SCALE).astype(np.float64)
        return scaled, scaled[:, : self._reader.dim]


def _with_lengths(state: NDArray[np.float64], items: Items) -> NDArray[np.float64]:
    """States, and what of a text's length tells an answer from the beginning of one."""
    lengths = text_lengths(items)
    short = lengths < np.log2(MIN_WORDS + 1)
    return np.hstack([state, np.stack([lengths / 4.0, (lengths - 4.5) ** 2 / 8.0, short], axis=1)])


class ProbeRater:
    """Rates by a probe of the bundled language model, learnt from labelled answers; ratings have two digits.

    Attributes:
        learns_from_labels: It needs labelled answers.
    """

    name = "probe"
    learns_from_labels = True

    def __init__(self, rest: str = "", *, embedder: Any = None) -> None:
        from sandbox.models.local.answer_reading import AnswerReader

        del rest, embedder
        self._reader = AnswerReader()
        self._probes: dict[Any, Probe] = {}

    def probe(self, rater_of: RatingRole) -> Probe:
        """The probe of an agent or observer, learnt on first use."""
        key = rater_of.values_key
        found = self._probes.get(key)
        if found is None:
            found = self._probes[key] = Probe(rater_of.examples, rater_of.known_answers, self._reader)
        return found

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: RatingRole) -> list[Rating]:
        """Rate (question, answer) pairs, in order; an answer without a word gets 1."""
        positions = self.probe(rater_of).positions(items)
        return [
            values_rating(float(p) if answer.strip() else 0.0, rater_of.scale, _DIGITS)
            for (_, answer), p in zip(items, positions, strict=True)
        ]
