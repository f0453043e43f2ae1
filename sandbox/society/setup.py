"""How a society begins: its settings are read, its agents find their homes, and its record is opened.

Everything that can be refused is refused here, before the run's folder is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import SettingsError
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.personas import Persona
from sandbox.scenario.population import Population, column_of, labels, read_population
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import SOCIETY_SETTINGS, SocietySettings
from sandbox.seeding import keyed_rng
from sandbox.store.run import is_run, open_run
from sandbox.typed_settings import make_settings

if TYPE_CHECKING:
    from sandbox.society.context import EngineContext


def resolve_settings(
    scenario: str | Scenario, size: int, settings: Mapping[str, Any]
) -> tuple[SocietySettings, Scenario]:
    """Tell the society's settings from the scenario's, and make both.

    Raises:
        SettingsError: a setting belongs to neither, or cannot be read.
        ScenarioError: the society, or the scenario, cannot work.
    """
    own = {k: v for k, v in settings.items() if k in SOCIETY_SETTINGS}
    # Faults of what was typed come first: they need no scenario.
    make_settings("the society", SocietySettings, own).check(size)
    try:
        made = load_scenario(scenario, {k: v for k, v in settings.items() if k not in own})
    except SettingsError as error:
        raise SettingsError(f"{error}; of the society: {', '.join(sorted(SOCIETY_SETTINGS))}") from None
    society = make_settings("the society", SocietySettings, {**made.society, **own})
    society.check(size)
    return society, made


@dataclass(frozen=True)
class PriorRun:
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


def find_prior_run(out: Path | None, branch: str | None) -> PriorRun | None:
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
    return PriorRun(run.path, rounds, run.manifest["population"], seed, rows["label"].tolist(), homes, run.personas())


def check_prior_run(
    origin: PriorRun | None, population: Population | None, size: int, n_agents: int
) -> PriorRun | None:
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


def assign_people(world: EngineContext, n: int) -> tuple[list[Persona], list[str]]:
    """Who each of ``n`` agents is, and its label: those of the run it lives in already, else dealt anew.

    Raises:
        ScenarioError: labels are to come from a column that there is not.
    """
    if world.origin is not None:
        return list(world.origin.personas), list(world.origin.labels)
    people = world.scenario.personas
    rows: list[Persona] = [{}] * n
    if people is not None:
        rows = people.deal(n, keyed_rng(world.birth_seed, "personas"))
        if n > len(people.rows):
            world.notes.append(f"{n} agents share the {len(people.rows)} personas of {people.source}")
    population = world.population
    if isinstance(population, str) and population.startswith("column:"):
        column = column_of(population, people)
        return rows, [str(row.get(column) or "unknown") for row in rows]
    return rows, labels(population, n, world.size, keyed_rng(world.seed, "labels"))
