"""A shared lake is fished over rounds, with or without communication: how long does it last?

After Ostrom (1990) and Ostrom, Gardner and Walker (1994) on the governance of commons, in the form of GovSim for language
models (Piatti and others 2024, arXiv:2404.16698): the fish left in the lake double each month, up to its capacity of ten
tons per fisher. With communication a month has two stages: all say what they think, then each hears its neighbours and
fishes; without, each decides alone. Catches of five tons per fisher and month are sustainable; with larger ones the stock
falls as 2 N h + (S - 2 N h) 2^t until it collapses, which ends the run. The stock is a state of the world.

Compare ``stock`` over the rounds (``sandbox plot RUN measures``) for ``talk=yes`` and ``talk=no``: how many months the lake
lasts, ``harvest`` relative to five, and ``equality`` of the catches; ``sandbox plot RUN grid --set by=state.total`` maps who
caught how much. In ``scenarios.baselines.fish_war``, the lake without language, nine fishers who discount a month by 0.9
just keep the stock; more of them empty it. Known limits: catches are drawn from the model's probabilities of a few numbers,
which in small models follow habits of language more than the stock; a lake that lasts is then luck, not cooperation, so
always compare with the run without communication.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox import Conversation, Feedback, Interaction, Measure, Reward, Scenario, World, keyed_rng

CAPACITY, GROWTH, COLLAPSED = 10.0, 2.0, 0.1  # tons a fisher; a month; of the capacity


def scenario(talk: bool = True, growth: float = GROWTH, stock: float = CAPACITY) -> Scenario:
    """A shared lake is fished over rounds, with or without communication: how long does it last?

    Args:
        talk: Whether fishers hear what their neighbours say before they fish.
        growth: Factor by which the fish left in the lake grow in a month; catches of ``10 - 10 / growth`` tons are sustainable.
        stock: Tons of fish per fisher in the first month, at most 10.
    """
    return Scenario(
        name="commons",
        questions=["How many tons of fish do you catch this month?"],
        population={"fisher": 1.0},
        roles={"fisher": "You live from fishing in a lake that you share with your neighbours."},
        options=("1", "3", "5", "7", "9"),
        ask=ask,
        state={"caught": 0.0, "total": 0.0},
        world_state=lambda world: {"stock": min(stock, CAPACITY) * len(world.members), "growth": float(growth)},
        stages=[discuss, fish] if talk else [fish],
        settle=settle,
        reward={"catch": Reward(catch, unit="tons"), "survival": Reward(survival, discount=0.9)},
        measures={
            "stock": Measure(in_lake, unit="tons", limits=(0, None)),
            "harvest": Measure(harvest, unit="tons a fisher", limits=(0, None)),
            "equality": Measure(equality, unit="1 minus Gini", limits=(0, 1)),
        },
        stop=lambda world: level(world) < COLLAPSED * CAPACITY * len(world.members),
        society={"recall_distance": 0.0},
    )


def level(world: World) -> float:
    """Tons in the lake."""
    return float(world.state["stock"])


def ask(agent: Any, world: World) -> str:
    """Ask for a catch, given the stock of the lake."""
    n, now, (question, *_) = len(world.members), level(world), world.scenario.questions
    growth = world.state["growth"]
    grows = "doubles" if growth == GROWTH else f"is multiplied by {growth:g}"
    return (
        f"The lake holds {now:.0f} tons of fish for {n} fishers, {now / n:.1f} tons each. What is left at the end of the "
        f"month {grows}, up to {CAPACITY * n:.0f} tons. {question}"
    )


def discuss(agent: Any, question: str, world: World) -> Conversation:
    """A fisher says what it thinks of the catch."""
    said = yield agent.answer(question)
    return world.interaction(agent, question, draft=said.text)


def fish(agent: Any, question: str, world: World) -> Conversation:
    """A fisher hears its neighbours, where they talk, and decides."""
    said = world.said("discuss") if "discuss" in world.stages else {}
    near = world.audience(agent) if said else []
    heard = [(other, text) for other in near if other.index in said and (text := said[other.index].draft)]
    choice = yield agent.choose(question, heard=[(other.name, text) for other, text in heard])
    wanted = choice.draw(keyed_rng(world.seed, world.round, agent.index, "catch"))
    extra = {
        "choice": dict(choice.probs or {}),
        "wanted": float(wanted or 0),
    }  # a reply without a number catches nothing
    draft = said[agent.index].draft if said else wanted or choice.raw or "?"
    told = tuple(Feedback.unrated(other.index, text) for other, text in heard)
    return world.interaction(agent, question, draft=draft, feedback=told, extra=extra)


discuss.max_calls = fish.max_calls = lambda agent, world: 1  # type: ignore[attr-defined]


def settle(world: World, interactions: Sequence[Interaction]) -> None:
    """Land the catches, reduced in proportion if the lake does not hold as much, and let the rest double."""
    if world.stage != "fish":
        return
    wanted = {it.agent: it.extra["wanted"] for it in interactions if not it.error}
    share = min(1.0, level(world) / sum(wanted.values())) if wanted else 0.0
    for agent in world.members:
        agent.state["caught"] = share * wanted.get(agent.index, 0.0)
        agent.state["total"] += agent.state["caught"]
    left = level(world) - share * sum(wanted.values())
    world.state["stock"] = round(min(CAPACITY * len(world.members), world.state["growth"] * left), 6)


def in_lake(interactions: Sequence[Interaction], world: World) -> float:
    """Tons in the lake after the month, 0 to ten a fisher."""
    return level(world)


def harvest(interactions: Sequence[Interaction], world: World) -> float:
    """Mean catch per fisher in tons; five is sustainable."""
    return float(np.mean([agent.state["caught"] for agent in world.members]))


def catch(interaction: Interaction, world: World) -> float:
    """Tons that the fisher caught in the month."""
    return float(world.members[interaction.agent].state["caught"])


def survival(interaction: Interaction, world: World) -> float:
    """What is left of the lake's capacity after the month, 0 to 1; later months count for all before them."""
    return level(world) / (CAPACITY * len(world.members))


def equality(interactions: Sequence[Interaction], world: World) -> float | None:
    """Equality of the catches, 1 minus their Gini coefficient."""
    caught = np.array([agent.state["caught"] for agent in world.members])
    apart = np.abs(caught[:, None] - caught[None]).sum()
    return float(1 - apart / (2 * len(caught) * caught.sum())) if caught.sum() else None
