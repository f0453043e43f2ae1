"""Comparison of trainers: the same record, budget in tokens and base, over several seeds.

Each training runs in its own process, so that its time and memory can be measured; finished parts are not repeated.
``comparison.json`` contains for each trainer:

* ``scores``: for each measure its ``mean`` over questions (or pairs) and seeds, and ``difference``, the mean minus that of the
  base, paired by question, with a 95% interval over questions and seeds: how far the difference would move with others.
  ``seeds`` are the differences of each seed.
* ``between``: differences between every two trainers, paired by question and seed, with an interval over both and p values
  by Holm's correction.
* with ``rates``, ``learning_rate`` (the one chosen) and ``rates``: the score of each that was tried.
* ``seconds`` (of the clock), ``cpu_seconds`` (of all cores) and ``memory_mib`` (peak resident memory
  of its process): of one training, means over seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError, SettingsError
from sandbox.folders import locked, removed_if_refused, write_json
from sandbox.models.catalog import resolve
from sandbox.models.local.loading import locate
from sandbox.parallel import Workers, check_workers, run_jobs
from sandbox.typed_settings import check_seeds, make_settings
from trainers.base import load_trainer
from trainers.comparison.budgets import token_budgets
from trainers.comparison.job import Job, embedder_of_process, finished_record, run_job
from trainers.comparison.learning_rates import choose_rates, rates_note, tuning_jobs, tuning_questions
from trainers.comparison.plan import ComparisonPlan
from trainers.comparison.settings import ComparisonSettings, settings_of_trainers
from trainers.comparison.summary import SCHEMA, summary, write_comparison
from trainers.evaluation.judges import check_judge
from trainers.rows.build import rows_from
from trainers.rows.files import read_rows, write_rows
from trainers.rows.format import left_out_note, left_out_of, row_statistics
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
    """Train with each trainer on the same record over several seeds, and evaluate the results.

    Args:
        sources: Runs or files of ranked rows; each trainer gets the kind it accepts, made from the same groups.
        trainers: Names of the trainers.
        out: Output folder; finished parts are not repeated, and trainers and seeds may be added.
        seeds: Number of seeds, from 0; or a list of seeds.
        settings: Settings of all trainers, or of one: ``dpo.beta``; text is converted to the type of the setting.
        workers: Number of trainings in parallel, each with an equal share of the cores and followed by its evaluation; or
            ``ray``, on a cluster whose machines share ``out``.
        command: Command that repeats the comparison, for the record.
        on_start: Callback, receives the number of trainings and evaluations and of finished ones, after all checks.
        on_job: Callback, receives the name and the record of each that ends.
        **same: Fields of :class:`ComparisonSettings`.

    Returns:
        The content of ``comparison.json``.

    Raises:
        SettingsError: a setting is invalid; nothing was started.
        RunExists: ``out`` contains another comparison.
        RunLocked: another process writes to ``out``.
    """
    held = make_settings("comparison", ComparisonSettings, same)
    check_workers(workers)
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    check_seeds(chosen)
    given = settings_of_trainers(trainers, settings or {})
    check_judge(held.judge)
    locate(resolve(held.base)[1])
    embedder_of_process(held.embedder)  # a missing embedder is reported before any training
    folder = Path(out)
    kinds = {name: RowKind(load_trainer(name, **given[name]).accepts) for name in trainers}
    base = Job((folder / "base").absolute(), held)
    with (
        removed_if_refused(folder, lambda: finished_record(base) is not None or any(folder.rglob("trained.json"))),
        locked(folder / "comparison.lock", keep=False),
    ):
        plan = ComparisonPlan(folder, sources, held, given)
        files, statistics = _write_rows(folder / "rows", sources, {*kinds.values(), RowKind.RANKED}, held)
        budgets = token_budgets(plan, held, given, files, kinds)
        full = {name: {**given[name], "seed": chosen[0], "max_steps": budgets[name]["steps"]} for name in trainers}
        rows_of = {name: files[kinds[name]].absolute() for name in trainers}
        asked, warning = tuning_questions(held, files[RowKind.RANKED]) if held.rates else ([], "")
        tried = tuning_jobs(folder, held, full, rows_of, asked)
        jobs = [base]
        jobs += [
            Job((folder / f"{name}-{seed}").absolute(), held, name, seed, {**full[name], "seed": seed}, rows_of[name])
            for seed in chosen  # all trainers with the first seed come first
            for name in trainers
        ]
        records = {job.name: record for job in jobs if (record := finished_record(job)) is not None}
        if on_start is not None:
            on_start(len(tried) + len(jobs), sum(finished_record(job) is not None for job in tried) + len(records))
        rates = choose_rates(tried, workers=workers, on_job=on_job)
        jobs = [replace(job, settings={**job.settings, **_rate(rates.get(str(job.trainer)))}) for job in jobs]
        for job, record, death in run_jobs(run_job, [job for job in jobs if job.name not in records], workers=workers):
            if record is None:  # the process that would have written it is gone
                record = {"status": "failed", "error": str(death)}
                job.folder.mkdir(parents=True, exist_ok=True)
                write_json(job.folder / "result.json", record, indent=1)
            records[job.name] = record
            if on_job is not None:
                on_job(job.name, record)
            if job.name == base.name and record["status"] == "failed":  # nothing can be compared with it
                raise SandboxError(f"the base {held.base} could not be evaluated: {record['error']}")
        header = {
            "schema": SCHEMA,
            "command": command,
            "sources": [str(source) for source in sources],
            **asdict(held),
            "seeds": chosen,
            "rows": {kind.value: numbers for kind, numbers in statistics.items()},
        }
        about = {name: budgets[name] | {"kind": kinds[name].value} | rates.get(name, {}) for name in trainers}
        result = summary(header, about, records)
        for entry in result["trainers"]:
            if entry["name"] in rates:
                entry["notes"][:0] = [rates_note(entry), *([warning] if warning else [])]
        write_comparison(result, folder)
        return result


def _rate(chosen: Mapping[str, Any] | None) -> dict[str, float]:
    return {} if chosen is None else {"learning_rate": chosen["learning_rate"]}


def _write_rows(
    folder: Path, sources: Sequence[str | Path], kinds: set[RowKind], held: ComparisonSettings
) -> tuple[dict[RowKind, Path], dict[RowKind, dict[str, Any]]]:
    """Write the rows of each kind to files that all trainings read; existing files are kept."""
    files, statistics = {}, {}
    rated = {name: given for name in ("reward", "dimension") if (given := getattr(held, name)) is not None}
    # Files of rows do not record what was left out.
    memo = folder / "left_out.json"
    left_out: dict[str, dict[str, int]] = json.loads(memo.read_text(encoding="utf-8")) if memo.exists() else {}
    for kind in sorted(kinds):
        files[kind] = folder / f"{kind.value}.jsonl"
        if not files[kind].exists():
            rows = rows_from(list(sources), kind, **rated)
            left_out[kind.value] = left_out_of(rows)
            if len(rows) == 0:
                note = left_out_note(left_out[kind.value])
                raise SettingsError(
                    f"{', '.join(map(str, sources))} give no {kind.value} rows{f' ({note})' if note else ''}; run more rounds"
                )
            write_rows(rows, files[kind])
            write_json(memo, left_out)
        statistics[kind] = row_statistics(read_rows(files[kind]))
        if left_out.get(kind.value):
            statistics[kind]["left_out"] = left_out[kind.value]
    return files, statistics
