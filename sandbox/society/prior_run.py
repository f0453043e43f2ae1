"""The run that a society takes its agents from: the one that is resumed, or the one that it branches from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SettingsError
from sandbox.scenario.personas import Persona
from sandbox.scenario.population import Population, read_population
from sandbox.store.population import ADDED
from sandbox.store.run import Run, is_run, open_run


@dataclass(frozen=True)
class PriorRun:
    """The agents of a run that is resumed or branched from.

    Attributes:
        path: The run folder.
        rounds: Number of its rounds that a branch takes over; None when the run is resumed.
        population: Labels of its agents, as recorded in its manifest.
        birth_seed: Seed of what its agents began with.
        labels: Label of each agent that it began with.
        homes: Row and column of the cell of each when the run began.
        personas: Persona of each.
        names: Name of each agent that ever lived, by number.
        living: Label of each agent that lives after the rounds that are taken over, by number.
        has_states: Whether states are recorded in the rounds that are taken over.
    """

    path: Path
    rounds: int | None
    population: Population
    birth_seed: int
    labels: Sequence[str]
    homes: Sequence[tuple[int, int]]
    personas: Sequence[Persona]
    names: Mapping[int, str]
    living: Mapping[int, str]
    has_states: bool = False


def find_prior_run(out: Path | None, branch: str | None) -> PriorRun | None:
    """Read the agents of the run in ``out``, or else of the run that ``branch`` names.

    Raises:
        SettingsError: ``branch`` is not ``RUN@ROUNDS``, or its run has fewer complete rounds.
        RunNotFound: the run that ``branch`` names does not exist.
    """
    rounds = None
    if out is not None and is_run(out):
        run = open_run(out)
    elif branch is not None:
        run, rounds = read_branch(branch)
    else:
        return None
    rows, changes = run.agents(), run.changes()
    founders = len(rows) - sum(one.change == ADDED for one in changes)
    living = dict(enumerate(rows["label"].tolist()[:founders]))
    for one in changes:
        if one.round < (run.rounds if rounds is None else rounds):
            living = {**living, one.agent: one.label}
            if one.change != ADDED:
                del living[one.agent]
    names = dict(enumerate(rows["name"].tolist()))
    rows = rows[:founders]
    seed: int = run.manifest.get("birth_seed", run.manifest["seed"])
    homes = list(zip(rows["x"].tolist(), rows["y"].tolist(), strict=True))
    return PriorRun(
        run.path, rounds, run.manifest["population"], seed, rows["label"].tolist(), homes,
        run.personas()[:founders], names, living, run.has_states(rounds),
    )  # fmt: skip


def read_branch(branch: str, *, asker: str = "--from") -> tuple[Run, int]:
    """Read ``RUN@ROUNDS``: the run, and the number of its rounds that a branch takes over.

    Args:
        branch: The text.
        asker: The option or command that takes it, for messages.

    Raises:
        SettingsError: it is not that, or the run has fewer complete rounds.
        RunNotFound: the run does not exist.
    """
    path_text, _, rounds_text = branch.rpartition("@")
    if not path_text or not rounds_text.isdecimal():
        raise SettingsError(f"{asker} takes RUN@ROUNDS, for example runs/first@2; found {branch!r}")
    run, rounds = open_run(path_text), int(rounds_text)
    if rounds > run.rounds:
        raise SettingsError(f"{path_text} has {run.rounds} complete rounds; {asker} {branch} asks for {rounds}")
    return run, rounds


def check_prior_run(
    prior: PriorRun | None, population: Population | None, shape: tuple[int, int], n_agents: int
) -> PriorRun | None:
    """Check that the agents of a prior run fit the society.

    Args:
        prior: The result of :func:`find_prior_run`.
        population: Population asked for; None keeps that of the prior run.
        shape: Rows and columns of the grid; of a network, its size twice.
        n_agents: Number of agents of the society.

    Returns:
        ``prior``; or None where there is none, or where it has another number of agents and is to be resumed (opening it
        is then refused).

    Raises:
        SettingsError: a branch asks for other agents than its run has.
    """
    if prior is None:
        return None
    n_prior = len(prior.labels)
    if prior.rounds is None:
        return prior if n_prior == n_agents else None
    about = open_run(prior.path).manifest
    before = tuple(about.get("settings", {}).get(name) or about["size"] for name in ("rows", "columns"))
    if before != shape or n_prior != n_agents:
        was, now = (f"size {of[0]}" if of[0] == of[1] else f"{of[0]}x{of[1]} cells" for of in (before, shape))
        add = f"--set agents={n_prior}"
        if before != shape:
            add = f"--size {before[0]}" if before[0] == before[1] else f"--rows {before[0]} --columns {before[1]}"
        raise SettingsError(
            f"{prior.path} has {n_prior} agents on a grid of {was}; branch from it with the same, not {n_agents} on {now}: "
            f"add {add}"
        )
    if population is not None and read_population(population) != prior.population:
        raise SettingsError(
            f"{prior.path} has the population {prior.population!r}, and a branch keeps its agents; leave out "
            f"population={population!r}"
        )
    return prior
