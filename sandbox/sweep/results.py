"""What a sweep leaves in its folder: a run for each point of the grid and seed, ``sweep.json`` and ``sweep.csv``.

``sweep.json`` (schema 1) has the keys command, scenario, rounds, seeds, grid, settings, dimensions, scale; ``points``,
a list of {name, point, n, failed, scores: {measure: {mean, low, high, n}}}; and ``runs``, a list of {name, point, seed,
status, error, rounds, interactions, failed, calls, seconds, scores: {measure: number}}. The measures are the rubric's
dimensions D (mean of the final answers) and D_gain (mean of revision minus draft), and the scenario's own (the last
value). Intervals are Student's t over
seeds, at 95%. What is not known is null. ``status`` is ``done``, also where
the scenario's own stop condition ended the run; ``stopped`` for a run that a cap ended early; or
``failed``. ``sweep.csv`` has a line for each run.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import RunExists, RunLocked, SandboxError
from sandbox.folders import write_json, write_text
from sandbox.metrics.intervals import mean_interval
from sandbox.scenario.scenario import Scenario
from sandbox.store.run import is_run, open_run
from sandbox.sweep.grid import Point, point_name

SCHEMA = 1


@dataclass(frozen=True)
class SweepJob:
    """One society of a sweep.

    Attributes:
        name: Of its folder.
        point: Its values of the grid's keys.
        seed: Keys its random streams.
        path: Its folder.
        scenario: What it talks about.
        settings: All else that :class:`~sandbox.world.World` is told, the point's values among it.
        rounds: How many it runs.
        command: How the sweep is repeated, for the manifest.
    """

    name: str
    point: Point
    seed: int
    path: Path
    scenario: str | Scenario
    settings: Mapping[str, Any]
    rounds: int
    command: str = ""


def is_finished(job: SweepJob) -> bool:
    """Whether the job's folder holds all its rounds."""
    try:
        return is_run(job.path) and _is_whole(job)
    except SandboxError:
        return False  # the run itself will say what is wrong


def _is_whole(job: SweepJob) -> bool:
    run = open_run(job.path)
    return run.rounds >= job.rounds or run.ended


def read_row(job: SweepJob) -> dict[str, Any]:
    """The entry under ``runs`` of a run that did not fail: its measures over the rounds that the job asks for."""
    run = open_run(job.path)
    frame = run.frame()
    frame = frame[frame["round"] < job.rounds]
    scores: dict[str, float | None] = {}
    for dimension in run.dimensions:
        before, after = frame[f"{dimension}_before"], frame[f"{dimension}_after"]
        scores[dimension] = _number(after.fillna(before).mean())
        scores[f"{dimension}_gain"] = _number((after - before).mean())
    told = run.metrics()[: job.rounds]
    for name in run.own_measures:
        scores[name] = next((m[name] for m in reversed(told) if m.get(name) is not None), None)
    return {
        "name": job.name,
        "point": job.point,
        "seed": job.seed,
        "status": "done" if run.rounds >= job.rounds or run.ended else "stopped",
        "error": None,
        "rounds": min(run.rounds, job.rounds),
        "interactions": len(frame),
        "failed": int(frame["error"].notna().sum()),
        "calls": run.manifest["tokens"]["calls"],
        "seconds": run.manifest["seconds"],
        "scores": scores,
    }


def failed_row(job: SweepJob, error: str) -> dict[str, Any]:
    """The entry under ``runs`` of a run that failed."""
    nothing = dict.fromkeys(("rounds", "interactions", "failed", "calls", "seconds"))
    named = {"name": job.name, "point": job.point, "seed": job.seed}
    return {**named, "status": "failed", "error": error, **nothing, "scores": {}}


def summarize(
    points: Sequence[Point], runs: Sequence[Mapping[str, Any]], dimensions: Sequence[str]
) -> list[dict[str, Any]]:
    """The entries under ``points``: the mean of each measure over the seeds of each point, with its interval."""
    found = []
    for point in points:
        theirs = [row for row in runs if row["point"] == point]
        done = [row["scores"] for row in theirs if row["status"] == "done"]
        scores = {}
        for measure in measures(dimensions, runs):
            mean, low, high, n = mean_interval([s[measure] for s in done if s.get(measure) is not None])
            scores[measure] = {"mean": _number(mean), "low": _number(low), "high": _number(high), "n": n}
        failed = sum(row["status"] == "failed" for row in theirs)
        found.append({"name": point_name(point), "point": point, "n": len(done), "failed": failed, "scores": scores})
    return found


def measures(dimensions: Sequence[str], runs: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """The measures of a sweep over a rubric with these dimensions, and what else its runs measure."""
    named = [name for dimension in dimensions for name in (dimension, f"{dimension}_gain")]
    return list(dict.fromkeys([*named, *(name for row in runs for name in row["scores"])]))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


@contextmanager
def claimed(out: Path, header: Mapping[str, Any]) -> Iterator[None]:
    """Hold a sweep's folder for this process.

    Raises:
        RunExists: it holds a run, or a sweep over another scenario or with other settings.
        RunLocked: another process holds it.
    """
    from filelock import FileLock, Timeout

    if is_run(out):
        raise RunExists(f"{out} holds a run, not a sweep; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / "sweep.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunLocked(f"another process is sweeping in {out}; wait for it, or choose another --out") from None
    try:
        if (out / "sweep.json").exists():
            _check_same(out, header)
        else:
            # Before the first run, so that a stopped sweep is known for what it is.
            write_json(out / "sweep.json", {**header, "points": [], "runs": []})
        yield
    finally:
        lock.release()


def _check_same(out: Path, header: Mapping[str, Any]) -> None:
    kept = json.loads((out / "sweep.json").read_text(encoding="utf-8"))
    for name in ("schema", "scenario", "settings"):
        if kept.get(name) != header[name]:
            raise RunExists(
                f"{out} holds another sweep: its {name} is {kept.get(name)!r}, not {header[name]!r}. Grid, seeds and "
                "rounds may change; for the rest choose another --out"
            )


def write_sweep(out: Path, result: Mapping[str, Any]) -> None:
    """Write ``sweep.json`` and ``sweep.csv``."""
    write_json(out / "sweep.json", result)
    write_text(out / "sweep.csv", _as_csv(result))


def _as_csv(result: Mapping[str, Any]) -> str:
    scored = measures(result["dimensions"], result["runs"])
    plain = ["seed", "status", "rounds", "interactions", "failed", "calls", "seconds"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *result["grid"], *plain, *scored, "error"])
    for row in result["runs"]:
        point = [row["point"][key] for key in result["grid"]]
        scores = [row["scores"].get(name) for name in scored]
        writer.writerow([row["name"], *point, *(row[name] for name in plain), *scores, row["error"]])
    return text.getvalue()
