"""Trainers against each other: the same record, the same budget in tokens, the same base, several seeds.

Each training runs in a fresh process, so that its time and its memory are its own; what is finished in the folder is
not done again. ``comparison.json`` holds for each trainer:

* ``scores``: for each measure its ``mean`` over questions (or pairs) and seeds, and ``difference``, the same less the
  base's, paired by question, with a 95% interval over questions. Seeds are averaged before: the interval says how far
  the difference would move with other questions, ``seeds`` how far it moves with another seed.
* ``seconds`` (of the clock), ``cpu_seconds`` (of all cores) and ``memory_mib`` (the most that its process had
  resident): of one training, means over seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError, SettingsError
from sandbox.folders import write_json
from sandbox.parallel import Workers, check_workers, run_jobs
from sandbox.typed_settings import make_settings
from trainers.base import load_trainer
from trainers.comparison.budgets import token_budgets
from trainers.comparison.job import Job, embedder_of_process, finished_record, run_job
from trainers.comparison.plan import ComparisonPlan
from trainers.comparison.settings import ComparisonSettings, settings_of_trainers
from trainers.comparison.summary import SCHEMA, summary, write_comparison
from trainers.rows.build import rows_from
from trainers.rows.files import read_rows, write_rows
from trainers.rows.format import row_statistics
from trainers.rows.kinds import RowKind


def compare(
    sources: Sequence[str | Path],
    trainers: Sequence[str],
    *,
    out: str | Path,
    seeds: int | Sequence[int] = 3,
    settings: Mapping[str, str] | None = None,
    workers: Workers = 1,
    command: str = "",
    on_start: Callable[[int, int], None] | None = None,
    on_job: Callable[[str, Mapping[str, Any]], None] | None = None,
    **same: Any,
) -> dict[str, Any]:
    """Train each trainer on the same record over several seeds, and measure what came of it.

    Args:
        sources: Runs or files of ranked rows; each trainer gets the kind it accepts, made from the same groups.
        trainers: Names.
        out: The comparison's folder; what is finished there is not done again, and trainers and seeds may be added.
        seeds: How many, from 0; or which.
        settings: For every trainer that is named, or as ``dpo.beta`` for one; text is read as the setting's type.
        workers: How many trainings go on side by side, each with its share of the cores and followed by its
            evaluation; or ``ray``, on a cluster whose machines see ``out``.
        command: How to repeat it, for the record.
        on_start: Told, once all is checked, how many trainings and evaluations there are and how many are finished.
        on_job: Told of each as it ends: its name and its record.
        **same: Fields of :class:`ComparisonSettings`.

    Returns:
        The content of ``comparison.json``.

    Raises:
        SettingsError: a setting cannot be used; nothing was started.
        RunExists: ``out`` holds a comparison of something else.
    """
    held = make_settings("comparison", ComparisonSettings, same)
    check_workers(workers)
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    given = settings_of_trainers(trainers, settings or {})
    folder = Path(out)
    kinds = {name: RowKind(load_trainer(name, **given[name]).accepts) for name in trainers}
    plan = ComparisonPlan(folder, sources, held, given)
    files, statistics = _write_rows(folder / "rows", sources, {*kinds.values(), RowKind.RANKED})
    budgets = token_budgets(plan, held, given, files, kinds)
    jobs = [Job((folder / "base").absolute(), held)]
    jobs += [
        Job((folder / f"{name}-{seed}").absolute(), held, name, seed, full, files[kinds[name]].absolute())
        for seed in chosen  # so that every trainer has a result before one has several
        for name in trainers
        for full in [{**given[name], "seed": seed, "max_steps": budgets[name]["steps"]}]
    ]
    records = {job.name: record for job in jobs if (record := finished_record(job)) is not None}
    if on_start is not None:
        on_start(len(jobs), len(records))
    embedder_of_process(held.embedder)  # one that is not there is told before anything is trained
    for job, record, death in run_jobs(run_job, [job for job in jobs if job.name not in records], workers=workers):
        if record is None:  # nobody is left to write it
            record = {"status": "failed", "error": str(death)}
            job.folder.mkdir(parents=True, exist_ok=True)
            write_json(job.folder / "result.json", record, indent=1)
        records[job.name] = record
        if on_job is not None:
            on_job(job.name, record)
    if records["base"]["status"] == "failed":
        raise SandboxError(f"the base {held.base} could not be evaluated: {records['base']['error']}")
    header = {
        "schema": SCHEMA,
        "command": command,
        "sources": [str(source) for source in sources],
        **asdict(held),
        "seeds": chosen,
        "rows": {kind.value: numbers for kind, numbers in statistics.items()},
    }
    result = summary(header, {name: budgets[name] | {"kind": kinds[name].value} for name in trainers}, records)
    write_comparison(result, folder)
    return result


def _write_rows(
    folder: Path, sources: Sequence[str | Path], kinds: set[RowKind]
) -> tuple[dict[RowKind, Path], dict[RowKind, dict[str, Any]]]:
    """The rows of each kind, as files that all trainings read; those there already are kept."""
    files, statistics = {}, {}
    for kind in sorted(kinds):
        files[kind] = folder / f"{kind.value}.jsonl"
        if not files[kind].exists():
            rows = rows_from(list(sources), kind)
            if len(rows) == 0:
                raise SettingsError(f"{', '.join(map(str, sources))} give no {kind.value} rows; run more rounds")
            write_rows(rows, files[kind])
        statistics[kind] = row_statistics(read_rows(files[kind]))
    return files, statistics
