"""Is a trained model better? Its answers to questions it never saw, rated by judges, paired with another's.

Models answer with the same random numbers, and judges do not know who wrote what; so a difference between two models is
a difference between two answers to one question. What ``evaluation.json`` holds: :mod:`trainers.evaluation.result_words`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from sandbox.conversation.steps import CallLog
from sandbox.embedders.base import Embedder
from sandbox.errors import SandboxError, SettingsError
from sandbox.folders import write_json
from sandbox.metrics.intervals import mean_interval
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import load_model
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.scenario import Scenario
from sandbox.typed_settings import (
    at_least,
    between,
    check_seeds,
    check_settings,
    make_settings,
    refuse,
    setting_faults,
)
from trainers.evaluation.adversarial import PRESSURES, pressure_losses, under_pressure
from trainers.evaluation.agreement import agreement
from trainers.evaluation.answering import PromptVariant, generate_answers, plain_variants
from trainers.evaluation.judge_bias import at_equal_length, length_bias, position_bias
from trainers.evaluation.judge_controls import card_alarms, card_speakers, different_sayings, report_cards
from trainers.evaluation.judges import Judges, default_judge, different_texts
from trainers.evaluation.paired_tests import Answer, paired, score_by_question

SCHEMA = 1
_QUESTIONS, _FEW_QUESTIONS = 80, 16  # of a report card that was asked for, and of one that was not


MAX_SAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class AnswerSettings:
    """How answers are sampled.

    Attributes:
        max_tokens: Maximum length of an answer, in tokens.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Nucleus, in (0, 1].

    Raises:
        SettingsError: names every invalid setting.
    """

    max_tokens: Annotated[int, at_least(1)] = 48
    temperature: Annotated[float, at_least(0)] = 0.8
    top_p: Annotated[float, between(0, 1, "(]")] = 0.95

    def __post_init__(self) -> None:
        refuse("this evaluation cannot start", setting_faults(self))


class Evaluation:
    """Ask models held-out questions and have their answers rated.

    Args:
        models: URIs or models; the first is what others are compared with.
        questions: What is asked; by default the scenario's held-out questions.
        names: What the models are called in tables; by default their URIs.
        scenario: Brings the rubric, the observer's values and the held-out questions.
        judge: A judge, or several: see :mod:`trainers.evaluation.judges`. The score of an answer is the mean of their
            ratings. By default ``independent``, or ``values`` where the scenario reserves no labelled answers.
        samples: Answers to each question under each seed.
        adversarial: Ask each question under one of the pressures of :mod:`trainers.evaluation.adversarial`, which take
            turns; the answer is rated as one to the plain question.
        pressures: Ask each question plainly, and under each of these too.
        seed: Keys the answers' random streams, the same for every model.
        seeds: Several of them instead.
        controls: Whether judges are checked by speakers of known worth (:mod:`trainers.evaluation.judge_controls`). None
            checks those that have learnt from labelled answers, on 16 questions; True all, on up to 80.
        control_pairs: (question, chosen, rejected) of people, from which the speakers are made instead.
        max_tokens: Length of an answer at most.
        temperature: Of the answers; 0 is greedy.
        top_p: Of the answers.
        embedder: For judges by values.

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
        judge: str | Sequence[str] | None = None,
        samples: int = 1,
        adversarial: bool = False,
        pressures: Sequence[str] = (),
        seed: int = 0,
        seeds: Sequence[int] | None = None,
        controls: bool | None = None,
        control_pairs: Sequence[tuple[str, str, str]] = (),
        embedder: str | Embedder = "minilm",
        **settings: Any,
    ) -> None:
        self.request: dict[str, Any] = vars(make_settings("evaluation", AnswerSettings, settings))
        if not 1 <= samples <= MAX_SAMPLES:
            raise SettingsError(f"samples={samples} must be from 1 to {MAX_SAMPLES}")
        check_seeds([seed] if seeds is None else list(seeds))
        self.scenario = load_scenario(scenario, {})
        self.questions = list(questions if questions is not None else self.scenario.heldout)
        if not self.questions:
            raise SettingsError(
                f"scenario {self.scenario.name!r} holds out no questions; give some with --questions FILE"
            )
        self.models = [load_model(m) for m in models]
        self.names = list(names) if names else _names([m.uri for m in self.models])
        self.samples, self.adversarial = samples, adversarial
        self.seeds = [seed] if seeds is None else list(seeds)
        self.forms = _forms(self.questions, pressures, adversarial=adversarial)
        judge = default_judge(self.scenario) if judge is None else judge
        self.judges = Judges([judge] if isinstance(judge, str) else judge, self.scenario, embedder)
        self.controls, self.control_pairs = controls, control_pairs

    @property
    def n_answers(self) -> int:
        """How many answers will be asked for in all."""
        return len(self.models) * len(self.forms) * self.samples * len(self.seeds)

    def run(self) -> dict[str, Any]:
        """Ask, rate and compare.

        Returns:
            The content of ``evaluation.json``.

        Raises:
            SandboxError: a model answered nothing at all.
        """
        return self.judge(self.ask())

    def ask(
        self, *, log: CallLog | None = None, on_answers: Callable[[int], Any] | None = None
    ) -> list[dict[str, Any]]:
        """Every model's answers.

        Args:
            log: Where replies are kept, for resuming.
            on_answers: Told how many answers have just come.

        Raises:
            SandboxError: a model answered nothing at all.
        """
        answers: list[dict[str, Any]] = []
        for name, model in zip(self.names, self.models, strict=True):
            answers += generate_answers(
                name, model, self.forms, samples=self.samples, seeds=self.seeds, log=log, on_answers=on_answers,
                **self.request,
            )  # fmt: skip
        return answers

    def judge(
        self,
        answers: list[dict[str, Any]],
        *,
        log: CallLog | None = None,
        on_ratings: Callable[[int], Any] | None = None,
    ) -> dict[str, Any]:
        """Rate answers and compare models.

        Args:
            answers: As :meth:`ask` gave them; ratings are written into them.
            log: Where replies of judges are kept, for resuming.
            on_ratings: Told how many ratings have just been given, of :meth:`n_ratings` in all.

        Returns:
            The content of ``evaluation.json``.
        """
        self.judges.rate(answers, self.seeds[0], log=log, on_texts=on_ratings)
        dimensions, judges = self.judges.dimensions, self.judges.names
        cards = self.report_cards(log, on_ratings)
        counted = answers if self.adversarial else [a for a in answers if a["pressure"] is None]
        return {
            "schema": SCHEMA,
            "scenario": self.scenario.name,
            "judge": ", ".join(judges),
            "judges": judges,
            "notes": self.judges.notes,
            "alarms": card_alarms(cards),
            "dimensions": dimensions,
            "scale": self.scenario.rubric.scale,
            "questions": len(self.questions),
            "samples": self.samples,
            "adversarial": self.adversarial,
            "seed": self.seeds[0],
            "seeds": self.seeds,
            "settings": self.request,
            "models": [
                _summary(name, model, [a for a in counted if a["model"] == name], dimensions, judges)
                for name, model in zip(self.names, self.models, strict=True)
            ],
            "differences": [_difference(n, self.names[0], counted, dimensions, judges) for n in self.names[1:]],
            "judging": {**self._judging(counted, log), "raters": dict(self.judges.raters), "controls": cards},
            "pressures": pressure_losses(answers, self.names, dimensions),
            "answers": answers,
        }

    def n_ratings(self, answers: Sequence[Answer]) -> int:
        """How many ratings :meth:`judge` will ask for: every judge's of every different answer, and for its report card."""
        return len(self.judges.names) * len(different_texts(answers)) + self.n_card_ratings()

    def n_card_ratings(self) -> int:
        """How many ratings :meth:`report_cards` will ask for."""
        if self.controls is False:
            return 0
        asked = card_speakers(self.judges, self.scenario, **self._card_settings())
        return sum(len(different_sayings(said)) for _, said in asked.values())

    def report_cards(
        self, log: CallLog | None = None, on_ratings: Callable[[int], Any] | None = None
    ) -> dict[str, Any]:
        """Report cards of the judges, by name; see the argument ``controls``."""
        if self.controls is False:
            return {}
        return report_cards(self.judges, self.scenario, log=log, on_ratings=on_ratings, **self._card_settings())

    def _card_settings(self) -> dict[str, Any]:
        everything = self.controls or bool(self.control_pairs)
        return {
            "names": None if everything else self.judges.learnt,
            "pairs": self.control_pairs,
            "n_questions": _QUESTIONS if everything else _FEW_QUESTIONS,
        }

    def _judging(self, answers: Sequence[Answer], log: CallLog | None) -> dict[str, Any]:
        """How far judges agree, and how they take length and place."""
        dimensions, judges, first = self.judges.dimensions, self.judges.names, self.names[0]
        theirs = [a for a in answers if a["model"] == first]
        words = self.scenario.rubric.dimensions[0].words
        return {
            "agreement": agreement(answers, dimensions, judges),
            "length": {j: {d: length_bias(answers, d, j) for d in dimensions} for j in judges},
            "position": {
                judge: {
                    name: position_bias(lm, [a for a in answers if a["model"] == name], theirs, words, log)
                    for name in self.names[1:]
                }
                for judge, lm in self.judges.lms.items()
            },
        }


def _forms(questions: Sequence[str], pressures: Sequence[str], *, adversarial: bool) -> list[PromptVariant]:
    """How each question is asked.

    Raises:
        SettingsError: there is no such pressure.
    """
    check_settings("pressures", pressures, PRESSURES)
    if adversarial:
        taking_turns = zip(questions, under_pressure(questions), strict=True)
        return [PromptVariant(question, messages, kind) for question, (kind, messages) in taking_turns]
    pressed = [PromptVariant(q, PRESSURES[kind](q), kind) for kind in pressures for q in questions]
    return [*plain_variants(questions), *pressed]


def _summary(
    name: str, model: LanguageModel, mine: Sequence[Answer], dimensions: Sequence[str], judges: Sequence[str]
) -> dict[str, Any]:
    seeds = dict.fromkeys(a["seed"] for a in mine)

    def means(answers: Sequence[Answer], judge: str | None = None) -> dict[str, Any]:
        return {d: mean_interval(list(score_by_question(answers, d, judge).values()))._asdict() for d in dimensions}

    return {
        "name": name,
        "uri": model.uri,
        "fingerprint": model.fingerprint,
        "answers": len(mine),
        "tokens_mean": float(np.mean([a["tokens"] for a in mine])),
        "scores": means(mine),
        "by_judge": {judge: means(mine, judge) for judge in judges},
        "by_seed": {str(seed): means([a for a in mine if a["seed"] == seed]) for seed in seeds},
    }


def _difference(
    name: str, first: str, answers: Sequence[Answer], dimensions: Sequence[str], judges: Sequence[str]
) -> dict[str, Any]:
    ours = [a for a in answers if a["model"] == name]
    theirs = [a for a in answers if a["model"] == first]
    return {
        "model": name,
        "against": first,
        "scores": {d: paired(score_by_question(ours, d), score_by_question(theirs, d)) for d in dimensions},
        "by_judge": {
            judge: {
                d: paired(score_by_question(ours, d, judge), score_by_question(theirs, d, judge)) for d in dimensions
            }
            for judge in judges
        },
        "at_equal_length": {d: at_equal_length(ours, theirs, d) for d in dimensions},
    }


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
    write_json(target, result, indent=1)
    return target
