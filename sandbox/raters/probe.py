"""Ratings by a probe: logistic heads on what the bundled language model makes of an answer.

It says the same two things as the ``values`` rater, learnt from labelled answers in the same way, but stands on other
features, so that what deceives sentence embeddings need not deceive it. Whether a text answers its question is told by how much
likelier it is behind the question than without it, and how near the states of both are; whether it says anything, and whether
that is good, by the mean states of its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from sandbox.errors import ScenarioError
from sandbox.models.local.answer_reading import AnswerReader, Reading
from sandbox.models.local.array_cache import cached_array
from sandbox.raters.controls import MIN_WORDS, with_excerpts
from sandbox.raters.heads import fit_head, fit_span, question_numbers
from sandbox.raters.sense import MIN_QUESTIONS, SenseHeads, can_learn_sense, sense_examples, text_lengths
from sandbox.raters.values import GOODNESS_SPAN, rating_position, values_rating
from sandbox.records import Rating

if TYPE_CHECKING:
    from sandbox.raters.base import RatingRole

Items = Sequence[tuple[str, str]]

_C = 1.0
_C_RELEVANCE = 0.05
# Stricter than by default: a high likelihood is worth more than a low one, also for answers of other people.
_RELEVANCE_SPAN = (80.0, 35.0)
_SCALE = 24.0  # about the root of the number of features, so that a state has a length of about one
_COMPONENTS = 200
_MANY = 400
_DIGITS = 2  # states depend on the processor in their last bits


class Probe:
    """Heads on states and likelihoods of answers: is it an answer, and is it good.

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
        related = [item for item, is_related in zip(sense.items, sense.related, strict=True) if is_related]
        read, states = self._read(related, items)
        n = len(sense.items)
        people = states[:n][sense.answers]
        self._mean, self._spread = people.mean(0), people.std(0) + 1e-6
        self._nearness = Nearness(np.concatenate([read.asked, read.alone]))
        state = self._scaled(states)
        self._heads = SenseHeads(
            self._relevance(read), _with_lengths(state[:n], sense.items), sense,
            relevance_c=_C_RELEVANCE, substance_c=_C, empty_apart=True, relevance_span=_RELEVANCE_SPAN,
        )  # fmt: skip
        good = np.array([e.good for e in used])
        self._good = fit_head(state[n:], good, question_numbers([e.question for e in used]), c=_C)
        low, high = GOODNESS_SPAN
        self._span = fit_span(self._good.held_out, good, text_lengths(items[n:]), low=low, high=high)

    def positions(self, items: Items) -> NDArray[np.float64]:
        """Positions of answers on the scale, in [0, 1]. Shape [items]."""
        read = self._reader.read(items)
        state, lengths = self._scaled(read.states), text_lengths(items)
        answers = self._heads.positions(self._relevance(read), _with_lengths(state, items), lengths)
        liked = self._span.position(self._good.logits(state), lengths)
        return np.asarray(rating_position(answers, liked), dtype=np.float64)

    def _read(self, related: Items, items: Items) -> tuple[Reading, NDArray[np.float32]]:
        """The reading of answers, and the states of all items, from the cache folder where they are kept."""

        def read() -> NDArray[np.float32]:
            if len(items) > _MANY:
                Console(stderr=True).print(
                    f"Reading {len(items):,} labelled answers for the judge: once on this machine, two to five minutes ...",
                    highlight=False,
                )
            found = self._reader.read(related)
            return np.hstack([found.states, found.alone, found.asked, found.gains[:, None], found.tokens[:, None]])

        kept = self._cached(related, read)
        dim = self._reader.dim
        reading = Reading(kept[:, :dim], kept[:, dim : 2 * dim], kept[:, 2 * dim : -2], kept[:, -2], kept[:, -1])
        seen = dict(zip(related, reading.states, strict=True))
        others = [item for item in dict.fromkeys(items) if item not in seen]
        seen |= dict(zip(others, self._cached(others, lambda: self._reader.read_states(others)), strict=True))
        return reading, np.stack([seen[item] for item in items])

    def _cached(self, items: Items, read: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        return cached_array([text for item in items for text in item], read, fingerprint=self._reader.fingerprint)

    def _scaled(self, states: NDArray[np.float32]) -> NDArray[np.float64]:
        return ((states - self._mean) / self._spread / _SCALE).astype(np.float64)

    def _relevance(self, read: Reading) -> NDArray[np.float64]:
        gains, tokens = read.gains.astype(np.float64), read.tokens.astype(np.float64)
        near = self._nearness.between(read.asked, read.alone)
        return np.stack([gains, gains * np.sqrt(tokens) / 3.0, np.log2(tokens + 1.0) / 4.0, near * 3.0], axis=1)


class Nearness:
    """How near the states of two texts are: the cosine of their principal components, each divided by the root of its spread.

    Plain cosines of states are dominated by a few directions that all texts share.

    Args:
        states: States from which the components are computed. Shape [texts, dim].
    """

    def __init__(self, states: NDArray[np.float32]) -> None:
        exact = states.astype(np.float64)
        self._mean = exact.mean(0)
        _, spread, components = np.linalg.svd(exact - self._mean, full_matrices=False)
        self._components = components[:_COMPONENTS].T / (np.sqrt(spread[:_COMPONENTS] / np.sqrt(len(exact))) + 1e-3)

    def between(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
        """Cosines. States of shape [texts, dim] give shape [texts]."""
        a, b = ((states.astype(np.float64) - self._mean) @ self._components for states in (first, second))
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return np.asarray(np.sum(a * b, axis=1) / (lengths + 1e-9), dtype=np.float64)


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
