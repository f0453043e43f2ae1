"""A budget of learning rates: each trainer is tried with each, and is compared at the one that its models do best with.

Rates are tried with the first seed and judged on questions of the scenario that are neither held out nor in the rows, so
that no rate is chosen by what trainers are compared on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.errors import SandboxError, SettingsError
from sandbox.parallel import Workers, run_jobs
from sandbox.scenario.loading import load_scenario
from trainers.comparison.job import Job, finished_record, run_job
from trainers.comparison.settings import ComparisonSettings
from trainers.rows.files import read_rows

N_QUESTIONS = 24
_FEWEST = 8


def tuning_questions(held: ComparisonSettings, ranked: Path) -> tuple[list[str], str]:
    """The questions on which rates are judged, and a warning, or ``""``.

    Args:
        held: Settings of the comparison.
        ranked: File of the ranked rows.
    """
    scenario = load_scenario(held.scenario, {})
    heldout = set(scenario.heldout)
    known = [q for q in dict.fromkeys(scenario.questions) if q not in heldout]
    trained = {m["content"] for prompt in read_rows(ranked)["prompt"] for m in prompt if m["role"] == "user"}
    fresh = [q for q in known if q not in trained]
    if len(fresh) >= _FEWEST:
        return fresh[:N_QUESTIONS], ""
    return known[:N_QUESTIONS], (
        f"learning rates were chosen on questions of the rows: the scenario has only {len(fresh)} that are neither in them "
        "nor held out"
    )


def tuning_jobs(
    folder: Path,
    held: ComparisonSettings,
    settings: Mapping[str, Mapping[str, Any]],
    rows: Mapping[str, Path],
    questions: Sequence[str],
) -> list[Job]:
    """A training and its evaluation for each trainer and rate.

    Args:
        folder: Folder of the comparison.
        held: Settings of the comparison, with ``rates``.
        settings: Full settings of each trainer, with the seed and the number of steps.
        rows: File of the rows of each trainer.
        questions: See :func:`tuning_questions`.

    Raises:
        SettingsError: a trainer has a learning rate already.
    """
    fixed = [name for name, given in settings.items() if "learning_rate" in given]
    if held.rates and fixed:
        raise SettingsError(
            f"{', '.join(fixed)}: learning_rate is set, so --rates has nothing to choose; give one of the two"
        )
    return [
        Job(
            (folder / "rates" / f"{name}-{rate:g}").absolute(), held, name, int(given["seed"]),
            {**given, "learning_rate": rate}, rows[name].absolute(), tuple(questions),
        )
        for name, given in settings.items()
        for rate in held.rates
    ]  # fmt: skip


def choose_rates(
    jobs: Sequence[Job], *, workers: Workers, on_job: Callable[[str, Mapping[str, Any]], None] | None = None
) -> dict[str, dict[str, Any]]:
    """Run what is missing, and choose for each trainer the rate with the highest mean score, of equals the lowest.

    Returns:
        For each trainer ``learning_rate`` and ``rates``: the mean score for each rate; None for one that failed.

    Raises:
        SandboxError: a trainer failed with every rate.
    """
    records = {job.folder: record for job in jobs if (record := finished_record(job)) is not None}
    for job, record, death in run_jobs(run_job, [job for job in jobs if job.folder not in records], workers=workers):
        records[job.folder] = record or {"status": "failed", "error": str(death)}
        if on_job is not None:
            on_job(job.name, records[job.folder])
    found: dict[str, dict[str, Any]] = {}
    for job in jobs:
        record = records[job.folder]
        score = None
        if record["status"] == "done":
            score = float(np.mean(list(next(iter(record["scores"].values())).values())))
        found.setdefault(str(job.trainer), {"rates": {}})["rates"][f"{job.settings['learning_rate']:g}"] = score
    for name, entry in found.items():
        known = {float(rate): score for rate, score in entry["rates"].items() if score is not None}
        if not known:
            first = next(r["error"] for job in jobs if job.trainer == name for r in [records[job.folder]])
            raise SandboxError(f"{name} failed with every learning rate; the first: {first}")
        entry["learning_rate"] = max(sorted(known), key=lambda rate: known[rate])
    return found


def rates_note(entry: Mapping[str, Any]) -> str:
    """A sentence on how a trainer's rate was chosen."""
    tried = ", ".join(f"{rate} ({'failed' if s is None else format(s, '.2f')})" for rate, s in entry["rates"].items())
    return f"learning rate {entry['learning_rate']:g}, chosen by scores on other questions among {tried}"
