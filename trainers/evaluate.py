"""Is a trained model better? Its answers to questions it never saw, rated by an observer, paired with another's.

Models answer with the same random numbers, and the observer does not know who wrote what; so a difference between
two models is a difference between two answers to one question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sandbox import registry
from sandbox.embedders import Embedder, load_embedder
from sandbox.errors import SandboxError, SettingsError
from sandbox.metrics import mean_interval
from sandbox.models import LanguageModel, Message, Reply, Request, load_model
from sandbox.observer import make_observer
from sandbox.prompts import whole_sentences
from sandbox.raters import load_rater
from sandbox.scenario import Scenario, load_scenario
from sandbox.streams import stream_seed
from sandbox.wavefront import drive
from trainers.pressure import under_pressure

SCHEMA = 1


class Evaluation:
    """Ask models held-out questions and have their answers rated.

    Args:
        models: URIs or models; the first is what others are compared with.
        questions: What is asked; by default the scenario's held-out questions.
        names: What the models are called in tables; by default their URIs.
        scenario: Brings the rubric, the observer's values and the held-out questions.
        judge: A rater (``values``, ``reward:MODEL``), or the URI of a language model to be asked.
        samples: Answers to each question.
        adversarial: Ask each question under one of the pressures of :mod:`trainers.pressure`, which take turns; the
            answer is rated as one to the plain question.
        seed: Keys the answers' random streams, the same for every model.
        max_tokens: Length of an answer at most.
        temperature: Of the answers; 0 is greedy.
        top_p: Of the answers.
        embedder: For the ``values`` judge.

    Raises:
        SettingsError: a setting is unknown, or there are no questions.
    """

    def __init__(
        self,
        models: Sequence[str | LanguageModel],
        questions: Sequence[str] | None = None,
        *,
        names: Sequence[str] | None = None,
        scenario: str | Scenario = "value_alignment",
        judge: str = "values",
        samples: int = 1,
        adversarial: bool = False,
        seed: int = 0,
        embedder: str | Embedder = "minilm",
        **settings: Any,
    ) -> None:
        known = {"max_tokens": int, "temperature": float, "top_p": float}
        registry.check_settings("evaluation", settings, known)
        self.request: dict[str, Any] = {"max_tokens": 48, "temperature": 0.8, "top_p": 0.95}
        self.request |= registry.typed("evaluation", settings, known)
        self.scenario = load_scenario(scenario, {})
        self.questions = list(questions if questions is not None else self.scenario.heldout)
        if not self.questions:
            raise SettingsError(
                f"scenario {self.scenario.name!r} holds out no questions; give some with --questions FILE"
            )
        self.models = [load_model(m) for m in models]
        self.names = list(names) if names else _names([m.uri for m in self.models])
        self.samples, self.seed, self.judge, self.adversarial = samples, seed, judge, adversarial
        is_rater = judge.partition(":")[0] in {p.name for p in registry.plugins("raters")}
        rater = load_rater(judge if is_rater else "lm", embedder=load_embedder(embedder))
        self._observer, self.notes = make_observer(self.scenario, rater, None if is_rater else load_model(judge))

    @property
    def n_answers(self) -> int:
        """How many answers will be asked for in all."""
        return len(self.models) * len(self.questions) * self.samples

    def run(self, on_answers: Callable[[int], Any] | None = None) -> dict[str, Any]:
        """Ask, rate and compare.

        Args:
            on_answers: Told how many answers have just come.

        Returns:
            The content of ``evaluation.json``: ``models`` (mean scores with intervals), ``differences`` (of each
            model to the first, paired by question), ``answers`` (every answer with its scores).

        Raises:
            SandboxError: a model answered nothing at all.
        """
        answers: list[dict[str, Any]] = []
        for name, model in zip(self.names, self.models, strict=True):
            answers += self._ask(name, model, on_answers)
        scored = drive([self._observer.score(a["question"], a["answer"]) for a in answers])
        dimensions = [d.name for d in self.scenario.rubric.dimensions]
        for answer, score in zip(answers, scored, strict=True):
            answer["scores"] = {d: score.value(d) for d in dimensions}
        return {
            "schema": SCHEMA,
            "scenario": self.scenario.name,
            "judge": self.judge,
            "notes": self.notes,
            "dimensions": dimensions,
            "scale": self.scenario.rubric.scale,
            "questions": len(self.questions),
            "samples": self.samples,
            "adversarial": self.adversarial,
            "seed": self.seed,
            "settings": self.request,
            "models": [self._summary(n, m, answers, dimensions) for n, m in zip(self.names, self.models, strict=True)],
            "differences": [self._difference(n, answers, dimensions) for n in self.names[1:]],
            "answers": answers,
        }

    def _ask(self, name: str, model: LanguageModel, on_answers: Callable[[int], Any] | None) -> list[dict[str, Any]]:
        asked = [(q, s) for s in range(self.samples) for q in self.questions]
        forms: list[tuple[Message, ...]] = [(Message("user", q),) for q in self.questions]
        if self.adversarial:
            forms = [messages for _, messages in under_pressure(self.questions)]
        requests = [
            Request(messages, seed=stream_seed(self.seed, "evaluate", s, q), **self.request)
            for (q, s), messages in zip(asked, forms * self.samples, strict=True)
        ]
        replies: list[Reply] = []
        for start in range(0, len(requests), 64):
            batch = model.generate(requests[start : start + 64])
            replies += batch
            if on_answers is not None:
                on_answers(len(batch))
        failures = [r.error for r in replies if r.error is not None]
        if len(failures) == len(replies):
            raise SandboxError(f"{model.uri} answered none of {len(replies)} questions; first error: {failures[0]}")
        return [
            {"question": q, "model": name, "sample": s, "answer": _answer(r), "tokens": r.completion_tokens}
            for (q, s), r in zip(asked, replies, strict=True)
            if r.error is None
        ]

    def _summary(
        self, name: str, model: LanguageModel, answers: Sequence[dict[str, Any]], dimensions: Sequence[str]
    ) -> dict[str, Any]:
        mine = [a for a in answers if a["model"] == name]
        per_question = [score_by_question(mine, d) for d in dimensions]
        return {
            "name": name,
            "uri": model.uri,
            "fingerprint": model.fingerprint,
            "answers": len(mine),
            "tokens_mean": float(np.mean([a["tokens"] for a in mine])),
            "scores": {
                d: mean_interval(list(p.values()))._asdict() for d, p in zip(dimensions, per_question, strict=True)
            },
        }

    def _difference(self, name: str, answers: Sequence[dict[str, Any]], dimensions: Sequence[str]) -> dict[str, Any]:
        first = self.names[0]
        scores = {}
        for d in dimensions:
            ours = score_by_question([a for a in answers if a["model"] == name], d)
            theirs = score_by_question([a for a in answers if a["model"] == first], d)
            both = [ours[q] - theirs[q] for q in ours if q in theirs]
            scores[d] = mean_interval(both)._asdict()
        return {"model": name, "against": first, "scores": scores}


def _answer(reply: Reply) -> str:
    """The reply as an agent would have said it: without a sentence that the limit cut off."""
    return whole_sentences(reply.text) if reply.finish_reason == "length" else reply.text


def score_by_question(answers: Sequence[dict[str, Any]], dimension: str) -> dict[str, float]:
    """Mean score of each question's answers: questions are the independent draws, not answers."""
    found: dict[str, list[float]] = {}
    for answer in answers:
        value = answer["scores"][dimension]
        if value is not None:
            found.setdefault(answer["question"], []).append(value)
    return {question: float(np.mean(values)) for question, values in found.items()}


def _names(uris: Sequence[str]) -> list[str]:
    return [uri if uris.count(uri) == 1 else f"{uri} ({i + 1})" for i, uri in enumerate(uris)]


def write_evaluation(result: dict[str, Any], out: Path) -> Path:
    """Write ``evaluation.json`` into a folder, in one step, and return its path.

    Raises:
        SandboxError: the folder holds an evaluation already.
    """
    target = out / "evaluation.json"
    if target.exists():
        raise SandboxError(f"{target} exists; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".json.new")
    # NaN is not JSON: an interval of nothing is null.
    fresh.write_text(
        json.dumps(plain_json(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
    fresh.replace(target)
    return target


def plain_json(value: Any) -> Any:
    """Records as JSON can hold them: NaN is null."""
    if isinstance(value, dict):
        return {k: plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(v) for v in value]
    return None if isinstance(value, float) and value != value else value
