"""Public goods with and without punishment: do contributions to a common pot last?

After Fehr and Gächter (2000, American Economic Review 90; 2002, Nature 415): groups of four play together over rounds. Each
round a player has 20 coins and gives some of them to its group's pot; every coin in the pot brings 0.4 coins to each member
of the group. Giving nothing is what pays best alone, for a coin given brings 0.4 back; giving all is best for the group. With
punishment a second stage follows: players read what the others gave, and may pay 1 coin to take 3 from the one that gave
least. Purses are states of the agents, changed after each stage. Two rewards to train on oppose each other: ``payoff``, the
player's own coins, and ``welfare``, the mean of its group.

Compare ``contribution`` over the rounds for ``punishment=yes`` and ``punishment=no``: among people it decays without
punishment and rises with it. ``purse`` is what players earned, ``fines`` how often they punish. Known limits: amounts are
drawn from the model's probabilities of a few numbers, which in small models follow habits of language more than payoffs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox import Conversation, Interaction, Measure, Prompts, Reward, Scenario, World, keyed_rng

ENDOWMENT, FINE, GROUP = 20, 3, 4


def scenario(punishment: bool = True, pot_return: float = 0.4) -> Scenario:
    """Public goods with and without punishment: do contributions to a common pot last?

    Args:
        punishment: Whether players may pay to punish after they have read what others gave.
        pot_return: Coins that each coin in the pot brings to each member of the group; the dilemma needs 0.25 to 1.
    """
    return Scenario(
        name="public_goods",
        questions=[
            f"You have {ENDOWMENT} coins. Each coin that you give to the pot brings {pot_return:g} coins to each of the "
            f"{GROUP} members of your group; you keep the others. How many coins do you give?"
        ],
        population={"player": 1.0},
        roles={"player": "You play a game about money with the same three people over many rounds."},
        options=("0", "5", "10", "15", "20"),
        prompts=Prompts(choose="You own {state[purse]:.0f} coins.\n\n{question}\n\nAnswer with one of: {options}."),
        state={"purse": 0.0},
        world_state={"pot_return": float(pot_return)},
        stages=[give, punish] if punishment else [give],
        settle=settle,
        reward={
            "payoff": Reward(payoff, unit="coins"),
            "welfare": Reward(welfare, unit="coins"),
            "contribution": Reward(given, unit="coins"),
        },
        measures={
            "contribution": Measure(contribution, unit="coins a round", limits=(0, ENDOWMENT)),
            "purse": Measure(purse, unit="coins"),
            "fines": Measure(fines, unit="share of players", limits=(0, 1)),
        },
        society={"recall_distance": 0.0},
    )


def give(agent: Any, question: str, world: World) -> Conversation:
    """A player decides how much to give."""
    choice = yield agent.choose(question)
    gift = float(drawn(choice, agent, world))
    return world.interaction(agent, question, draft=f"I give {gift:.0f} coins.", extra={"gift": gift})


def punish(agent: Any, question: str, world: World) -> Conversation:
    """A player reads what the others of its group gave, and may punish the one that gave least."""
    del question  # asked anew, with what the others gave
    gifts = {
        i: it.extra["gift"] for i, it in world.said("give").items() if i in group(agent.index, world) and not it.error
    }
    others = {i: gift for i, gift in gifts.items() if i != agent.index}
    if not others:
        return world.interaction(agent, "Nobody else is there.", draft="I let it be.", extra={"fined_agent": None})
    least = min(others, key=lambda i: (others[i], i))
    said = ", ".join(f"{world.members[i].name}: {gift:.0f}" for i, gift in gifts.items())
    asked = f"Coins given: {said}. Do you pay 1 coin so that {world.members[least].name} loses {FINE}?"
    choice = yield agent.choose(asked, ["no", "yes"])
    fined = least if drawn(choice, agent, world) == "yes" else None
    return world.interaction(
        agent, asked, draft="I punish." if fined is not None else "I let it be.", extra={"fined_agent": fined}
    )


give.max_calls = punish.max_calls = lambda agent, world: 1  # type: ignore[attr-defined]


def drawn(choice: Any, agent: Any, world: World) -> str:
    """An option, drawn from a choice's probabilities; the first one from a reply that names none."""
    option = choice.draw(keyed_rng(world.seed, world.round, agent.index, world.stage))
    return str(option or ("0" if world.stage == "give" else "no"))


def group(agent: int, world: World) -> range:
    """Indices of the agents that play with an agent: four in a row of the order of agents; the last group may be smaller."""
    first = agent // GROUP * GROUP
    return range(first, min(first + GROUP, len(world.members)))


def settle(world: World, interactions: Sequence[Interaction]) -> None:
    """Pay out the pots after the first stage; take costs and fines after the second."""
    gifts = {it.agent: it.extra["gift"] for it in interactions if not it.error}
    for it in interactions:
        if world.stage == "give" and not it.error:
            pot = sum(gifts.get(i, 0.0) for i in group(it.agent, world))
            world.members[it.agent].state["purse"] += ENDOWMENT - it.extra["gift"] + world.state["pot_return"] * pot
        elif world.stage == "punish" and it.extra.get("fined_agent") is not None:
            world.members[it.agent].state["purse"] -= 1
            world.members[it.extra["fined_agent"]].state["purse"] -= FINE


def contribution(interactions: Sequence[Interaction], world: World) -> float | None:
    """Mean gift, 0 to 20 coins."""
    gifts = [it.extra["gift"] for it in interactions if "gift" in it.extra]
    return sum(gifts) / len(gifts) if gifts else None


def payoff(interaction: Interaction, world: World) -> float:
    """Coins that the player earned in the round, after costs and fines."""
    agent = world.members[interaction.agent]
    return float(agent.state["purse"] - agent.state_before["purse"])


def welfare(interaction: Interaction, world: World) -> float:
    """Mean coins that the members of the player's group earned in the round, after costs and fines."""
    members = [world.members[i] for i in group(interaction.agent, world)]
    return float(sum(m.state["purse"] - m.state_before["purse"] for m in members) / len(members))


def given(interaction: Interaction, world: World) -> float | None:
    """Coins that the player gave, 0 to 20."""
    gift = interaction.extra.get("gift")
    return None if gift is None else float(gift)


def purse(interactions: Sequence[Interaction], world: World) -> float:
    """Mean purse, in coins."""
    return float(sum(agent.state["purse"] for agent in world.members) / len(world.members))


def fines(interactions: Sequence[Interaction], world: World) -> float:
    """Fines in the round, per player."""
    return sum(it.extra.get("fined_agent") is not None for it in interactions) / len(world.members)
