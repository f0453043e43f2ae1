"""Runs societies over a grid of settings and seeds: each in its own folder, with isolated failures, resumable."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.errors import RunExists, SettingsError
from sandbox.folders import locked
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import full_uri, resolve
from sandbox.parallel import Workers, check_workers, run_jobs
from sandbox.preview.dry_run import models_of
from sandbox.scenario.scenario import Scenario
from sandbox.society.kept import repeated_by_command
from sandbox.store.run import is_run
from sandbox.sweep.grid import Point, expand_grid, point_name
from sandbox.sweep.results import (
    SCHEMA,
    SweepJob,
    failed_row,
    is_finished,
    read_row,
    start_sweep,
    summarize,
    write_sweep,
)


def run_sweep(
    scenario: str | Scenario,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    seeds: int | Sequence[int] = 5,
    rounds: int = 2,
    out: str | Path,
    workers: Workers | None = None,
    command: str = "",
    on_start: Callable[[int, int], None] | None = None,
    on_run: Callable[[Mapping[str, Any]], None] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Run a society for each point of a grid and each seed; an interrupted sweep resumes.

    Args:
        scenario: As for :class:`~sandbox.world.World`.
        grid: Values for keywords of the world, settings of the society or of the scenario; text is converted to the
            type of the setting. Every combination is a point.
        seeds: Number of seeds, from 0; or a list of seeds.
        rounds: Rounds of each run.
        out: Folder of the sweep. Finished runs in it are not repeated, others are resumed.
        workers: Number of processes, or ``ray``; by default this process if the models of agents are local, else one
            process per core.
        command: Command that repeats the sweep, for the record.
        on_start: Callback, receives the number of runs and of finished ones, after all checks.
        on_run: Callback, receives the entry under ``runs`` of each run that ends.
        **settings: Settings of all runs; as for the world.

    Returns:
        The content of ``sweep.json``; see :mod:`sandbox.sweep.results`.

    Raises:
        SettingsError: the grid or a setting is invalid; the message lists all faults, and no run was started.
        RunExists: ``out`` holds a sweep over another scenario or with other settings.
        RunLocked: another process is sweeping in ``out``.
    """
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    points, shared, rubric = expand_grid(scenario, grid or {}, settings, seeds=chosen, rounds=rounds)
    workers = _default_workers(shared, points) if workers is None else workers
    check_workers(workers)
    objects = [name for name, value in shared.items() if not _is_plain(value)]
    if workers != 1 and objects:
        raise SettingsError(
            f"{', '.join(objects)} cannot be passed to other processes as objects; give URIs, or workers=1"
        )
    out, dimensions = Path(out), [dimension.name for dimension in rubric.dimensions]
    header = {
        "schema": SCHEMA,
        "command": command,
        "scenario": scenario if isinstance(scenario, str) else scenario.name,
        "rounds": rounds,
        "seeds": chosen,
        "grid": {key: list(dict.fromkeys(point[key] for point in points)) for key in grid or {}},
        "settings": {name: _plain(value) for name, value in shared.items()},
        "dimensions": dimensions,
        "scale": rubric.scale,
    }
    jobs = [
        SweepJob(name, point, seed, (out / name).absolute(), scenario, {**shared, **point}, rounds, command)
        for point in points
        for seed in chosen
        for name in [point_name({**point, "seed": seed})]
    ]
    if is_run(out):
        raise RunExists(f"{out} holds a run, not a sweep; choose another --out")
    with locked(out / "sweep.lock"):
        start_sweep(out, header)
        rows = {job.name: read_row(job) for job in jobs if is_finished(job)}
        if on_start is not None:
            on_start(len(jobs), len(rows))
        try:
            for job, row, death in run_jobs(run_one, [j for j in jobs if j.name not in rows], workers=workers):
                rows[job.name] = failed_row(job, death) if death else row
                if on_run is not None:
                    on_run(rows[job.name])
        finally:
            _held.clear()
        runs = [rows[job.name] for job in jobs]
        result = {**header, "points": summarize(points, runs, dimensions), "runs": runs}
        write_sweep(out, result)
    return result


# The models of the last run in this process. The next run mostly uses the same; models are loaded once as long as
# something refers to them.
_held: dict[str, LanguageModel] = {}


def run_one(job: SweepJob) -> dict[str, Any]:
    """Run one society, and return its entry under ``runs``; a failure becomes part of the entry."""
    from sandbox.world import World

    try:
        uris = {full_uri(model) for model in models_of(job.settings) if isinstance(model, str)}
        for uri in set(_held) - uris:
            del _held[uri]  # before the next is loaded: memory may not hold both
        world = World(job.scenario, seed=job.seed, out=job.path, resume=True, command=job.command, **job.settings)
        _held.update({lm.uri: lm for lm in (*(agent.lm for agent in world.members), world.observer_lm)})
        with closing(world), repeated_by_command():
            world.run(job.rounds)
        return read_row(job)
    except Exception as error:  # the boundary: a failed run becomes data, and the others continue
        return failed_row(job, f"{type(error).__name__}: {error}")


def _default_workers(settings: Mapping[str, Any], points: Sequence[Point]) -> int:
    models = [model for point in points for model in models_of({**settings, **point})]
    if not all(isinstance(model, str) for model in models):
        return 1
    kinds = [registry.load("models", kind) for kind in {resolve(model)[0] for model in models}]
    return (os.cpu_count() or 1) if all(hasattr(kind, "agenerate") for kind in kinds) else 1


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, str | int | float | Path)


def _plain(value: Any) -> Any:
    """A setting as plain JSON types; a model or rater object by its name."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    return str(getattr(value, "uri", getattr(value, "name", value)))
