"""Rewards: what a scenario's own outcome gives an agent for its turn in a round. Knows no agents and no run folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Reward:
    """A reward, with the share of later rewards that an earlier utterance is credited with.

    The credit of what an agent said in round t is the sum over its rewards of rounds s >= t of ``discount ** (s - t)`` times
    the reward of round s.

    Attributes:
        function: Function of (interaction, world) that returns the agent's reward for its turn in the round, a finite number,
            or None if there is none. It is called at the end of the round, once for each interaction that did not fail:
            ``world.said(world.stage)`` are all interactions of the round, ``agent.state`` and ``world.state`` the states after
            it, ``agent.state_before`` and ``world.state_before`` those before it, ``world.metrics`` the metrics of the
            previous round. The first line of its docstring describes the reward.
        discount: In [0, 1]; 0 credits an utterance with the reward of its own round only.
        unit: Unit of the reward, for example ``coins``.
    """

    function: Callable[[Any, Any], float | None]
    discount: float = 0.0
    unit: str = ""


# A function is a reward without discount, named after the function.
Rewards: TypeAlias = (
    "Mapping[str, Reward | Callable[[Any, Any], float | None]] | Reward | Callable[[Any, Any], float | None]"
)


def read_rewards(given: Rewards) -> dict[str, Reward]:
    """The rewards of a scenario by name: a single one is named after its function."""
    named = given if isinstance(given, Mapping) else {_name(given): given}
    return {str(name): one if isinstance(one, Reward) else Reward(one) for name, one in named.items()}


def _name(given: Any) -> str:
    return str(getattr(given.function if isinstance(given, Reward) else given, "__name__", "reward"))


def reward_faults(given: Any) -> Iterator[tuple[str, str]]:
    """List every fault of a scenario's rewards: (field, what is wrong)."""
    expected = "expected a function of (interaction, world), Reward(function) or a mapping of names to these"
    if not isinstance(given, Mapping | Reward) and not callable(given):
        yield "reward", f"{expected}, found {given!r}"
        return
    for name, reward in read_rewards(given).items():
        where = f"reward[{name!r}]" if isinstance(given, Mapping) else "reward"
        if not callable(reward.function):
            yield where, f"expected a function of (interaction, world), found {reward.function!r}"
        elif not name.isidentifier():
            hint = "give it one: reward={'payoff': ...}" if name == "<lambda>" else "use letters, digits and _"
            yield where, f"cannot be called {name!r}; {hint}"
        discount = reward.discount
        if isinstance(discount, bool) or not isinstance(discount, int | float) or not 0 <= discount <= 1:
            yield where, f"discount={discount!r} must be a number in [0, 1]"
        if not isinstance(reward.unit, str):
            yield where, f"unit={reward.unit!r} must be text"
