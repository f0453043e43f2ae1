"""Placement of agents on the cells of a space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.errors import SettingsError
from sandbox.society.agent import SocialAgent
from sandbox.society.space import draw_homes

if TYPE_CHECKING:
    from sandbox.society.context import SocietyContext
    from sandbox.society.setup import SocietySetup

# Isolation is checked in societies of at most this many agents.
_MAX_CHECKED = 10_000


def place_agents(world: SocietyContext, setup: SocietySetup) -> list[SocialAgent]:
    """Make the agents and place each: in the cell of its prior run, else one per cell in order, else at random.

    Args:
        world: The world that the agents belong to; its space is that of ``setup``.
        setup: Labels, personas and language models of the agents.

    Raises:
        SettingsError: a branch places an agent where the space has no cell.
    """
    homes = _prior_cells(setup)
    if homes is None:
        homes = draw_homes(setup.space, len(setup.labels), setup.society.capacity, setup.birth_seed)
    members: list[SocialAgent] = []
    namesakes: Counter[str] = Counter()
    given = zip(setup.labels, setup.speakers, setup.personas, homes, strict=True)
    for index, (label, lm, persona, home) in enumerate(given):
        agent = SocialAgent(world, index, label, lm, persona)
        namesakes[agent.name] += 1
        if namesakes[agent.name] > 1:
            agent.name = f"{agent.name} {namesakes[agent.name]}"  # others must know whom they hear
        agent.move_to(home)
        agent.seal()
        members.append(agent)
    return members


def isolation_notes(setup: SocietySetup, members: Sequence[SocialAgent]) -> list[str]:
    """A warning where agents without neighbours would have no reviewers."""
    if setup.society.audience != "local" or len(members) > _MAX_CHECKED:
        return []
    if setup.society.hears == "both" and len(members) >= len(setup.space.places()):
        return []  # refused when the space was made
    alone = sum(not setup.space.neighbors(agent) for agent in members)
    many = "agent has" if alone == 1 else "agents have"
    return [f"{alone} {many} no neighbours at the start, and thus no reviewers"] if alone else []


def _prior_cells(setup: SocietySetup) -> list[Any] | None:
    """Cells of the agents at the start of the prior run, if there is one."""
    if setup.prior is None:
        return None
    try:
        return cells_at(setup.space, setup.prior.homes)
    except SettingsError:
        if setup.prior.rounds is None:
            return None  # another run, which is refused when it is opened
        raise


def cells_at(space: Any, positions: Sequence[tuple[int, int]]) -> list[Any]:
    """The cells of a space at given rows and columns.

    Raises:
        SettingsError: the space has no such cell.
    """
    places = {space.position_of(place): place for place in space.places()}
    missing = [position for position in positions if position not in places]
    if missing:
        raise SettingsError(f"the run has an agent at {missing[0]}, where this society has no cell; keep neighborhood")
    return [places[position] for position in positions]


def put_agents(members: Sequence[SocialAgent], places: Mapping[int, Any]) -> None:
    """Put agents, by index, on cells."""
    # All cells are vacated first: a cell may be full in between.
    for agent in places:
        members[agent].put(None)
    for agent, place in places.items():
        members[agent].put(place)
