"""How an evolution is set up: what is the same for all of its generations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.errors import SettingsError
from trainers.evaluation.judges import INDEPENDENT


@dataclass(frozen=True, kw_only=True)
class EvolutionSettings:
    """How generations follow each other.

    Attributes:
        base: URI of the model of generation 0.
        trainers: What trains; of several the best goes on, by the raters' score on every third held-out question, on
            which nobody is evaluated then.
        generations: How many are trained.
        rounds: Of each society.
        share: Of the agents that speak through the newest model; the others keep what agents spoke through before.
        begin: Train the ``last`` generation's model on, or the ``base`` anew.
        record: Learn from ``all`` societies so far, or from the ``last`` alone.
        judge: Who judges held-out answers and has no part in the society: see :mod:`trainers.evaluation.judges`.
        questions: A file of held-out questions; by default the scenario's.
        n_questions: Only the first so many of them.
        samples: Answers to each.
        max_tokens: Length of an answer to them at most.
        stop: Stop where the raters are being fooled; else only say so.
        seed: Of generation 0; each later one adds 1.
    """

    base: str = "smollm2"
    trainers: tuple[str, ...] = ("stable_alignment",)
    generations: int = 3
    rounds: int = 2
    share: float = 1.0
    begin: Literal["last", "base"] = "last"
    record: Literal["all", "last"] = "all"
    judge: str = INDEPENDENT
    questions: str | None = None
    n_questions: int | None = None
    samples: int = 1
    max_tokens: int = 48
    stop: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [
            f"{name}={value} must be at least 1"
            for name in ("generations", "rounds", "samples", "max_tokens", "n_questions")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if not 0 < self.share <= 1:
            faults.append(f"share={self.share} must be in (0, 1]")
        for name, known in (("begin", ("last", "base")), ("record", ("all", "last"))):
            if getattr(self, name) not in known:
                faults.append(f"{name}={getattr(self, name)!r} is not one of {', '.join(known)}")
        if not self.trainers or len(set(self.trainers)) < len(self.trainers):
            faults.append(f"name trainers, each once; found {', '.join(self.trainers) or 'none'}")
        if faults:
            raise SettingsError("; ".join(faults))


def settings_of(trainer: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a trainer is told: settings of all, and its own, as ``dpo.beta``."""
    shared = {key: value for key, value in given.items() if "." not in key}
    own = {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{trainer}.")}
    return {**shared, **own}


def plain_setting(value: Any) -> Any:
    """A setting as JSON can hold it."""
    return value if value is None or isinstance(value, str | int | float) else str(value)
