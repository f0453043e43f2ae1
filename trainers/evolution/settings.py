"""Settings of an evolution, the same for all generations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from sandbox.errors import SettingsError, nearest
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import MAX_SEED
from sandbox.store.rewards import check_reward
from sandbox.typed_settings import at_least, between, refuse, setting_faults
from trainers.evaluation.judges import INDEPENDENT


@dataclass(frozen=True, kw_only=True)
class EvolutionSettings:
    """Settings of an evolution.

    Attributes:
        base: URI of the model of generation 0.
        trainers: Trainers; of several, the best is kept by the raters' score on every third held-out question, which is then
            excluded from the evaluation.
        generations: Number of generations to train.
        rounds: Rounds of each simulation.
        share: Share of the agents that use the newest model; the others keep the earlier models.
        begin: Train the model of the ``last`` generation further, or from the ``base``.
        record: Train on the records of ``all`` generations, or of the ``last``.
        reward: Reward of the scenario that rates the rows, instead of the rubric.
        dimension: Dimension of the rubric that rates them; by default the first.
        heldout: With a reward: settings in which societies of each generation's model are tried, not trained, for example
            ``growth=1.3,stock=6``; by default those of the training.
        societies: With a reward: number of such societies, each with a seed of its own, for each of these settings.
        judge: Judge of held-out answers, outside the society: see :mod:`trainers.evaluation.judges`.
        questions: File of held-out questions; by default the scenario's.
        n_questions: Maximum number of questions.
        samples: Answers per question.
        max_tokens: Maximum length of an answer.
        stop: Stop when the raters' score rises and the judge's falls; otherwise only report it.
        seed: Seed of generation 0; each later one adds 1.
    """

    base: str = "smollm2"
    trainers: tuple[str, ...] = ("stable_alignment",)
    generations: Annotated[int, between(1, 1000)] = 3
    rounds: Annotated[int, at_least(1)] = 2
    share: Annotated[float, between(0, 1, "(]")] = 1.0
    begin: Literal["last", "base"] = "last"
    record: Literal["all", "last"] = "all"
    reward: str | None = None
    dimension: str | None = None
    heldout: tuple[str, ...] = ()
    societies: Annotated[int, between(1, 1000)] = 3
    judge: str = INDEPENDENT
    questions: str | None = None
    n_questions: Annotated[int | None, at_least(1)] = None
    samples: Annotated[int, between(1, 1000)] = 1
    max_tokens: Annotated[int, at_least(1)] = 48
    stop: bool = False
    seed: Annotated[int, between(0, MAX_SEED - 1000)] = 0

    def __post_init__(self) -> None:
        faults = setting_faults(self)
        if not self.trainers or len(set(self.trainers)) < len(self.trainers):
            faults.append(f"name trainers, each once; found {', '.join(self.trainers) or 'none'}")
        if self.heldout and self.reward is None:
            faults.append("heldout settings are those of societies whose reward is compared; name it with reward")
        refuse("this evolution cannot start", faults)


def settings_for(trainer: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one trainer: those of all trainers, and its own, given as ``dpo.beta``."""
    shared = {key: value for key, value in given.items() if "." not in key or key.startswith("args.")}
    own = {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{trainer}.")}
    return {**shared, **own}


def check_rated(owner: str, scenario: Scenario, *, reward: str | None = None, dimension: str | None = None) -> None:
    """Refuse a reward or a dimension that the scenario does not have, before anything is simulated.

    Raises:
        SettingsError: names those that it has.
    """
    if reward is not None and dimension is not None:
        raise SettingsError("reward and dimension are alternatives; give one of them")
    if reward is not None:
        check_reward({key: {} for key in scenario.rewards}, reward, owner)
    known = [one.name for one in scenario.rubric.dimensions]
    if dimension is not None and dimension not in known:
        raise SettingsError(
            f"{owner} has no dimension {dimension!r}.{nearest(dimension, known)} Dimensions: {', '.join(known)}"
        )


def check_owners(trainers: Sequence[str], given: Mapping[str, Any]) -> None:
    """Refuse settings of trainers that do not take part.

    Raises:
        SettingsError: names the settings.
    """
    strangers = [key for key in given if "." in key and key.partition(".")[0] not in (*trainers, "args")]
    if strangers:
        owner = strangers[0].partition(".")[0]
        raise SettingsError(
            f"{', '.join(strangers)}: not one of the trainers of this evolution, {', '.join(trainers)}."
            f"{nearest(owner, trainers)} Settings of all trainers are given as train.KEY"
        )


def plain_setting(value: Any) -> Any:
    """A setting as plain JSON types."""
    return value if value is None or isinstance(value, str | int | float) else str(value)
