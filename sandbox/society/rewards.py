"""Rewards of a round: the scenario's functions, called for each interaction when the round has ended."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from sandbox.errors import ScenarioError
from sandbox.records import Interaction
from sandbox.society.states import call_scenario

if TYPE_CHECKING:
    from sandbox.society.context import SocietyContext


def round_rewards(world: SocietyContext, interactions: Sequence[Interaction]) -> list[dict[str, float]]:
    """Rewards of each interaction of a round, by name; none of one that failed, nor where the function returned None.

    Raises:
        ScenarioError: a function failed, or returned something else than a finite number or None.
    """
    found: list[dict[str, float]] = [{} for _ in interactions]
    for name, reward in sorted(world.scenario.rewards.items()):
        for done, own in zip(interactions, found, strict=True):
            if done.error is not None:
                continue
            value = call_scenario(f"reward[{name!r}]", reward.function, done, world)
            if value is not None:
                own[name] = _checked(name, reward.function, value, done)
    return found


def _checked(name: str, function: Any, value: Any, done: Interaction) -> float:
    number = value.item() if isinstance(value, np.generic) else value
    with suppress(OverflowError):  # a whole number beyond the range of float
        if isinstance(number, int | float) and math.isfinite(number):
            return float(number)
    is_huge = isinstance(number, int) and abs(number) > sys.float_info.max
    given = "a whole number that no float can hold" if is_huge else repr(value)
    code = getattr(function, "__code__", None)
    where = "" if code is None else f"{code.co_filename}:{code.co_firstlineno}: "
    raise ScenarioError(
        f"{where}reward[{name!r}] of the scenario returned {given} for agent {done.agent} in round {done.round}; it must "
        "return a finite number, or None for no reward"
    )
