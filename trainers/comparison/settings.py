"""What a comparison holds equal between its trainers, and the settings of each, checked before anything is trained.

The folder of the comparison is not known here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox import registry
from sandbox.errors import SettingsError
from sandbox.models.catalog import resolve
from sandbox.typed_settings import make_settings


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """What is held equal between trainers.

    Attributes:
        base: URI of the model that all begin with.
        tokens: The budget: a prompt counts with each of its answers, each time they are trained on. None for three
            passes over the ranked rows.
        steps: The budget in steps instead.
        questions: A file of questions to evaluate on; by default the scenario's held-out ones.
        n_questions: Only the first so many of them.
        scenario: Brings the rubric, and the held-out questions.
        judge: Who rates: see :class:`~trainers.evaluation.evaluation.Evaluation`.
        embedder: For the ``values`` judge.
        samples: Answers to each question.
        max_tokens: Length of an answer at most.
        pairs: A file of preferences for the preference accuracy, if any.
        n_pairs: Only the first so many of them.
    """

    base: str
    tokens: int | None = None
    steps: int | None = None
    questions: str | None = None
    n_questions: int | None = None
    scenario: str = "value_alignment"
    judge: str = "values"
    embedder: str = "minilm"
    samples: int = 1
    max_tokens: int = 48
    pairs: str | None = None
    n_pairs: int | None = None

    def __post_init__(self) -> None:
        faults = [
            f"{name}={value} must be at least 1"
            for name in ("tokens", "steps", "n_questions", "samples", "max_tokens", "n_pairs")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if self.tokens is not None and self.steps is not None:
            faults.append("tokens and steps are both a budget; give one of them")
        if resolve(self.base)[0] != "hf":
            faults.append(f"base {self.base!r} has no weights here that could be trained; give smollm2 or hf:FOLDER")
        if faults:
            raise SettingsError("; ".join(faults))


def settings_of_trainers(trainers: Sequence[str], settings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The settings of each trainer, checked.

    Raises:
        SettingsError: a trainer is named twice, has no such setting, or cannot be held to a budget.
    """
    if not trainers or len(set(trainers)) < len(trainers):
        raise SettingsError(f"name trainers to compare, each once; found {', '.join(trainers) or 'none'}")
    found: dict[str, dict[str, Any]] = {}
    for name in trainers:
        kind = registry.load("trainers", name)
        known = [f.name for f in dataclasses.fields(kind.Settings)]
        missing = [needed for needed in ("max_steps", "batch_size", "seed") if needed not in known]
        if missing:
            raise SettingsError(
                f"trainer {name!r} has no setting {' or '.join(missing)}, so it cannot be held to the budget of others"
            )
        mine = {key.removeprefix(f"{name}."): v for key, v in settings.items() if key.startswith(f"{name}.")}
        shared = {key: value for key, value in settings.items() if "." not in key}
        if taken := [key for key in ("max_steps", "epochs", "seed") if key in {**shared, **mine}]:
            raise SettingsError(
                f"{', '.join(taken)} cannot be set: the budget is --tokens or --steps, seeds are --seeds"
            )
        found[name] = {**({"progress": False} if "progress" in known else {}), **shared, **mine}
        make_settings(f"trainer {name!r}", kind.Settings, found[name])
    strangers = [key for key in settings if "." in key and key.partition(".")[0] not in trainers]
    if strangers:
        raise SettingsError(f"{', '.join(strangers)}: not one of the trainers that are compared, {', '.join(trainers)}")
    return found
