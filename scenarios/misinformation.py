"""A false claim spreads over a network, some members check facts: how far does the belief in it get?

After models of contagion on networks with people who correct it (Tambuscio, Ruffo, Flammini and Menczer 2015, WWW companion)
and of immunisation (Pastor-Satorras and Vespignani 2001). A round has two stages. First spreaders, and readers who hold the
claim for likelier than not, post it in their own words, while checkers post that it is false; all others say nothing. Then
readers read what their neighbours posted and say whether they believe it. Belief is a state of each agent, from 0 to 1.

See ``belief`` over the rounds, ``exposed`` (readers with a neighbour who posted the claim) and ``corrected`` (readers with a
checker beside them), and the map: ``sandbox plot RUN grid --set by=state.belief``. Compare ``checkers=0`` with more.
A network of your own: ``--set neighborhood=friends.graphml``. :func:`contagion` is the spread without language; its share of
believers is 1 - c - r/p on a complete network. Known limits: a belief is the model's probability of "yes", and small models
prefer one word whatever they read: compare rounds and settings, not levels; there is one claim, in English.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox import Conversation, Interaction, Measure, Scenario, World

CLAIM = "the new street lamps damage the eyes of people who walk under them"
ROLES = {
    "spreader": f"You are sure that {CLAIM}, and you warn everybody.",
    "checker": "You are a doctor. You examined the new street lamps: they are harmless, and you say so.",
}


def scenario(checkers: float = 0.1, spreaders: float = 0.1) -> Scenario:
    """A false claim spreads over a network, some members check facts: how far does the belief in it get?

    Args:
        checkers: Share of the members who know that the claim is false, in [0, 1).
        spreaders: Share of the members who spread it, in (0, 1).
    """
    shares = {"spreader": spreaders, "checker": checkers, "reader": 1 - spreaders - checkers}
    return Scenario(
        name="misinformation",
        questions=[f"Is it true that {CLAIM}?"],
        population={label: share for label, share in shares.items() if share},
        roles=ROLES,
        state=lambda agent, world: {"belief": {"spreader": 1.0, "checker": 0.0}.get(agent.label, 0.0)},
        stages=[post, read],
        settle=settle,
        reward={"truth": truth},
        measures={
            "belief": Measure(belief, unit="mean belief of readers", limits=(0, 1)),
            "exposed": Measure(exposed, unit="share of readers", limits=(0, 1), panel="what readers read"),
            "corrected": Measure(corrected, unit="share of readers", limits=(0, 1), panel="what readers read"),
        },
        society={"recall_distance": 0.0, "neighborhood": "small_world", "degree": 4},
    )


def post(agent: Any, question: str, world: World) -> Conversation:
    """Spreaders, checkers and readers who believe the claim write a post; the others say nothing."""
    if agent.label == "reader" and agent.state["belief"] <= 0.5:
        return world.interaction(agent, question)
    written = yield agent.answer(f"Write one sentence to your friends: {question}")
    return world.interaction(agent, question, draft=written.text)


def read(agent: Any, question: str, world: World) -> Conversation:
    """A reader reads the posts of its neighbours and says whether it believes the claim; the others keep to their view."""
    posts = {i: said.draft for i, said in world.said("post").items() if said.draft and not said.error}
    near = [other for other in world.space.neighbors(agent) if other.index in posts]
    extra: dict[str, Any] = {"read": [other.index for other in near], "belief": agent.state["belief"]}
    if agent.label != "reader":
        return world.interaction(agent, question, draft=posts.get(agent.index), extra=extra)
    choice = yield agent.choose(question, ["yes", "no"], heard=[(other.name, posts[other.index]) for other in near])
    if choice.probs is None:
        raise ValueError(f"the reply says neither yes nor no: {choice.raw!r}")
    extra["belief"] = choice.probs["yes"]
    return world.interaction(agent, question, draft=choice.best, extra=extra)


post.max_calls = read.max_calls = lambda agent, world: 1  # type: ignore[attr-defined]


def settle(world: World, interactions: Sequence[Interaction]) -> None:
    """Take over what readers said that they believe."""
    for it in interactions:
        if world.stage == "read" and not it.error:
            world.members[it.agent].state["belief"] = it.extra["belief"]


def _readers(interactions: Sequence[Interaction]) -> list[Interaction]:
    return [it for it in interactions if it.label == "reader" and not it.error]


def _share_beside(interactions: Sequence[Interaction], world: World, of: Any) -> float | None:
    found = [any(of(world.members[i]) for i in it.extra["read"]) for it in _readers(interactions)]
    return sum(found) / len(found) if found else None


def belief(interactions: Sequence[Interaction], world: World) -> float | None:
    """Mean belief of readers in the claim, 0 to 1."""
    found = [it.extra["belief"] for it in _readers(interactions)]
    return sum(found) / len(found) if found else None


def truth(interaction: Interaction, world: World) -> float | None:
    """1 minus a reader's belief in the claim, 0 to 1; none for others, whose belief is their role."""
    return 1 - interaction.extra["belief"] if interaction.label == "reader" else None


def exposed(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of readers who read the claim from a neighbour, 0 to 1."""
    return _share_beside(interactions, world, lambda agent: agent.label != "checker")


def corrected(interactions: Sequence[Interaction], world: World) -> float | None:
    """Share of readers who read from a checker that it is false, 0 to 1."""
    return _share_beside(interactions, world, lambda agent: agent.label == "checker")


def contagion(n: int, rounds: int, *, spread: float, recovery: float, checkers: float, seed: int = 0) -> list[float]:
    """The spread without language on a complete network: share of believers in each round; checkers never believe."""
    draw = np.random.default_rng(seed)
    immune = np.arange(n) < round(checkers * n)
    believes = ~immune & (draw.random(n) < 0.1)
    shares = []
    for _ in range(rounds):
        caught = ~immune & ~believes & (draw.random(n) < spread * believes.mean())
        believes = (believes & (draw.random(n) >= recovery)) | caught
        shares.append(float(believes.mean()))
    return shares
