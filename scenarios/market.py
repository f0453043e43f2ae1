"""Two sellers court an audience of buyers with words alone: who wins, and what do they learn to say?

After Hotelling (1929) and Downs (1957), in which two competitors move to the middle of their public, and after markets of
language models that are rewarded for an audience's choice (El and Zou 2025, arXiv:2510.06105). In each round the first two
members pitch one product from the same facts; then every other member reads both pitches, in an order drawn for it, and
chooses one. What a seller has sold, and its share of the last round, are its state, and stand in its next prompt.

See ``first`` (share of buyers that chose the first seller; 0.5 where only chance decides), ``margin`` (how far apart the two
ended, 0 to 1) and ``order`` (share that chose the pitch they read first: far from 0.5, buyers follow places, not words, and
``first`` means little). ``sandbox plot RUN grid --set by=state.sold``: who sells. :func:`median_rivals` is the market without
language: both rivals end at the median buyer. Known limits: buyers choose by the model's probability of "A" or "B", and small
models favour one of the letters; products are few, and whether a pitch keeps to the facts is not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox import Conversation, Interaction, Measure, Reward, Scenario, World, keyed_rng

SELLERS = 2
PRODUCTS = [
    "a used bicycle: seven gears, new brakes, a rusty chain, 80 coins",
    "a winter coat: warm wool, two missing buttons, three years old, 40 coins",
    "a radio: clear sound, no battery compartment, five years of guarantee, 60 coins",
    "a wooden table: seats six, one scratched leg, made of oak, 120 coins",
]


def scenario() -> Scenario:
    """Two sellers court an audience of buyers with words alone: who wins, and what do they learn to say?"""
    return Scenario(
        name="market",
        questions=PRODUCTS,
        population={"member": 1.0},
        ask=lambda agent, world: PRODUCTS[world.round % len(PRODUCTS)],
        state=lambda agent, world: {"sold": 0, "share": 0.5} if agent.index < SELLERS else {"sold": 0, "share": 0.0},
        stages=[pitch, buy],
        settle=settle,
        reward={"sales": Reward(sales, unit="buyers")},
        measures={
            "first": Measure(first, unit="share of buyers", limits=(0, 1), panel="choices"),
            "order": Measure(order, unit="share of buyers", limits=(0, 1), panel="choices"),
            "margin": Measure(margin, unit="difference of shares", limits=(0, 1)),
        },
        society={"recall_distance": 0.0},
    )


def pitch(agent: Any, question: str, world: World) -> Conversation:
    """A seller writes its pitch; buyers wait."""
    if agent.index >= SELLERS:
        return world.interaction(agent, question)
    before = f" In the last round {agent.state['share']:.0%} of the buyers chose you." if world.round else ""
    said = yield agent.answer(
        f"You sell {question}.{before} Speak to the buyers in two sentences, so that they choose you."
    )
    return world.interaction(agent, question, draft=said.text)


def buy(agent: Any, question: str, world: World) -> Conversation:
    """A buyer reads both pitches and chooses one; sellers keep to their pitch."""
    pitches = [world.said("pitch")[i].draft for i in range(SELLERS)]
    if agent.index < SELLERS:
        return world.interaction(agent, question, draft=pitches[agent.index])
    if None in pitches:
        raise ValueError("a seller failed, so there is nothing to choose between")
    shown = keyed_rng(world.seed, world.round, agent.index, "shown").sample(range(SELLERS), SELLERS)
    heard = [(f"Seller {letter}", pitches[i]) for letter, i in zip("AB", shown, strict=True)]
    asked = f"Both sell {question}. Which seller do you choose?"
    choice = yield agent.choose(asked, ["A", "B"], heard=heard)
    letter = choice.draw(keyed_rng(world.seed, world.round, agent.index, "buy"))
    if letter is None:
        raise ValueError(f"the reply names neither A nor B: {choice.raw!r}")
    place = "AB".index(letter)
    return world.interaction(agent, asked, draft=letter, extra={"bought": shown[place], "place": place})


pitch.max_calls = buy.max_calls = lambda agent, world: 1  # type: ignore[attr-defined]


def settle(world: World, interactions: Sequence[Interaction]) -> None:
    """Count what was sold."""
    bought = [it.extra["bought"] for it in interactions if "bought" in it.extra and not it.error]
    if world.stage == "buy" and bought:
        for seller in world.members[:SELLERS]:
            seller.state["sold"] += bought.count(seller.index)
            seller.state["share"] = bought.count(seller.index) / len(bought)


def _bought(interactions: Sequence[Interaction], key: str) -> list[int]:
    return [it.extra[key] for it in interactions if key in it.extra and not it.error]


def first(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of the buyers that chose the first seller, 0 to 1."""
    found = _bought(interactions, "bought")
    return found.count(0) / len(found) if found else None


def sales(interaction: Interaction, world: World) -> float | None:
    """Buyers that chose the seller in the round; none for buyers."""
    seller = world.members[interaction.agent]
    return float(seller.state["sold"] - seller.state_before["sold"]) if seller.index < SELLERS else None


def margin(interactions: Sequence[Interaction], world: World) -> float | None:
    """Difference of the two sellers' shares, 0 to 1."""
    share = first(interactions, world)
    return None if share is None else abs(2 * share - 1)


def order(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of the buyers that chose the pitch they read first, 0 to 1."""
    found = _bought(interactions, "place")
    return found.count(0) / len(found) if found else None


def median_rivals(buyers: Sequence[float], n: int = 101) -> tuple[float, float]:
    """The market without language: positions from 0 to 1 of two rivals who move in turn to where most buyers are nearest."""
    grid, tastes, places = np.linspace(0, 1, n), np.asarray(buyers, float), [0.0, 1.0]
    for turn in range(4 * n):
        mine, other = turn % 2, places[1 - turn % 2]
        won = np.sign(abs(tastes - other) - abs(tastes - grid[:, None])).mean(axis=1)
        best = grid[won == won.max()]
        places[mine] = float(best[np.argmin(abs(best - places[mine]))])
    return places[0], places[1]
