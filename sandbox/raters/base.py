"""Who turns (question, answer) into a rating: the language model, a values vector, or a reward model.

Neighbours and observers rate through the same seam. A rater is asked on behalf of somebody (``rater_of``), which
has ``dimension`` (what is rated), ``scale``, ``examples`` (labelled answers its values come from) and
``values_key``. Built-in raters also give ``steps``, a generator, so that the wavefront can batch what they wait for
across all who rate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sandbox import registry
from sandbox.conversation.scheduler import Conversation, Embed, drive
from sandbox.errors import ModelNotFound, ScenarioError
from sandbox.records import Rating

if TYPE_CHECKING:
    from sandbox.scenario.scenario import Example


class Rater(Protocol):
    """What every rater promises."""

    name: str

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Rate (question, answer) pairs as ``rater_of`` would, in order."""
        ...


def load_rater(spec: str | Rater, *, embedder: Any) -> Rater:
    """Find a rater by ``name`` or ``name:rest``, as ``values`` or ``reward:./my-reward-model``.

    Raises:
        UnknownPlugin: there is none of that name.
    """
    if not isinstance(spec, str):
        return spec
    name, _, rest = spec.partition(":")
    made: Rater = registry.load("raters", name)(rest, embedder=embedder)
    return made


_RATING = re.compile(r"rating\s*[:=]?\s*\**\s*(\d+(?:\.\d+)?)\s*(?:/\s*(\d+(?:\.\d+)?))?(?![\d.]*\w)", re.IGNORECASE)
_REASON = re.compile(r"reason\s*[:=]\s*\**\s*(.+)", re.IGNORECASE | re.DOTALL)


def parse_rating(text: str, scale: int) -> Rating:
    """Read ``Rating: n ### Reason: ...`` from what a language model wrote.

    Accepts ``6/7``, ``6.5`` and any case; refuses what lies outside 1..scale or is over another scale. What cannot
    be read gives None, with the text kept.

    Args:
        text: The reply, with or without the word ``Rating``.
        scale: The highest rating.
    """
    if not re.search("rating", text, re.IGNORECASE):
        text = "Rating: " + text.lstrip()
    found, why = _RATING.search(text), _REASON.search(text)
    reason = why.group(1).strip() if why else ""
    if found is None or not found.group(1).isascii():
        return Rating(None, reason=reason, raw=text)
    value, over = float(found.group(1)), found.group(2)
    if not 1 <= value <= scale or (over is not None and float(over) != scale):
        return Rating(None, reason=reason, raw=text)
    return Rating(value, reason=reason, raw=text)


class LMRater:
    """Ask the language model, as the paper does.

    Where the model gives probabilities of the answers "1".."7" the rating is their mean, from one forward pass and
    without parsing; else its words are read by :func:`parse_rating`.
    """

    name = "lm"

    def __init__(self, rest: str = "", *, embedder: Any = None) -> None:
        del rest, embedder  # every rater is made alike

    def steps(self, question: str, answer: str, *, rater_of: Any) -> Conversation:
        """Rate one answer; a generator for the wavefront."""
        choices = tuple(str(n) for n in range(1, rater_of.scale + 1))
        reply = yield rater_of.rate(question, answer, choices, 48)
        if reply.choice_probs is None:
            return parse_rating(reply.text, rater_of.scale)
        distribution = tuple(round(float(reply.choice_probs[c]), 6) for c in choices)
        value = sum(p * n for n, p in enumerate(distribution, 1)) / sum(distribution)
        return Rating(round(value, 6), distribution)

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Rate (question, answer) pairs, in order."""
        return drive([self.steps(q, a, rater_of=rater_of) for q, a in items])


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
        """Rate one answer; a generator for the wavefront."""
        asked, said = yield [Embed(self.embedder, question), Embed(self.embedder, answer)]
        p = self.values(rater_of).standing(asked, said)
        n = rater_of.scale - 1
        spread = tuple(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1))
        return Rating(round(1 + n * p, 6), tuple(round(x, 6) for x in spread))

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Rate (question, answer) pairs, in order."""
        return drive([self.steps(q, a, rater_of=rater_of) for q, a in items])


class RewardRater:
    """Rate by a reward model of the sequence-classification kind, a folder or a hub name, mapped to 1..scale.

    A single logit goes through the logistic function; of several classes the last one's probability counts. Either
    gives p, and the rating is 1 + (scale - 1) * p.
    """

    name = "reward"

    def __init__(self, rest: str, *, embedder: Any = None, batch_size: int = 16) -> None:
        del embedder
        if not rest:
            raise ModelNotFound("the reward rater needs a model: --rater reward:FOLDER or reward:HUB_NAME")
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(rest)
            self._model = AutoModelForSequenceClassification.from_pretrained(rest).eval()
        except (OSError, ValueError) as error:
            raise ModelNotFound(f"reward model {rest!r} cannot be loaded as a sequence classifier: {error}") from error
        self.batch_size = batch_size

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Rate (question, answer) pairs, in order; whoever asks, a reward model gives the same rating."""
        import torch

        ratings: list[Rating] = []
        for start in range(0, len(items), self.batch_size):
            batch = items[start : start + self.batch_size]
            encoded = self._tokenizer(
                [q for q, _ in batch],
                [a for _, a in batch],
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**encoded).logits.float()
            good = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
            ratings += [Rating(1 + (rater_of.scale - 1) * float(p)) for p in good[:, -1]]
        return ratings
