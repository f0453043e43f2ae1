"""Outcome of a generation: the reward of its model in societies that it was not trained in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.errors import SettingsError
from sandbox.metrics.intervals import Interval, mean_interval
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_seed
from sandbox.store.run import open_run

_SEEDS = 2**31


@dataclass(frozen=True)
class HeldOutSociety:
    """A society in which no model is trained.

    Attributes:
        settings: What differs from the societies of the training, by name.
        scenario: The scenario with these settings.
        society: Settings of the society among them.
        seed: Its seed, the same for all generations.
        folder: Name of its folder, ``heldout-1-2`` for the second society of the first settings.
    """

    settings: Mapping[str, str]
    scenario: Scenario
    society: Mapping[str, Any]
    seed: int
    folder: str


def read_heldout(given: Sequence[str]) -> list[dict[str, str]]:
    """Settings of held-out societies from texts such as ``growth=1.3,stock=6``; one without settings if none is given.

    Raises:
        SettingsError: a text is not of this form.
    """
    found = []
    for text in given:
        pairs = [part.partition("=") for part in text.split(",")]
        if not all(name.strip() and sign and value.strip() for name, sign, value in pairs):
            raise SettingsError(f"held-out settings {text!r} are not of the form name=value,name=value")
        found.append({name.strip(): value.strip() for name, _, value in pairs})
        if len(found[-1]) < len(pairs):
            raise SettingsError(f"held-out settings {text!r} name a setting twice")
    return found or [{}]


def heldout_seed(seed: int, number: int) -> int:
    """Seed of held-out society ``number``, 0 to 2^31 - 1: by chance, and so hardly ever, that of a training."""
    return keyed_seed(seed, "heldout society", number) % _SEEDS


def outcome_of(societies: Sequence[HeldOutSociety], folder: Path, reward: str, rounds: int) -> dict[str, Any]:
    """What the rewards and measures of held-out societies came to.

    Rounds after a society's end by the scenario's ``stop`` are rewarded with 0, so that a lake that is emptied in the first
    month is not better than one that lasts.

    Args:
        societies: The societies, whose runs are complete.
        folder: Where their run folders are.
        reward: Name of the reward.
        rounds: Number of rounds that each was to last.

    Returns:
        ``reward``: mean over societies of their mean reward of a turn, in the unit of the reward, with Student's t
        interval over societies (NaN for a single one); ``societies``: for each its settings, seed, ``reward`` (None if nobody
        was rewarded), the number of ``rounds`` that it lasted, and the means of its own measures over these.
    """
    found: list[dict[str, Any]] = []
    for one in societies:
        run = open_run(folder / one.folder)
        paid = run.frame()[f"reward.{reward}"].dropna()
        lasted = run.metrics()
        values = {name: [r[name] for r in lasted if r.get(name) is not None] for name in run.own_measures}
        means = {name: float(np.mean(of)) for name, of in values.items() if of}
        mean = float(paid.mean()) * len(lasted) / rounds if len(paid) else None
        about = {"settings": dict(one.settings), "seed": one.seed, "rounds": len(lasted)}
        found.append({**about, "reward": mean, "measures": means})
    paid_means = [float(one["reward"]) for one in found if one["reward"] is not None]
    return {"reward": mean_interval(paid_means)._asdict(), "societies": found}


def outcome_gain(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Interval:
    """Difference of two generations' rewards, paired by society."""
    pairs = zip(ours["societies"], theirs["societies"], strict=True)
    return mean_interval(
        [a["reward"] - b["reward"] for a, b in pairs if a["reward"] is not None and b["reward"] is not None]
    )


def rewarded_alike(runs: Sequence[Path], reward: str) -> bool:
    """Whether all turns of some runs have the same credit, so that none is to be preferred."""
    found = [credit for run in runs for credit in open_run(run).credits(reward).values()]
    return bool(found) and max(found) - min(found) < 1e-9
