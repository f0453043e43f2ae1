"""Ratings by a values vector: a logistic head on sentence embeddings, learnt from labelled answers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import Conversation, Embed
from sandbox.errors import ScenarioError
from sandbox.records import Rating

if TYPE_CHECKING:
    from sandbox.scenario.rubric import Example


class Values:
    """A values vector: a logistic head on embeddings, learnt from labelled answers.

    The features of an answer are its embedding and its product with the question's (2 x dim). A rating says where an
    answer stands among those the values were learnt from: the 5th percentile of their held-out logits (by
    cross-validation over questions) is the lowest rating, the 95th the highest.

    Args:
        questions: Embeddings. Shape [examples, dim].
        answers: Embeddings. Shape [examples, dim].
        good: Labels. Shape [examples].
        groups: Which question each example belongs to. Shape [examples].

    Attributes:
        accuracy: On held-out examples, in [0, 1]; NaN with too few to hold any out.
    """

    def __init__(
        self,
        questions: NDArray[np.float32],
        answers: NDArray[np.float32],
        good: NDArray[np.bool_],
        groups: NDArray[np.int64],
    ) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GroupKFold, cross_val_predict

        features = np.hstack([answers, answers * questions])
        head = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
        self.accuracy = math.nan
        head.fit(features, good)
        self.weights: NDArray[np.float64] = head.coef_[0]
        self.bias = float(head.intercept_[0])
        logits = head.decision_function(features)
        folds = min(5, len(set(groups.tolist())))
        if folds >= 2 and len(good) >= 20:
            logits = cross_val_predict(
                head, features, good, groups=groups, cv=GroupKFold(folds), method="decision_function"
            )
            self.accuracy = float(np.mean((logits > 0) == good))
        low, high = (float(v) for v in np.percentile(logits, [5, 95]))
        self._low, self._width = low, max(high - low, 1e-6)

    def standing(self, question: NDArray[np.float32], answer: NDArray[np.float32]) -> float:
        """Where an answer stands, from 0 (the worst known) to 1 (the best), from both embeddings. Shapes [dim]."""
        dim = len(answer)
        logit = float(self.weights[:dim] @ answer + self.weights[dim:] @ (answer * question)) + self.bias
        return min(1.0, max(0.0, (logit - self._low) / self._width))


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def learn_values(examples: Sequence[Example], embedder: Any) -> Values:
    """Learn values from labelled answers.

    The first sentence of each longer answer is an example too: good and bad answers then come in all lengths, and
    length alone tells nothing.

    Raises:
        ScenarioError: there are no good, or no bad, answers among them.
    """
    if len({e.good for e in examples}) < 2:
        raise ScenarioError(
            f"values are learnt from labelled answers, good and bad; found {len(examples)} examples of "
            "one kind or none. Give the scenario's dimension some, or rate with --rater lm"
        )
    answers = [(e.question, e.answer, e.good) for e in examples]
    for e in examples:
        sentence = _SENTENCE_END.split(e.answer, maxsplit=1)[0]
        if 4 <= len(sentence.split()) < len(e.answer.split()):
            answers.append((e.question, sentence, e.good))
    vectors = embedder.embed([q for q, _, _ in answers] + [a for _, a, _ in answers])
    numbers = {q: i for i, q in enumerate(dict.fromkeys(e.question for e in examples))}
    groups = np.array([numbers[q] for q, _, _ in answers])
    good = np.array([g for _, _, g in answers])
    return Values(vectors[: len(answers)], vectors[len(answers) :], good, groups)


class ValuesRater:
    """Rate by a values vector learnt from labelled answers: an agent's from its upbringing, an observer's own.

    The rating is 1 + (scale - 1) * p for an answer that stands at p among the labelled ones; its distribution over
    1..scale is the binomial with that mean.
    """

    name = "values"

    def __init__(self, rest: str = "", *, embedder: Any) -> None:
        del rest
        self.embedder = embedder
        self._values: dict[Any, Values] = {}

    def values(self, rater_of: Any) -> Values:
        """The values of whoever rates, learnt on first use."""
        key = rater_of.values_key
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = learn_values(rater_of.examples, self.embedder)
        return found

    def steps(self, question: str, answer: str, *, rater_of: Any) -> Conversation:
        """Rate one answer; a generator for the scheduler."""
        asked, said = yield [Embed(self.embedder, question), Embed(self.embedder, answer)]
        p = self.values(rater_of).standing(asked, said)
        n = rater_of.scale - 1
        spread = tuple(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1))
        return Rating(round(1 + n * p, 6), tuple(round(x, 6) for x in spread))

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Rate (question, answer) pairs, in order."""
        return run_conversations([self.steps(q, a, rater_of=rater_of) for q, a in items])
