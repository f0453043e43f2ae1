"""Placement of agents on the cells of a space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.errors import SettingsError
from sandbox.models.base import LanguageModel
from sandbox.scenario.personas import Persona
from sandbox.seeding import keyed_rng
from sandbox.society.agent import SocialAgent

if TYPE_CHECKING:
    from sandbox.society.context import EngineContext

# Up to so many agents are asked whether they have neighbours, before a run starts.
_FEW = 10_000


def place_agents(
    world: EngineContext, dealt: Sequence[str], speakers: Sequence[LanguageModel], personas: Sequence[Persona]
) -> list[SocialAgent]:
    """Make the agents and give each its place: one a place in order, else at random; or where it lived already.

    Args:
        world: Has its space.
        dealt: The label of each agent.
        speakers: What each speaks through.
        personas: Who each is.
    """
    places = world.space.places()
    homes = _homes(world)
    if homes is None and len(dealt) == len(places):
        homes = places
    elif homes is None:
        slots = [place for place in places for _ in range(world.society.capacity)]
        homes = keyed_rng(world.birth_seed, "places").sample(slots, len(dealt))
    members: list[SocialAgent] = []
    namesakes: Counter[str] = Counter()
    for index, (label, lm, home, persona) in enumerate(zip(dealt, speakers, homes, personas, strict=True)):
        agent = SocialAgent(world, index, label, lm, persona)
        namesakes[agent.name] += 1
        if namesakes[agent.name] > 1:
            agent.name = f"{agent.name} {namesakes[agent.name]}"  # others must know whom they hear
        agent.move_to(home)
        members.append(agent)
    if world.society.audience == "local" and len(members) < len(places) and len(members) <= _FEW:
        alone = sum(not world.space.neighbors(agent) for agent in members)
        if alone:
            world.notes.append(
                f"{alone} agents have no neighbours where they begin: nobody reviews their answers there"
            )
    return members


def _homes(world: EngineContext) -> list[Any] | None:
    """Where agents live already, if they do."""
    if world.origin is None:
        return None
    try:
        return cells_at(world, world.origin.homes)
    except SettingsError:
        if world.origin.rounds is None:
            return None  # another run, which is refused when it is opened
        raise


def cells_at(world: EngineContext, positions: Sequence[tuple[int, int]]) -> list[Any]:
    """The places at rows and columns.

    Raises:
        SettingsError: the space has no such place.
    """
    places = {world.space.position_of(place): place for place in world.space.places()}
    missing = [position for position in positions if position not in places]
    if missing:
        raise SettingsError(f"the run has an agent at {missing[0]}, where this society has no place; keep neighborhood")
    return [places[position] for position in positions]
