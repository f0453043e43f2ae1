"""Choice of the agents who are asked in a round, of their questions, and of those who review a draft."""

from __future__ import annotations

import numbers
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sandbox.errors import ScenarioError
from sandbox.scenario.settings import SocietySettings
from sandbox.seeding import keyed_seed
from sandbox.society.states import call_scenario

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext
    from sandbox.society.members import Members

Member = TypeVar("Member")


def members_named(what: str, given: Any, members: Members) -> list[SocialAgent]:
    """The agents that a function of the scenario named, in the order in which it named them.

    Args:
        what: Field of the scenario, for messages.
        given: What its function returned: agents, or their indices.
        members: The agents.

    Raises:
        ScenarioError: it returned something else, an agent that was removed, or an agent twice.
    """
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise ScenarioError(
            f"{what} of the scenario returned {given!r}; it must return a list of agents, or of their indices"
        )
    found: dict[int, SocialAgent] = {}
    for one in given:
        is_index = isinstance(one, numbers.Integral) and not isinstance(one, bool)
        index = int(one) if is_index else getattr(one, "index", None)
        if not isinstance(index, int) or not 0 <= index < len(members.everyone):
            raise ScenarioError(
                f"{what} of the scenario returned {one!r}; expected agents of this world, or indices from 0 to "
                f"{len(members.everyone) - 1}"
            )
        if members.has_left(index):
            raise ScenarioError(
                f"{what} of the scenario returned {members[index].name}, which was removed; name agents of world.members only"
            )
        if int(index) in found:
            raise ScenarioError(
                f"{what} of the scenario returned {members[int(index)].name} twice; name each agent once"
            )
        found[int(index)] = members[int(index)]
    return list(found.values())


def active_agents(world: SocietyContext) -> list[SocialAgent]:
    """Agents that are asked in this round, by index: those of the scenario's ``asked``, else all; or an active share of them.

    Of each group it is the first member.

    Raises:
        ScenarioError: ``asked`` of the scenario failed, or returned no agents of this world.
    """
    asked = list(world.members)
    if world.scenario.groups is not None:
        asked = [world.members[first] for first in world.groups]
    elif world.scenario.asked is not None:
        given = call_scenario("asked", world.scenario.asked, world)
        asked = sorted(members_named("asked", given, world.members), key=lambda agent: agent.index)
    return draw_active(asked, world.society.active, keyed_seed(world.seed, world.round, "active"))


def question_for(agent: SocialAgent, world: SocietyContext) -> str:
    """Question of an agent in this round: by the scenario's ``ask``, else number (round * N + agent) mod Q.

    Raises:
        ScenarioError: ``ask`` of the scenario failed, or returned no question.
    """
    if world.scenario.ask is None:
        questions = world.scenario.questions
        return questions[(world.round * len(world.members) + agent.index) % len(questions)]
    question = call_scenario("ask", world.scenario.ask, agent, world)
    if not isinstance(question, str) or not question.strip():
        raise ScenarioError(f"ask of the scenario returned {question!r} for {agent.name}; it must return a question")
    return question


def draw_active(members: list[Member], share: float, seed: int) -> list[Member]:
    """The agents that are asked in a round: all, or a share of them, at least one.

    Args:
        members: All agents.
        share: The share, in (0, 1].
        seed: Seed of this draw.

    Returns:
        Agents, in their order.
    """
    if share >= 1 or not members:
        return members
    n = len(members)
    chosen = np.random.default_rng(seed).choice(n, max(1, round(share * n)), replace=False, shuffle=False)
    return [members[i] for i in np.sort(chosen)]


def audience_of(agent: SocialAgent, world: SocietyContext, draw: random.Random) -> list[SocialAgent]:
    """Draw the agents who review an agent's draft."""
    near = world.space.neighbors(agent)
    weights = [world.space.weight(agent, other) for other in near] if world.society.weighted else None
    indices = [other.index for other in near]
    found = draw_audience(world.society, agent.index, indices, world.members.numbers, draw, weights)
    return [world.members[index] for index in found]


def draw_audience(
    society: SocietySettings,
    agent: int,
    near: Sequence[int],
    agents: int | Sequence[int],
    draw: random.Random,
    weights: Sequence[float] | None = None,
) -> list[int]:
    """Draw the reviewers of an agent's draft.

    Args:
        society: Settings of the society: ``audience``, ``reviewers`` and ``dropout``.
        agent: Index of the author.
        near: Indices of its neighbours.
        agents: Numbers of all agents; or how many there are, from 0.
        draw: Generator of this draw.
        weights: Weight of each neighbour, 0 or more, to which its chance is proportional; by default all are equal.

    Returns:
        Distinct indices, without the author, in the order in which they are asked.
    """
    everyone = range(agents) if isinstance(agents, int) else agents
    k = min(society.reviewers, len(everyone) - 1)
    if society.audience == "local":
        return _sample(near, min(k, len(near)), draw, weights)
    kept: list[int] = []
    if society.audience == "local_global" and near:
        kept = _sample(near, min(k, max(1, round((1 - society.dropout) * len(near)))), draw, weights)
    # The global part is drawn from everyone else, including the neighbours that were dropped.
    taken = {agent, *kept}
    while len(kept) < k:
        other = everyone[draw.randrange(len(everyone))]
        if other not in taken:
            taken.add(other)
            kept.append(other)
    return kept


def _sample(near: Sequence[int], k: int, draw: random.Random, weights: Sequence[float] | None) -> list[int]:
    """Draw without replacement, in proportion to weights where there are any (Efraimidis and Spirakis 2006)."""
    if weights is None:
        return draw.sample(near, k)
    waits = [(draw.expovariate(weight), one) for one, weight in zip(near, weights, strict=True) if weight > 0]
    return [one for _, one in sorted(waits)[:k]]
