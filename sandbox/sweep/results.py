"""Results of a sweep in its folder: a run for each point of the grid and seed, ``sweep.json`` and ``sweep.csv``.

``FIELDS`` says what ``sweep.json`` holds; ``sweep.csv`` has a line per run.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.folders import check_same_identity, write_json, write_text
from sandbox.metrics.intervals import mean_interval
from sandbox.scenario.scenario import Scenario
from sandbox.store.run import is_run, open_run
from sandbox.sweep.grid import Point, point_name
from sandbox.text_cleaning import plain_cell

SCHEMA = 1
# What the keys of sweep.json mean; names within an object, or the objects of a list, follow a dot.
FIELDS: dict[str, str] = {
    "schema": "Version of the format.",
    "command": "Command that repeats the sweep.",
    "scenario": "Name of the scenario.",
    "rounds": "Number of rounds of each run.",
    "seeds": "Seeds.",
    "grid": "Values of each setting that is varied.",
    "settings": "Settings that all runs share.",
    "dimensions": "Dimensions of the rubric.",
    "scale": "Highest rating of the rubric.",
    "points": "One object for each point of the grid.",
    "points.name": "Name of the point: its settings.",
    "points.point": "Its values of the grid's settings.",
    "points.n": "Number of its runs that are done.",
    "points.failed": "Number of its runs that failed.",
    "points.scores": "Mean over seeds of each measure, with a 95% interval (Student's t): mean, low, high, n.",
    "runs": "One object for each run.",
    "runs.name": "Name of its folder.",
    "runs.point": "Its values of the grid's settings.",
    "runs.seed": "Its seed.",
    "runs.status": "done, also if the scenario's stop condition ended it; stopped, if a cap ended it; or failed.",
    "runs.error": "Why it failed; null if it did not.",
    "runs.rounds": "Rounds completed.",
    "runs.interactions": "Number of interactions.",
    "runs.failed": "Number of those that failed.",
    "runs.calls": "Number of model calls.",
    "runs.seconds": "Time spent, in seconds.",
    "runs.scores": (
        "Measures: D, the mean of the final answers on a dimension; D_gain, the mean of revision minus draft; and the last "
        "value of the scenario's own. Unknown values are null."
    ),
}


@dataclass(frozen=True)
class SweepJob:
    """One run of a sweep.

    Attributes:
        name: Name of its folder.
        point: Its values of the grid's keys.
        seed: Seed of the world.
        path: Run folder.
        scenario: Scenario of the sweep.
        settings: Other arguments of :class:`~sandbox.world.World`, including the values of the point.
        rounds: Number of rounds.
        command: Command that repeats the sweep, for the manifest.
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
    """Whether the folder of the job contains all its rounds."""
    try:
        return is_run(job.path) and _is_whole(job)
    except SandboxError:
        return False  # running it reports the fault


def _is_whole(job: SweepJob) -> bool:
    run = open_run(job.path)
    return run.rounds >= job.rounds or run.ended


def read_row(job: SweepJob) -> dict[str, Any]:
    """The entry under ``runs`` of a run that did not fail: its metrics over the rounds of the job."""
    run = open_run(job.path)
    frame = run.frame()
    frame = frame[frame["round"] < job.rounds]
    scores: dict[str, float | None] = {}
    for dimension in run.dimensions:
        before, after = frame[f"{dimension}_before"], frame[f"{dimension}_after"]
        scores[dimension] = _number(after.fillna(before).mean())
        scores[f"{dimension}_gain"] = _number((after - before).mean())
    metrics = run.metrics()[: job.rounds]
    for name in run.own_measures:
        scores[name] = next((m[name] for m in reversed(metrics) if m.get(name) is not None), None)
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
    """Names of the measures of a sweep: those of the dimensions, and the own measures of its runs."""
    named = [name for dimension in dimensions for name in (dimension, f"{dimension}_gain")]
    return list(dict.fromkeys([*named, *(name for row in runs for name in row["scores"])]))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def start_sweep(out: Path, header: Mapping[str, Any]) -> None:
    """Record the identity of a sweep in its folder, or check it against the recorded one.

    Raises:
        RunExists: the folder holds another sweep.
    """
    path = out / "sweep.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        ours = {name: header[name] for name in ("schema", "scenario", "settings")}
        advice = "Grid, seeds and rounds may change; for anything else choose another --out"
        check_same_identity(out, kept, ours, what="sweep", advice=advice)
    else:
        # Written before the first run, so that an interrupted sweep is recognised.
        write_json(path, {**header, "points": [], "runs": []})


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
        cells = [row["name"], *point, *(row[name] for name in plain), *scores, row["error"]]
        writer.writerow([plain_cell(cell) for cell in cells])
    return text.getvalue()
