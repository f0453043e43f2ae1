"""Settings of a comparison and of its trainers, checked before any training.

Knows no folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from sandbox.errors import SettingsError
from sandbox.models.catalog import local_weights
from sandbox.typed_settings import at_least, between, make_settings, refuse, setting_faults
from trainers.base import trainer_class
from trainers.evaluation.judges import INDEPENDENT


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """Settings of a comparison, the same for all trainers.

    Attributes:
        base: URI of the base model.
        tokens: Budget in tokens: a prompt counts with each of its answers, each time they are trained on. None for three
            passes over the ranked rows.
        steps: Budget in steps instead.
        questions: File of questions for the evaluation; by default the scenario's held-out ones.
        n_questions: Maximum number of questions.
        scenario: Scenario that provides the rubric and the held-out questions.
        judge: Judge of the answers: see :class:`~trainers.evaluation.evaluation.Evaluation`.
        embedder: Embedder of the judge ``values``.
        samples: Answers per question.
        max_tokens: Maximum length of an answer.
        pairs: File of preferences for the preference accuracy, if any.
        n_pairs: Maximum number of pairs.
        reward: Reward of the scenario that rates the rows of runs, instead of the rubric.
        dimension: Dimension of the rubric that rates them; by default the first.
        rates: Learning rates that are tried with each trainer; see :mod:`trainers.comparison.learning_rates`.
    """

    base: str
    tokens: Annotated[int | None, at_least(1)] = None
    steps: Annotated[int | None, at_least(1)] = None
    questions: str | None = None
    n_questions: Annotated[int | None, at_least(1)] = None
    scenario: str = "value_alignment"
    judge: str = INDEPENDENT
    embedder: str = "minilm"
    samples: Annotated[int, between(1, 1000)] = 1
    max_tokens: Annotated[int, at_least(1)] = 48
    pairs: str | None = None
    n_pairs: Annotated[int | None, at_least(1)] = None
    reward: str | None = None
    dimension: str | None = None
    rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        faults = setting_faults(self)
        if self.tokens is not None and self.steps is not None:
            faults.append("tokens and steps are alternatives; give one of them")
        if any(not 0 < rate < 1 for rate in self.rates) or len(set(self.rates)) < len(self.rates):
            faults.append(f"rates {', '.join(map(str, self.rates))} must be different and in (0, 1)")
        if local_weights(self.base) is None:
            faults.append(f"base {self.base!r} has no local weights to train; give smollm2 or hf:FOLDER")
        refuse("this comparison cannot start", faults)


def settings_of_trainers(trainers: Sequence[str], settings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The settings of each trainer, checked.

    Raises:
        SettingsError: a trainer is named twice, lacks a setting, or has no steps to set.
    """
    if not trainers or len(set(trainers)) < len(trainers):
        raise SettingsError(f"name trainers to compare, each once; found {', '.join(trainers) or 'none'}")
    found: dict[str, dict[str, Any]] = {}
    for name in trainers:
        kind: Any = trainer_class(name)
        known = [f.name for f in dataclasses.fields(kind.Settings)]
        missing = [needed for needed in ("max_steps", "batch_size", "seed") if needed not in known]
        if missing:
            raise SettingsError(f"trainer {name!r} has no setting {' or '.join(missing)}, so its budget cannot be set")
        mine = {key.removeprefix(f"{name}."): v for key, v in settings.items() if key.startswith(f"{name}.")}
        shared = {key: value for key, value in settings.items() if "." not in key or key.startswith("args.")}
        if taken := [key for key in ("max_steps", "epochs", "seed") if key in {**shared, **mine}]:
            raise SettingsError(
                f"{', '.join(taken)} cannot be set: the budget is --tokens or --steps, seeds are --seeds"
            )
        found[name] = {**({"progress": False} if "progress" in known else {}), **shared, **mine}
        make_settings(f"trainer {name!r}", kind.Settings, found[name])
    strangers = [key for key in settings if "." in key and key.partition(".")[0] not in (*trainers, "args")]
    if strangers:
        raise SettingsError(f"{', '.join(strangers)}: not among the trainers of this comparison, {', '.join(trainers)}")
    return found
