"""How a society begins: its settings are read, its agents find their homes, and its record is opened.

Everything that can be refused is refused here, before the run's folder is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox import registry
from sandbox.errors import RunExists, SettingsError
from sandbox.models import LanguageModel
from sandbox.scenario.personas import Persona
from sandbox.scenario.population import Population, labels, read_population
from sandbox.scenario.scenario import Scenario, load_scenario
from sandbox.scenario.scenario_faults import column_of
from sandbox.scenario.settings import SOCIETY_SETTINGS, Society
from sandbox.seeding import stream
from sandbox.society.agent import SocialAgent
from sandbox.store.manifest import check_same, circumstances, digest, first_line, scenario_identity
from sandbox.store.run import RunWriter, is_run, open_run

if TYPE_CHECKING:
    from sandbox.world import World

# Up to so many agents are asked whether they have neighbours, before a run starts.
_FEW = 10_000


def read_settings(scenario: str | Scenario, size: int, settings: Mapping[str, Any]) -> tuple[Society, Scenario]:
    """Tell the society's settings from the scenario's, and make both.

    Raises:
        SettingsError: a setting belongs to neither, or cannot be read.
        ScenarioError: the society, or the scenario, cannot work.
    """
    own = {k: v for k, v in settings.items() if k in SOCIETY_SETTINGS}
    # Faults of what was typed come first: they need no scenario.
    registry.make_settings("the society", Society, own).check(size)
    try:
        made = load_scenario(scenario, {k: v for k, v in settings.items() if k not in own})
    except SettingsError as error:
        raise SettingsError(f"{error}; of the society: {', '.join(sorted(SOCIETY_SETTINGS))}") from None
    society = registry.make_settings("the society", Society, {**made.society, **own})
    society.check(size)
    return society, made


@dataclass(frozen=True)
class Origin:
    """Agents that live already: those of a run that is resumed or branched from.

    Attributes:
        path: The run.
        rounds: How many of its rounds are taken over by a branch; None when it is resumed.
        population: As its manifest has it.
        birth_seed: What its agents were born under.
        labels: Of each agent.
        homes: Row and column where each lived when the run began.
        personas: Who each is.
    """

    path: Path
    rounds: int | None
    population: Population
    birth_seed: int
    labels: Sequence[str]
    homes: Sequence[tuple[int, int]]
    personas: Sequence[Persona]


def read_origin(out: Path | None, branch: str | None) -> Origin | None:
    """Find the agents of the run in ``out``, else of the run that ``branch`` names.

    Raises:
        SettingsError: ``branch`` is not ``RUN@ROUNDS``, or its run has not as many rounds.
        RunNotFound: there is no such run.
    """
    rounds = None
    if out is not None and is_run(out):
        run = open_run(out)
    elif branch is not None:
        path_text, _, rounds_text = branch.rpartition("@")
        if not path_text or not rounds_text.isdigit():
            raise SettingsError(f"--from takes RUN@ROUNDS, as runs/first@2; found {branch!r}")
        run, rounds = open_run(path_text), int(rounds_text)
        if rounds > run.rounds:
            raise SettingsError(f"{path_text} has {run.rounds} complete rounds; --from {branch} asks for {rounds}")
    else:
        return None
    rows = run.agents()
    seed: int = run.manifest.get("birth_seed", run.manifest["seed"])
    homes = list(zip(rows["x"].tolist(), rows["y"].tolist(), strict=True))
    return Origin(run.path, rounds, run.manifest["population"], seed, rows["label"].tolist(), homes, run.personas())


def same_agents(origin: Origin | None, population: Population | None, size: int, n_agents: int) -> Origin | None:
    """See that agents which live already suit the society.

    Args:
        origin: As :func:`read_origin` found it.
        population: What is asked for; None leaves it as it is.
        size: Side of the grid.
        n_agents: How many agents there are to be.

    Returns:
        ``origin``; None where there are no agents yet, or it is another run, which is refused when it is opened.

    Raises:
        SettingsError: a branch would need other agents than its run has.
    """
    if origin is None:
        return None
    theirs = len(origin.labels)
    if origin.rounds is None:
        return origin if theirs == n_agents else None
    their_size = open_run(origin.path).manifest["size"]
    if their_size != size or theirs != n_agents:
        raise SettingsError(
            f"{origin.path} has {theirs} agents on a grid of size {their_size}; branch from it with the "
            f"same, not {n_agents} on size {size}"
        )
    if population is not None and read_population(population) != origin.population:
        raise SettingsError(
            f"{origin.path} has the population {origin.population!r}, and a branch goes on with its agents; leave "
            f"population={population!r} out"
        )
    return origin


def deal_people(world: World, n: int) -> tuple[list[Persona], list[str]]:
    """Who each of ``n`` agents is, and its label: those of the run it lives in already, else dealt anew.

    Raises:
        ScenarioError: labels are to come from a column that there is not.
    """
    if world.origin is not None:
        return list(world.origin.personas), list(world.origin.labels)
    people = world.scenario.personas
    rows: list[Persona] = [{}] * n
    if people is not None:
        rows = people.deal(n, stream(world.birth_seed, "personas"))
        if n > len(people.rows):
            world.notes.append(f"{n} agents share the {len(people.rows)} personas of {people.source}")
    population = world.population
    if isinstance(population, str) and population.startswith("column:"):
        column = column_of(population, people)
        return rows, [str(row.get(column) or "unknown") for row in rows]
    return rows, labels(population, n, world.size, stream(world.seed, "labels"))


def settle(
    world: World, dealt: Sequence[str], speakers: Sequence[LanguageModel], personas: Sequence[Persona]
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
        homes = stream(world.birth_seed, "places").sample(slots, len(dealt))
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


def _homes(world: World) -> list[Any] | None:
    """Where agents live already, if they do."""
    if world.origin is None:
        return None
    try:
        return at_positions(world, world.origin.homes)
    except SettingsError:
        if world.origin.rounds is None:
            return None  # another run, which is refused when it is opened
        raise


def at_positions(world: World, positions: Sequence[tuple[int, int]]) -> list[Any]:
    """The places at rows and columns.

    Raises:
        SettingsError: the space has no such place.
    """
    places = {world.space.position_of(place): place for place in world.space.places()}
    missing = [position for position in positions if position not in places]
    if missing:
        raise SettingsError(f"the run has an agent at {missing[0]}, where this society has no place; keep neighborhood")
    return [places[position] for position in positions]


def open_record(
    world: World, command: str, *, resume: bool, branch: str | None, models: Mapping[str, Any]
) -> RunWriter:
    """Open the run's folder: a new one, one to go on with, or one that branches from another.

    Args:
        world: Complete but for its record.
        command: How to repeat the run.
        resume: Go on with the run that is there, if any.
        branch: As it was asked for.
        models: Who speaks through what, as :func:`sandbox.scenario.population.read_models` has it.

    Raises:
        RunExists: another run is there.
        RunLocked: another process writes to it.
    """
    identity = _identity(world, models)
    manifest = {
        "command": command,
        **identity,
        "embedding_dim": world.embedder.dim,
        "notes": world.notes,
        **world.voices.told(),
        "measures": {name: first_line(measure) for name, measure in world.scenario.measures.items()},
        **circumstances(),
    }
    source = None
    if world.origin is not None and world.origin.rounds is not None:
        manifest |= {"from": branch, "birth_seed": world.birth_seed}
        source = (world.origin.path, world.origin.rounds)
    is_new = not is_run(world.path)
    store = RunWriter(world.path, manifest, resume=resume, branch=source)
    try:
        check_same(world.path, store.manifest, identity)
    except RunExists:
        store.close()
        raise
    store.add_agents(
        ((a.index, a.name, a.label, *world.space.position(a)) for a in world.members),
        (a.lm.uri for a in world.members),
        (dict(a.persona) for a in world.members),
    )
    if not is_new:
        prices = {lm.uri: getattr(lm, "prices", None) for lm in (*{a.lm for a in world.members}, world.observer_lm)}
        spent = store.manifest["tokens"].get("usd", 0.0)  # the same request asked twice is paid twice, and kept once
        store.manifest["tokens"] = store.call_counts(prices)
        if "usd" in store.manifest["tokens"]:
            store.manifest["tokens"]["usd"] = max(spent, store.manifest["tokens"]["usd"])
        store.manifest["measures"] = manifest["measures"]  # they may have been added to since
    return store


def _identity(world: World, models: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is: whoever goes on with it must share all of this."""
    speaking = list({id(a.lm): a.lm for a in world.members}.values())
    agents: dict[str, Any] = {
        "uri": ",".join(lm.uri for lm in speaking),
        "fingerprint": ",".join(lm.fingerprint for lm in speaking),
    }
    if set(models) != {""}:
        agents["dealt"] = {
            name: given if isinstance(given, float) else str(getattr(given, "uri", given))
            for name, given in models.items()
        }
    found = {
        **scenario_identity(world.scenario),
        "protocol": world.protocol_name,
        "size": world.size,
        "population": world.population,
        "seed": world.seed,
        "models": {
            "agents": agents,
            "observer": {"uri": world.observer_lm.uri, "fingerprint": world.observer_lm.fingerprint},
        },
        "raters": world.rater_names,
        "embedder": world.embedder.name,
        "settings": {**asdict(world.society), "observer_rater": world.observer_rater_name},
    }
    if not world.society.on_grid:
        # A file may have changed under its name.
        links = sorted(tuple(sorted(link)) for link in world.space.G.edges())
        found["network"] = {"nodes": len(world.space.G), "links": len(links), "hash": digest(str(links))}
    return found
