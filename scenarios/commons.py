"""A shared lake is fished over rounds, with or without communication: how long does it last?

After Ostrom (1990) and Ostrom, Gardner and Walker (1994) on the governance of commons, in the form of GovSim for language
models (Piatti and others 2024, arXiv:2404.16698): the fish left in the lake double each month, up to its capacity of ten
tons per fisher. With communication, fishers hear what their neighbours said in the previous month (protocol ``gossip``);
without, each decides alone. Catches of five tons per fisher and month are sustainable; with larger ones the stock falls as
2 N h + (S - 2 N h) 2^t until it collapses, which ends the run.

Compare ``stock`` over the rounds (``sandbox plot RUN measures``) for ``talk=yes`` and ``talk=no``: how many months the lake
lasts, ``harvest`` relative to five, and ``equality`` of the catches. Known limits: catches are drawn from the model's
probabilities of a few numbers, which in small models follow habits of language more than the stock; a lake that lasts is
then luck, not cooperation, so always compare with the run without communication.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox import Conversation, Interaction, Scenario, World, keyed_rng

CAPACITY = 10.0  # tons a fisher
GROWTH = 2.0
COLLAPSED = 0.1  # of the capacity


def scenario(talk: bool = True) -> Scenario:
    """A shared lake is fished over rounds, with or without communication: how long does it last?

    Args:
        talk: Whether fishers hear what their neighbours said in the previous month.
    """
    return Scenario(
        name="commons",
        questions=["How many tons of fish do you catch this month?"],
        population={"fisher": 1.0},
        roles={"fisher": "You live from fishing in a lake that you share with your neighbours."},
        options=("1", "3", "5", "7", "9"),
        ask=ask,
        protocol="gossip" if talk else alone,
        measures={"stock": stock, "harvest": harvest, "equality": equality},
        stop=lambda world: world.metrics["stock"] < COLLAPSED * CAPACITY * len(world.members),
        society={"recall_distance": 0.0},
    )


def alone(agent: Any, question: str, world: World) -> Conversation:
    """A fisher decides alone, without communication."""
    choice = yield agent.choose(question)
    extra = {"choice": choice.probs and dict(choice.probs)}
    return world.interaction(agent, question, draft=choice.best or choice.raw or "?", extra=extra)


def level(world: World) -> float:
    """Tons in the lake when a round begins."""
    before = world.metrics.get("stock")
    return CAPACITY * len(world.members) if before is None else float(before)


def ask(agent: Any, world: World) -> str:
    """Ask for a catch, given the stock of the lake."""
    n, now = len(world.members), level(world)
    return (
        f"The lake holds {now:.0f} tons of fish for {n} fishers, {now / n:.1f} tons each. What is left at the end of the "
        f"month doubles, up to {CAPACITY * n:.0f} tons. {world.scenario.questions[0]}"
    )


def _catches(interactions: Sequence[Interaction], world: World) -> list[float]:
    """Catch of each fisher in tons; reduced in proportion if the lake does not contain as much."""
    wanted = []
    for it in interactions:
        if probs := it.extra.get("choice"):
            draw = keyed_rng(world.seed, it.round, it.agent, "catch")
            wanted.append(float(draw.choices(list(probs), list(probs.values()))[0]))
    return [w * min(1.0, level(world) / sum(wanted)) if sum(wanted) else 0.0 for w in wanted]


def stock(interactions: Sequence[Interaction], world: World) -> float:
    """Tons in the lake after the month, 0 to ten a fisher."""
    left = level(world) - sum(_catches(interactions, world))
    return round(min(CAPACITY * len(world.members), GROWTH * left), 6)


def harvest(interactions: Sequence[Interaction], world: World) -> float:
    """Mean catch per fisher in tons; five is sustainable."""
    return sum(_catches(interactions, world)) / max(1, len(interactions))


def equality(interactions: Sequence[Interaction], world: World) -> float | None:
    """Equality of the catches, 1 minus their Gini coefficient."""
    caught = np.array(_catches(interactions, world))
    if not caught.sum():
        return None
    return float(1 - np.abs(caught[:, None] - caught[None]).sum() / (2 * len(caught) * caught.sum()))
