"""Movement of agents between rounds: by the scenario's ``move``, else at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.seeding import keyed_rng
from sandbox.society.states import call_scenario

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext


def move_agents(world: SocietyContext) -> list[tuple[int, int, int]]:
    """Move agents after a round, in the order of their indices.

    Returns:
        (agent, x, y) of those that moved.
    """
    moved: list[tuple[int, int, int]] = []
    if world.scenario.move is None and not world.society.movement:
        return moved
    for agent in world.members:
        place = _destination(agent, world)
        if place is not None and place is not agent.cell:
            agent.put(place)
            moved.append((agent.index, *world.space.position(agent)))
    return moved


def _destination(agent: SocialAgent, world: SocietyContext) -> Any | None:
    if world.scenario.move is not None:
        return call_scenario("move", world.scenario.move, agent, world)
    draw = keyed_rng(world.seed, world.round, agent.index, "move")
    if draw.random() >= world.society.movement:
        return None
    free = world.space.free_near(agent)
    return draw.choice(free) if free else None
