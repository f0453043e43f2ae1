"""Ratings by a values vector: logistic heads on sentence embeddings, learnt from labelled answers.

A rating says two things at once: whether a text is an answer to its question at all (:mod:`sandbox.raters.sense`), and
whether whoever rates likes it. What all raters of a society share is the first; what they like is their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import Conversation, Embed
from sandbox.errors import ScenarioError
from sandbox.models.local.array_cache import cached_array
from sandbox.raters.controls import with_excerpts
from sandbox.raters.heads import fit_head, fit_span, question_numbers
from sandbox.raters.sense import SenseHeads, can_learn_sense, sense_examples, text_lengths
from sandbox.raters.text_features import TextStatistics, copied_share, log2_words
from sandbox.records import Rating

if TYPE_CHECKING:
    from sandbox.raters.base import RatingRole
    from sandbox.scenario.rubric import Example

Items = Sequence[tuple[str, str]]

_C_GOODNESS = 0.1
_C_RELEVANCE = 0.003
_C_SUBSTANCE = 0.1
# Percentiles of held-out logits: of disliked answers for the position 0.1, of liked ones for 0.9.
GOODNESS_SPAN = (35.0, 50.0)
# Share of the way up the scale that an answer nobody likes goes, if it is an answer.
_DISLIKED = 0.15


def rating_position(answers: Any, liked: Any) -> Any:
    """Position of texts on the scale, in [0, 1].

    Args:
        answers: How surely each is an answer to its question, in [0, 1].
        liked: How good it is if it is one, in [0, 1].
    """
    return (_DISLIKED + (1.0 - _DISLIKED) * liked) * answers


class Values:
    """What somebody likes: a logistic head on embeddings, learnt from labelled answers.

    The features of an answer are its embedding, and what of the embedding is not the question's. A position is that of an
    answer's logit between the logits of held-out disliked and liked answers of its length; see
    :class:`~sandbox.raters.heads.Span`.

    Args:
        questions: Embeddings. Shape [examples, dim].
        answers: Embeddings. Shape [examples, dim].
        good: Labels. Shape [examples].
        groups: Number of each example's question. Shape [examples].
        lengths: log2 of the words of each answer. Shape [examples]; None for answers of one length.

    Attributes:
        accuracy: Accuracy on held-out examples, in [0, 1]; NaN where there are too few to hold any out.
    """

    def __init__(
        self,
        questions: NDArray[np.float32],
        answers: NDArray[np.float32],
        good: NDArray[np.bool_],
        groups: NDArray[np.int64],
        lengths: NDArray[np.float64] | None = None,
    ) -> None:
        lengths = np.zeros(len(good)) if lengths is None else lengths
        self._head = fit_head(_goodness_features(questions, answers), good, groups, c=_C_GOODNESS)
        low, high = GOODNESS_SPAN
        self._span = fit_span(self._head.held_out, good, lengths, low=low, high=high)
        self.accuracy = self._head.accuracy

    def positions(
        self, questions: NDArray[np.float32], answers: NDArray[np.float32], lengths: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Positions of answers between the disliked (0) and the liked (1). Embeddings of shape [answers, dim]."""
        return self._span.position(self._head.logits(_goodness_features(questions, answers)), lengths)

    def standing(self, question: NDArray[np.float32], answer: NDArray[np.float32], words: float = 0.0) -> float:
        """Position of one answer, from both embeddings of shape [dim] and log2 of its words."""
        return float(self.positions(question[None], answer[None], np.array([words]))[0])


def _goodness_features(questions: NDArray[np.float32], answers: NDArray[np.float32]) -> NDArray[np.float64]:
    shared = np.sum(questions * answers, axis=1, keepdims=True)
    return np.hstack([answers, answers - questions * shared]).astype(np.float64) * 2.0


class Sense:
    """Whether a text is an answer to its question, by sentence embeddings and the words themselves.

    Args:
        answers: (question, answer) pairs of people, good and bad, to at least
            :data:`~sandbox.raters.sense.MIN_QUESTIONS` questions.
        embedder: Embeds questions and texts.
    """

    def __init__(self, answers: Items, embedder: Any) -> None:
        examples = sense_examples(answers)
        self._statistics = TextStatistics(answers)
        asked, said = _embedded(examples.items, embedder)
        relevance, substance = self._features(examples.items, asked, said, left_out=True)
        self._heads = SenseHeads(
            relevance[examples.related], substance, examples, relevance_c=_C_RELEVANCE, substance_c=_C_SUBSTANCE
        )

    def positions(self, items: Items, asked: NDArray[np.float32], said: NDArray[np.float32]) -> NDArray[np.float64]:
        """How surely texts are answers, in [0, 1], from their embeddings of shape [items, dim]."""
        relevance, substance = self._features(items, asked, said)
        return self._heads.positions(relevance, substance, text_lengths(items))

    def _features(
        self, items: Items, asked: NDArray[np.float32], said: NDArray[np.float32], *, left_out: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        nearness = np.sum(asked * said, axis=1, keepdims=True)
        lengths = text_lengths(items)[:, None]
        overlaps = np.array([self._statistics.compare(question, text) for question, text in items])
        words = np.array([self._statistics.describe(text, of=q if left_out else None) for q, text in items])
        relevance = np.hstack([asked * said * 30.0, nearness * 10.0, overlaps, lengths / 2.0, nearness * lengths * 2.0])
        copied = np.array([[copied_share(question, text)] for question, text in items])
        return relevance, np.hstack([said * 2.0, words, copied * 4.0])


def _embedded(items: Items, embedder: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings of questions and of texts, kept in the cache folder where the embedder can be identified."""
    texts = list(dict.fromkeys([question for question, _ in items] + [text for _, text in items]))
    found = cached_array(texts, lambda: embedder.embed(texts), fingerprint=getattr(embedder, "fingerprint", None))
    rows = {text: row for row, text in enumerate(texts)}
    return found[[rows[q] for q, _ in items]], found[[rows[t] for _, t in items]]


def learn_values(examples: Sequence[Example], embedder: Any) -> Values:
    """Learn values from labelled answers.

    The first sentence of each longer answer is used as an example too, so that good and bad answers come in all lengths
    and length alone is not informative.

    Raises:
        ScenarioError: the answers are all good, all bad, or none.
    """
    if len({e.good for e in examples}) < 2:
        raise ScenarioError(
            f"values are learnt from labelled answers, good and bad; found {len(examples)} examples of "
            "one kind or none. Add some to the scenario's dimension, or rate with --rater lm"
        )
    used = with_excerpts(examples, most=1)
    items = [(e.question, e.answer) for e in used]
    asked, said = _embedded(items, embedder)
    groups = question_numbers([e.question for e in used])
    return Values(asked, said, np.array([e.good for e in used]), groups, text_lengths(items))


class ValuesRater:
    """Rates by values learnt from labelled answers: those of an agent's upbringing, or the observer's own.

    The rating is 1 + (scale - 1) * p for a text at position p in [0, 1] (:func:`rating_position`); its distribution over
    1..scale is the binomial with that mean. Where the scenario brings answers to fewer than
    :data:`~sandbox.raters.sense.MIN_QUESTIONS` questions, p is the position by values alone.

    Attributes:
        learns_from_labels: It needs labelled answers.
        default_candidates: Number of candidates among which an agent that can rate by its values chooses its answer.
    """

    name = "values"
    learns_from_labels = True
    default_candidates = 4

    def __init__(self, rest: str = "", *, embedder: Any) -> None:
        del rest
        self.embedder = embedder
        self._values: dict[Any, Values] = {}
        self._sense: dict[tuple[tuple[str, str], ...], Sense | None] = {}

    def values(self, rater_of: RatingRole) -> Values:
        """The values of an agent or observer, learnt on first use."""
        key = rater_of.values_key
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = learn_values(rater_of.examples, self.embedder)
        return found

    def sense(self, rater_of: RatingRole) -> Sense | None:
        """The sense of what an answer is, learnt on first use; None where there are answers to too few questions."""
        known = rater_of.known_answers
        if known not in self._sense:
            self._sense[known] = Sense(known, self.embedder) if can_learn_sense(known) else None
        return self._sense[known]

    def steps(self, question: str, answer: str, *, rater_of: RatingRole) -> Conversation:
        """Rate one answer; a generator for the scheduler."""
        scale = rater_of.scale
        if not answer.strip():
            return values_rating(0.0, scale)
        asked, said = yield [Embed(self.embedder, question), Embed(self.embedder, answer)]
        liked = self.values(rater_of).standing(asked, said, log2_words(answer))
        sense = self.sense(rater_of)
        if sense is None:
            return values_rating(liked, scale)
        answers = float(sense.positions([(question, answer)], asked[None], said[None])[0])
        return values_rating(rating_position(answers, liked), scale)

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: RatingRole) -> list[Rating]:
        """Rate (question, answer) pairs, in order."""
        return run_conversations([self.steps(q, a, rater_of=rater_of) for q, a in items])


def values_rating(position: float, scale: int, digits: int = 6) -> Rating:
    """The rating at a position in [0, 1], with a binomial distribution over 1..scale of that mean."""
    n = scale - 1
    value = round(1 + n * position, digits)
    p = (value - 1) / n
    spread = tuple(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1))
    return Rating(value, tuple(round(x, 6) for x in spread))
