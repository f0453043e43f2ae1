"""Agents that are added to a society and removed from it, where states may change; and both again from the record.

All that a new agent begins with is drawn by its own number, so that it does not depend on who else is added.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sandbox.errors import PopulationLeft, ScenarioError, author_line, nearest
from sandbox.models.base import LanguageModel
from sandbox.scenario.personas import Persona
from sandbox.scenario.population import are_shares
from sandbox.seeding import keyed_rng
from sandbox.society.agent import SocialAgent
from sandbox.society.context import SocietyContext
from sandbox.society.members import Members
from sandbox.society.neighborhood import SocialNetwork
from sandbox.society.people import label_in
from sandbox.society.placement import cells_at
from sandbox.society.states import call_scenario
from sandbox.store.population import ADDED, REMOVED, Change
from sandbox.store.writer import RunWriter

if TYPE_CHECKING:
    from sandbox.society.setup import SocietySetup


_logger = logging.getLogger(__name__)


class Peopled(SocietyContext, Protocol):
    """What births need of a world besides."""

    @property
    def setup(self) -> SocietySetup:
        """All that was decided before the agents existed."""
        ...

    @property
    def members(self) -> Members:
        """The agents."""
        ...


class Restored(Peopled, Protocol):
    """What their restoration from the record needs of a world besides."""

    notes: list[str]

    @property
    def store(self) -> RunWriter:
        """Writer of the run folder."""
        ...


def add_agent(
    world: Peopled,
    *,
    label: str | None = None,
    persona: Persona | None = None,
    name: str | None = None,
    place: Any = None,
    near: SocialAgent | int | None = None,
    neighbours: Iterable[SocialAgent | int] | None = None,
    state: Mapping[str, Any] | None = None,
) -> SocialAgent:
    """Add an agent to a society; see :meth:`sandbox.society.context.SocietyContext.add`."""
    where = author_line()
    _check_gate(world, f"{where}add(...)")
    members, index = world.members, len(world.members.everyone)
    drawn = _persona(world, index, persona, where)
    chosen = None if label is None and _is_column(world) else _label(world, label, where)
    cell, links = _place(world, index, place, near, neighbours, where)
    drawn = {**({} if cell is None else world.space.attributes(cell)), **drawn}
    if chosen is None:
        chosen = label_in(drawn, str(world.setup.population).removeprefix("column:"))
    lm = _model(world.setup, chosen, index, where)
    called = members.free_name(str(name or drawn.get(_name_column(world)) or f"Agent {index + 1}"))
    agent = _make(world, index, chosen, lm, drawn, called)
    node = None if links is None else world.space.add_node(links)
    cell = cell or node
    at = world.space.position_of(cell)
    change = Change(
        index, ADDED, name=agent.name, label=chosen, place=at, model=lm.uri, persona=dict(drawn), links=links
    )
    members.add(agent, cell, node=node, change=change)
    world.states.add(index)
    begun = world.scenario.state
    own = call_scenario("state", begun, agent, world) if callable(begun) else begun
    if state is not None and not isinstance(state, Mapping):
        raise ScenarioError(f"{where}add(state={state!r}): expected a mapping")
    world.states.begin_one(index, {**own, **(state or {})} if isinstance(own, Mapping) else own)
    return agent


def remove_agent(world: Peopled, agent: SocialAgent) -> None:
    """Remove an agent from a society; see :meth:`sandbox.society.agent.SocialAgent.remove`."""
    where = author_line()
    if agent.index < 0:
        raise ScenarioError(f"{where}{agent.name} is a speaker, which is no member and cannot be removed")
    if world.members.has_left(agent.index):
        raise ScenarioError(
            f"{where}{agent.name} was removed before; remove each agent once: if agent in world.members"
        )
    _check_gate(world, f"{where}remove()")
    last = json.dumps(agent.state, ensure_ascii=False, separators=(",", ":"))
    world.members.remove(agent, Change(agent.index, REMOVED, state=last))
    world.states.remove(agent.index)


def replay_changes(world: Peopled, changes: Iterable[Change], *, on_cells: bool) -> None:
    """Make recorded changes again.

    Args:
        world: The world.
        changes: The changes, in order.
        on_cells: Put agents on the cells of their birth; otherwise the world puts them on their cells.
    """
    for one in changes:
        if one.change == REMOVED:
            agent = world.members[one.agent]
            world.members.remove(agent)
            if world.states.is_used:
                world.states.remove(one.agent, one.state)
            continue
        node = None if one.links is None else world.space.add_node(one.links)
        cell = cells_at(world.space, [one.place])[0] if on_cells and node is None else node
        lm = _model(world.setup, one.label, one.agent, "")
        agent = _make(world, one.agent, one.label, lm, one.persona, one.name)
        world.members.add(agent, cell if on_cells else None, node=node)
        if world.states.is_used:
            world.states.add(one.agent)


def _make(world: Peopled, index: int, label: str, lm: LanguageModel, persona: Persona, name: str) -> SocialAgent:
    """Make an agent; where its round is begun again, it is the one that was made before, with what it remembers."""
    made = world.members.withdrawn(index)
    if made is not None and (made.label, dict(made.persona), made.name) == (label, dict(persona), name):
        return made
    made = SocialAgent(world, index, label, lm, persona)
    made.name = name
    made.seal()
    return made


def _check_gate(world: Peopled, call: str) -> None:
    if world.states.is_again:
        raise PopulationLeft(f"{call}: the round is complete")
    if not world.states.is_open:
        raise ScenarioError(
            f"{call} was called within a stage, or outside a round; call it in the scenario's settle(world, interactions), "
            "before_round(world), after_round(world) or events, so that no result depends on the order of replies"
        )


def _name_column(world: Peopled) -> str:
    return world.scenario.personas.name if world.scenario.personas is not None else "name"


def _persona(world: Peopled, index: int, given: Persona | None, where: str) -> dict[str, Any]:
    """The persona that is given, or one of the scenario's, drawn by the agent's number."""
    people = world.scenario.personas
    if given is None:
        return {} if people is None else dict(keyed_rng(world.birth_seed, "persona", index).choice(list(people.rows)))
    if not isinstance(given, Mapping):
        raise ScenarioError(f"{where}add(persona={given!r}): expected a mapping of columns to values")
    if people is None:
        raise ScenarioError(
            f"{where}add(persona=...): the scenario has no personas, so that no prompt would tell it; give "
            "Scenario(personas=Personas(rows, template)), or a name alone: add(name=...)"
        )
    if missing := [column for column in people.columns if column not in given]:
        raise ScenarioError(
            f"{where}add(persona=...) has no {', '.join(missing)}; the personas have the columns {', '.join(people.columns)}"
        )
    try:
        return dict(json.loads(json.dumps(dict(given), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"{where}add(persona=...) cannot be recorded as JSON: {error}") from None


def _is_column(world: Peopled) -> bool:
    """Whether labels come from a column of the personas."""
    return isinstance(world.setup.population, str) and world.setup.population.startswith("column:")


def _label(world: Peopled, given: str | None, where: str) -> str:
    population, setup = world.setup.population, world.setup
    shares = [] if isinstance(population, str) else list(population)
    known = list(dict.fromkeys([*setup.labels, *shares, *world.scenario.upbringing, *world.scenario.roles]))
    if given is None and len(set(setup.labels)) == 1:
        return setup.labels[0]
    if given is None:
        raise ScenarioError(f"{where}add(...) needs a label: label={known[0]!r}. Labels are {', '.join(known)}")
    if given not in known and not _is_column(world):
        raise ScenarioError(
            f"{where}add(label={given!r}): there is no such label.{nearest(str(given), known)} Labels are {', '.join(known)}; "
            "another is one of Scenario(roles={LABEL: ...}), upbringing or population"
        )
    return str(given)


def _model(setup: SocietySetup, label: str, index: int, where: str) -> LanguageModel:
    """The language model of a new agent: that of its label; or by shares, drawn by its number."""
    others = setup.scenario.speakers
    models = {n: one for n, one in setup.models.items() if n not in others and not n.startswith("agent:")}
    if set(models) == {""}:
        return setup.load_model(models[""])
    if are_shares(models):
        given = keyed_rng(setup.birth_seed, "model", index).choices(list(models), list(models.values()))[0]
    elif label in models or "" in models:
        given = models[label if label in models else ""]
    else:
        raise ScenarioError(
            f"{where}add(label={label!r}): agents labelled {label} have no language model; found models for "
            f"{', '.join(sorted(models))}"
        )
    return setup.load_model(given)


def _place(
    world: Peopled, index: int, place: Any, near: Any, neighbours: Iterable[Any] | None, where: str
) -> tuple[Any, Sequence[int] | None]:
    """The cell of a new agent; or None, and the nodes that its new node is to be linked to."""
    if sum(given is not None for given in (place, near, neighbours)) > 1:
        raise ScenarioError(f"{where}add(...): give one of place, near and neighbours")
    space = world.space
    is_network = isinstance(space, SocialNetwork)
    if neighbours is not None:
        if not is_network:
            raise ScenarioError(
                f"{where}add(neighbours=...): links are of networks, and this society is on a grid; give "
                "place=(row, column) or near=agent"
            )
        if any(kind == "node" for _, kind, _ in world.scenario.prompts.state_keys()):
            raise ScenarioError(
                f"{where}add(neighbours=...): the prompts use attributes of nodes, and a new node has none; give place=NODE"
            )
        links = [_living(world, one, "neighbours", where).cell.coordinate for one in neighbours]
        return None, list(dict.fromkeys(links))
    if place is not None:
        return _given_cell(world, place, where), None
    drawn = keyed_rng(world.birth_seed, "place", index)
    if near is not None:
        agent = _living(world, near, "near", where)
        if free := space.free_near(agent):
            return drawn.choice(free), None
        raise ScenarioError(
            f"{where}add(near={agent.name}): no place within its neighbourhood is free; leave near out, or add only if "
            f"world.space.free_near(agent). {_more_room(world)}"
        )
    if free := [cell for cell in space.places() if not cell.is_full]:
        return drawn.choice(free), None
    room = len(space.places()) * world.society.capacity
    ways = ", give neighbours=[agents] for a new node" if is_network else ""
    raise ScenarioError(
        f"{where}add(...): all {len(space.places())} places are taken (capacity={world.society.capacity}); remove an agent "
        f"first{ways}, or add only if len(world.members) < {room}. {_more_room(world)}"
    )


def _more_room(world: Peopled) -> str:
    """What gives a society more places: a resumed run has those that it began with."""
    return f"A new run, or a branch of this one, can have more room: --set capacity={world.society.capacity + 1}"


def _given_cell(world: Peopled, place: Any, where: str) -> Any:
    """The cell at a place: (row, column) of a grid, or the number of a node; or the cell itself."""
    space = world.space
    at = getattr(place, "coordinate", place)
    at = tuple(at) if isinstance(at, list) else at
    cells = {cell.coordinate: cell for cell in space.places()}
    cell = cells.get(at) if isinstance(at, int | tuple) else None
    if cell is None:
        has = (
            f"the network has the nodes 0 to {len(cells) - 1}"
            if isinstance(space, SocialNetwork)
            else f"place is (row, column), with rows 0 to {space.dimensions[0] - 1} and columns 0 to {space.dimensions[1] - 1}"
        )
        raise ScenarioError(f"{where}add(place={at!r}): there is no such place; {has}")
    if cell.is_full:
        free = next((one.coordinate for one in cells.values() if not one.is_full), None)
        other = "remove an agent first" if free is None else f"choose a free one, such as {free}"
        raise ScenarioError(
            f"{where}add(place={at!r}): the place is taken by {', '.join(one.name for one in cell._agents)}; {other}. "
            f"{_more_room(world)}"
        )
    return cell


def _living(world: Peopled, given: Any, argument: str, where: str) -> SocialAgent:
    index = getattr(given, "index", given)
    is_index = isinstance(index, int) and not isinstance(index, bool)
    if is_index and 0 <= index < len(world.members.everyone) and not world.members.has_left(index):
        return world.members[index]
    raise ScenarioError(
        f"{where}add({argument}={given if is_index else repr(given)}): there is no such agent, or it was removed; give "
        "agents of world.members, or their numbers"
    )


def restore_population(world: Restored) -> dict[int, Any]:
    """Add and remove again the agents of the complete rounds of the record.

    Returns:
        Cells of those who live and have moved or were added, by number.
    """
    changes = [one for one in world.store.changes() if one.round < world.round]
    latest = {one.agent: one.place for one in changes if one.change == ADDED}
    latest |= {agent: (x, y) for agent, x, y in world.store.moves()}
    if world.states.is_used:
        world.states.reset_to_founders()
    replay_changes(world, changes, on_cells=False)
    added = [world.members[one.agent] for one in changes if one.change == ADDED]
    if added:  # a branch fills in their language models
        rows = ((a.index, a.name, a.label, 0, 0) for a in added)
        world.store.add_agents(rows, (a.lm.uri for a in added))
    latest = {agent: place for agent, place in latest.items() if not world.members.has_left(agent)}
    return dict(zip(latest, cells_at(world.space, list(latest.values())), strict=True)) if latest else {}


def note_extinction(world: Restored) -> None:
    """Say so once where no agent is left, so that the round has no interactions."""
    if len(world.members):
        return
    since = max(one.from_round for one in world.store.changes() if one.change == REMOVED)
    words = (
        f"no agent is left from round {since + 1} on: these rounds have no interactions. world.add(...) in "
        "before_round, after_round or events adds agents"
    )
    if words not in world.store.manifest["notes"]:
        _logger.warning("%s", words)
        world.notes.append(words)
        world.store.manifest["notes"].append(words)
