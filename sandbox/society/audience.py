"""Choice of the agents who are asked in a round, and of those who review a draft."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from sandbox.scenario.settings import SocietySettings

Member = TypeVar("Member")


def draw_active(members: list[Member], share: float, seed: int) -> list[Member]:
    """The agents that are asked in a round: all, or a share of them, at least one.

    Args:
        members: All agents.
        share: The share, in (0, 1].
        seed: Seed of this draw.

    Returns:
        Agents, in their order.
    """
    if share >= 1:
        return members
    n = len(members)
    chosen = np.random.default_rng(seed).choice(n, max(1, round(share * n)), replace=False, shuffle=False)
    return [members[i] for i in np.sort(chosen)]


def draw_audience(
    society: SocietySettings, agent: int, near: Sequence[int], n_agents: int, draw: random.Random
) -> list[int]:
    """Draw the reviewers of an agent's draft.

    Args:
        society: Settings of the society: ``audience``, ``reviewers`` and ``dropout``.
        agent: Index of the author.
        near: Indices of its neighbours.
        n_agents: Number of agents.
        draw: Generator of this draw.

    Returns:
        Distinct indices, without the author, in the order in which they are asked.
    """
    k = society.reviewers
    if society.audience == "local":
        return draw.sample(near, min(k, len(near)))
    kept: list[int] = []
    if society.audience == "local_global" and near:
        kept = draw.sample(near, min(k, max(1, round((1 - society.dropout) * len(near)))))
    # The global part is drawn from everyone else, including the neighbours that were dropped.
    taken = {agent, *kept}
    while len(kept) < k:
        other = draw.randrange(n_agents)
        if other not in taken:
            taken.add(other)
            kept.append(other)
    return kept
