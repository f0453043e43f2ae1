"""Choice of the agents who review a draft."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sandbox.scenario.settings import SocietySettings


def draw_audience(
    society: SocietySettings, agent: int, near: Sequence[int], n_agents: int, draw: random.Random
) -> list[int]:
    """Choose who reviews an agent's draft.

    Args:
        society: How.
        agent: Index of the author.
        near: Indices of its neighbours.
        n_agents: How many agents there are.
        draw: The stream of this choice.

    Returns:
        Distinct indices, without the author, in the order they are asked.
    """
    k = society.reviewers
    if society.audience == "local":
        return draw.sample(near, min(k, len(near)))
    kept: list[int] = []
    if society.audience == "local_global" and near:
        kept = draw.sample(near, min(k, max(1, round((1 - society.dropout) * len(near)))))
    # The global part is drawn from everyone else, the neighbours that were dropped too.
    taken = {agent, *kept}
    while len(kept) < k:
        other = draw.randrange(n_agents)
        if other not in taken:
            taken.add(other)
            kept.append(other)
    return kept
