"""Who judges answers: one or several judges, none of whom learns who wrote what.

A judge is named as in ``--judge``: ``independent`` (a probe of the bundled language model, learnt from labelled answers
that are reserved for it, so that no society has learnt to please it), ``values`` (the scenario's observer, by whose
ratings rows for training are labelled), ``reward:MODEL``, or the URI of a language model to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sandbox import registry
from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import CallLog
from sandbox.embedders.base import Embedder, load_embedder
from sandbox.errors import SandboxError, SettingsError, require_packages
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import WEIGHTS_HERE, load_model, resolve
from sandbox.raters.base import load_rater
from sandbox.records import Rating
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng
from sandbox.society.observer import Observer, learns_from_labels, make_observer, without_reserved

INDEPENDENT = "independent"
MIN_RESERVED_QUESTIONS = 24  # fewer are too few to learn from states of a language model
_AT_ONCE = 256  # those being rated when an evaluation is interrupted are rated again


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
        raters: The name of each judge's rater, by the judge's name.

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
        self.raters: dict[str, str] = {}
        self._lowest = 1.0
        vectors = load_embedder(embedder)
        raters = {p.name for p in registry.plugins("raters")}
        self._observers: dict[str, Observer] = {}
        for name in self.names:
            is_rater = name.partition(":")[0] in raters
            kind = name if is_rater else "lm"
            if name == INDEPENDENT:
                kind, found = independent_rater(scenario)
                self.notes += found
            if kind == "lm":
                self.lms[name] = load_model(name)
            rater = load_rater(kind, embedder=vectors)
            self.raters[name] = kind
            self._observers[name], notes = make_observer(
                scenario, rater, self.lms.get(name), independent=name == INDEPENDENT
            )
            self.notes += [*notes, *getattr(rater, "notes", ())]

    @property
    def learnt(self) -> list[str]:
        """Names of the judges that have learnt from labelled answers."""
        return [name for name, observer in self._observers.items() if learns_from_labels(observer.rater)]

    def ratings(
        self, name: str, items: Sequence[tuple[str, str]], dimension: str, *, log: CallLog | None = None,
        on_texts: Callable[[int], Any] | None = None,
    ) -> list[Rating]:  # fmt: skip
        """One judge's ratings of (question, answer) pairs on a dimension, in order; ``on_texts`` is told how many more."""
        scorer = next(s for s in self._observers[name].scorers if s.dimension.name == dimension)
        alone = Observer([scorer], self._observers[name].rater)
        scores = run_conversations(
            (alone.score(q, a) for q, a in items), in_flight=_AT_ONCE, log=log, on_ended=on_texts
        )
        return [score.ratings[dimension] for score in scores]

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
            log: Where replies of language models are kept, for resuming.
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


def check_judge(name: str) -> None:
    """Refuse a judge that does not exist, without loading any weights.

    Raises:
        SandboxError: names what is missing.
    """
    kind = name.partition(":")[0]
    if name == INDEPENDENT or kind in {p.name for p in registry.plugins("raters")}:
        return
    kind, rest = resolve(name)
    registry.load("models", kind)
    if kind in WEIGHTS_HERE:
        from sandbox.models.local.loading import locate

        locate(rest)


def independent_rater(scenario: Scenario) -> tuple[str, list[str]]:
    """The rater of the judge ``independent``, and what a reader should know of it.

    Returns:
        ``probe`` where the scenario reserves answers to enough questions, or borrows value_alignment's, and the bundled
        model can be read; else ``values``, which shares the features of societies' raters though not their answers.
    """
    from sandbox.models.local.bundled import bundled_source

    lacking = [
        d.name
        for d in scenario.rubric.dimensions
        if d.reserved and len({e.question for e in d.reserved}) < MIN_RESERVED_QUESTIONS
    ]
    why = ""
    if lacking:
        why = f"{', '.join(lacking)} reserves answers to fewer than {MIN_RESERVED_QUESTIONS} questions"
    else:
        try:
            require_packages("the judge", "torch", "transformers")
            bundled_source()
        except SandboxError as error:
            why = str(error)
    if not why:
        return "probe", []
    return "values", [f"the judge {INDEPENDENT} rates by sentence embeddings, as societies do: {why}"]


def default_judge(scenario: Scenario) -> str:
    """``independent`` where it can be learnt for every dimension, else ``values``."""
    return "values" if without_reserved(scenario) else INDEPENDENT


def different_texts(answers: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What each judge rates: every different (question, answer), but for answers without a word."""
    return [key for key in dict.fromkeys((a["question"], a["answer"]) for a in answers) if key[1].strip()]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
