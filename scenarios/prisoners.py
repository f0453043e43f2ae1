"""The prisoner's dilemma, played again and again with one's neighbours in a network: does cooperation last?

After Axelrod (1984) and, in space, Nowak and May (1992, Nature 359, 826): in each round a player chooses once, to cooperate
or to defect, and plays that choice with every neighbour. Two that cooperate earn 3 each, two that defect 1 each; who defects
against a cooperator earns 5, and the cooperator nothing. Players read what their neighbours chose in the previous round, and
what they themselves earned. Choices and points are states of the agents. The reward ``payoff`` is what the player earned in a
game, ``welfare`` the mean of both players.

See ``cooperation`` over the rounds and ``payoff`` (of a game; 3 if all cooperate, 1 if nobody does), and the map by
choice: ``sandbox plot RUN grid --set by=state.cooperated``. In :func:`imitation`, the game without language, players copy the
most successful neighbour: there the share of cooperators tends to 12 ln 2 - 8, about 0.318, whatever it begins with. Known
limits: choices are drawn from the model's probabilities of two words, which in small models follow habits of language more
than payoffs: compare with the words exchanged (``--set temptation=3.1``), not with theory alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox import Conversation, Interaction, Measure, Reward, Scenario, World, keyed_rng

REWARD, PUNISHMENT, SUCKER = 3.0, 1.0, 0.0
MOVES = ("cooperate", "defect")


def scenario(temptation: float = 5.0) -> Scenario:
    """The prisoner's dilemma, played again and again with one's neighbours in a network: does cooperation last?

    Args:
        temptation: Points of a player that defects against a cooperator; the dilemma needs more than 3.
    """
    return Scenario(
        name="prisoners",
        questions=["Do you cooperate or defect?"],
        population={"player": 1.0},
        options=MOVES,
        ask=ask,
        protocol=play,
        state={"cooperated": 0.0, "chose": "", "earned": 0.0, "shared": 0.0, "points": 0.0},
        world_state={"temptation": float(temptation)},
        settle=settle,
        reward={
            "payoff": Reward(earned, unit="points a game"),
            "welfare": Reward(shared, unit="points a game"),
            "cooperation": cooperated,
        },
        measures={
            "cooperation": Measure(cooperation, unit="share of players", limits=(0, 1)),
            "payoff": Measure(payoff, unit="points a game", limits=(SUCKER, temptation)),
        },
        society={"recall_distance": 0.0, "neighborhood": "small_world", "degree": 4},
    )


def ask(agent: Any, world: World) -> str:
    """The rules, and what happened in the previous round."""
    rules = (
        f"You play with each of your neighbours. If both cooperate, each earns {REWARD:g}. If both defect, each earns "
        f"{PUNISHMENT:g}. If one defects and the other cooperates, the one that defects earns {world.state['temptation']:g}, "
        f"the other {SUCKER:g}."
    )
    others = [f"{other.name}: {other.state['chose']}" for other in world.space.neighbors(agent) if other.state["chose"]]
    before = f" Last round: {', '.join(others)}. You earned {agent.state['earned']:.1f} a game." if others else ""
    return f"{rules}{before} Do you cooperate or defect?"


def play(agent: Any, question: str, world: World) -> Conversation:
    """A player chooses for all its games of the round."""
    choice = yield agent.choose(question)
    chose = choice.draw(keyed_rng(world.seed, world.round, agent.index, "play"))
    if chose is None:
        raise ValueError(f"the reply names neither of {' and '.join(MOVES)}: {choice.raw!r}")
    return world.interaction(agent, question, draft=f"I {chose}.", extra={"chose": chose})


play.max_calls = lambda agent, world: 1  # type: ignore[attr-defined]


def settle(world: World, interactions: Sequence[Interaction]) -> None:
    """Pay every game between neighbours who both chose; a player whose conversation failed plays none."""
    chose = {it.agent: it.extra["chose"] for it in interactions if not it.error}
    pays = {
        ("cooperate", "cooperate"): REWARD, ("defect", "defect"): PUNISHMENT,
        ("cooperate", "defect"): SUCKER, ("defect", "cooperate"): world.state["temptation"],
    }  # fmt: skip
    for agent in world.members:
        mine = chose.get(agent.index, "")
        others = [chose[o.index] for o in world.space.neighbors(agent) if mine and o.index in chose]
        own, theirs = sum(pays[mine, other] for other in others), sum(pays[other, mine] for other in others)
        agent.state["chose"], agent.state["cooperated"] = mine, float(mine == "cooperate")
        agent.state["earned"] = own / max(1, len(others))
        agent.state["shared"] = (own + theirs) / 2 / max(1, len(others))
        agent.state["points"] += own


def cooperation(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of the players that cooperated, 0 to 1."""
    chose = [it.extra["chose"] == "cooperate" for it in interactions if not it.error]
    return sum(chose) / len(chose) if chose else None


def payoff(interactions: Sequence[Interaction], world: World) -> float | None:
    """Mean points of a game, over players."""
    played = [agent.state["earned"] for agent in world.members if agent.state["chose"]]
    return sum(played) / len(played) if played else None


def earned(interaction: Interaction, world: World, key: str = "earned") -> float | None:
    """Mean points of the player's games in the round; none without a game."""
    agent = world.members[interaction.agent]
    games = any(other.state["chose"] for other in world.space.neighbors(agent))
    return float(agent.state[key]) if games else None


def shared(interaction: Interaction, world: World) -> float | None:
    """Mean points of both players in the player's games of the round; none without a game."""
    return earned(interaction, world, "shared")


def cooperated(interaction: Interaction, world: World) -> bool:
    """Whether the player cooperated, 0 or 1."""
    return bool(interaction.extra["chose"] == "cooperate")


def imitation(
    side: int, rounds: int, *, temptation: float = 1.85, defectors: float = 0.1, seed: int = 0
) -> list[float]:
    """The spatial game without language: share of cooperators in each round.

    Players on a torus of side x side cells play with their eight neighbours and themselves (1 for mutual cooperation,
    ``temptation`` for defecting against a cooperator, else 0), then copy the one of these nine that earned most.
    """
    cooperate = np.random.default_rng(seed).random((side, side)) >= defectors
    shifts = [(dx, dy) for dx in (0, -1, 1) for dy in (0, -1, 1)]
    shares = []
    for _ in range(rounds):
        near = sum(np.roll(cooperate, shift, (0, 1)).astype(float) for shift in shifts)
        earned = np.where(cooperate, near, temptation * near)
        best = np.argmax([np.roll(earned, shift, (0, 1)) for shift in shifts], axis=0)
        cooperate = np.choose(best, [np.roll(cooperate, shift, (0, 1)) for shift in shifts])
        shares.append(float(cooperate.mean()))
    return shares
