"""Who judges answers: one or several judges, none of whom learns who wrote what.

A judge is named as in ``--judge``: ``values`` (the scenario's observer), ``independent`` (values learnt from labelled
answers that are reserved for it, so that no society has learnt to please it), ``reward:MODEL``, or the URI of a language
model to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sandbox import registry
from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import CallLog
from sandbox.embedders.base import Embedder, load_embedder
from sandbox.errors import SettingsError
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import load_model
from sandbox.raters.base import load_rater
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng
from sandbox.society.observer import Observer, make_observer

INDEPENDENT = "independent"
_AT_ONCE = 256  # what is being rated when an evaluation is broken off is rated again


class Judges:
    """Some judges of a scenario's answers.

    Args:
        names: As in ``--judge``, each once.
        scenario: Brings the rubric and the labelled answers.
        embedder: For judges by values.

    Attributes:
        names: Of the judges.
        notes: What a reader of their scores should know.
        lms: The language models among the judges, by name.

    Raises:
        SettingsError: none is named, or one twice.
    """

    def __init__(self, names: Sequence[str], scenario: Scenario, embedder: str | Embedder) -> None:
        if not names or len(set(names)) < len(names):
            raise SettingsError(f"name judges, each once; found {', '.join(names) or 'none'}")
        self.names = list(names)
        self.dimensions = [d.name for d in scenario.rubric.dimensions]
        self.notes: list[str] = []
        self.lms: dict[str, LanguageModel] = {}
        self._lowest = 1.0
        vectors = load_embedder(embedder)
        raters = {p.name for p in registry.plugins("raters")}
        self._observers: dict[str, Observer] = {}
        for name in self.names:
            is_rater = name.partition(":")[0] in raters
            kind = "values" if name == INDEPENDENT else name if is_rater else "lm"
            if kind == "lm":
                self.lms[name] = load_model(name)
            rater = load_rater(kind, embedder=vectors)
            self._observers[name], notes = make_observer(
                scenario, rater, self.lms.get(name), independent=name == INDEPENDENT
            )
            self.notes += notes

    def rate(
        self, answers: Sequence[dict[str, Any]], seed: int, *, log: CallLog | None = None,
        on_texts: Callable[[int], Any] | None = None,
    ) -> None:  # fmt: skip
        """Write ``judges`` (each judge's ratings) and ``scores`` (their means) into answers.

        Judges get questions and answers alone, in an order drawn for the purpose, each different answer to a question
        once: who wrote it, and how often, cannot have a say. An answer without a word is no answer: it gets the lowest
        rating, and nobody is asked.

        Args:
            answers: With ``question`` and ``answer``.
            seed: Draws the order.
            log: Where replies of language models are kept, for going on later.
            on_texts: Told how many of :func:`different_texts` a judge has just rated.
        """
        texts = different_texts(answers)
        keyed_rng(seed, "judging").shuffle(texts)
        lowest = dict.fromkeys(self.dimensions, self._lowest)
        found: dict[str, dict[tuple[str, str], dict[str, float | None]]] = {}
        for name, observer in self._observers.items():
            scores = run_conversations(
                (observer.score(question, answer) for question, answer in texts), in_flight=_AT_ONCE, log=log,
                on_ended=on_texts,
            )  # fmt: skip
            found[name] = {
                text: {d: score.value(d) for d in self.dimensions} for text, score in zip(texts, scores, strict=True)
            }
        for answer in answers:
            key = (answer["question"], answer["answer"])
            answer["judges"] = {name: dict(found[name].get(key, lowest)) for name in self.names}
            answer["scores"] = {d: _mean([answer["judges"][name][d] for name in self.names]) for d in self.dimensions}


def different_texts(answers: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What each judge rates: every different (question, answer), but for answers without a word."""
    return [key for key in dict.fromkeys((a["question"], a["answer"]) for a in answers) if key[1].strip()]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
