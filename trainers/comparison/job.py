"""One training of a comparison and its evaluation, each training in a process of its own.

A job knows no other: what they come to together is not known here.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.embedders.base import load_embedder
from sandbox.folders import write_json
from sandbox.parallel import run_in_subprocess
from trainers.base import load_trainer
from trainers.comparison.memory import peak_memory_mib
from trainers.comparison.settings import ComparisonSettings
from trainers.rows.build import rows_from
from trainers.rows.files import read_rows
from trainers.rows.kinds import RowKind


@dataclass(frozen=True)
class Job:
    """One training and its evaluation; without a trainer, the evaluation of the base.

    Attributes:
        folder: Where the model and the results go.
        same: What is held equal.
        trainer: Its name; None for the base.
        seed: Of the training.
        settings: Of the trainer, the seed and the steps among them.
        rows: The file of its rows.
    """

    folder: Path
    same: ComparisonSettings
    trainer: str | None = None
    seed: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rows: Path | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name


def finished_record(job: Job) -> dict[str, Any] | None:
    """The record of a job that was done before; None where it was not, or where it failed."""
    path = job.folder / "result.json"
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record if record["status"] == "done" else None


def run_job(job: Job) -> dict[str, Any]:
    """Train and evaluate, and give the job's record; a failure is part of the record.

    A model that was trained before, by a process that died later, is not trained again.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        record = {"status": "done"}
        if job.trainer is not None:
            ended = run_in_subprocess(train_job, job)
            record |= ended.result if ended.death is None else {"status": "failed", "error": ended.death}
        if record["status"] == "done":
            with _quiet_warnings():
                record |= _evaluated(job)
    except Exception as error:  # the boundary that turns a failed evaluation into data, so that the others go on
        record = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    write_json(job.folder / "result.json", record, indent=1)
    return record


@contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Keep back what these libraries will rename some day: it is nothing a user can mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\.")
        yield


def train_job(job: Job) -> dict[str, Any]:
    """Train, in a process that does nothing else, and say what it took; a failure is part of what is said."""
    try:
        with _quiet_warnings():
            return _trained(job)
    except Exception as error:  # the boundary that turns a failed training into data, so that the others go on
        return {"status": "failed", "error": f"{type(error).__name__}: {error}"}


def _trained(job: Job) -> dict[str, Any]:
    kept = job.folder / "trained.json"
    if kept.exists():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    model = job.folder / "model"
    if model.exists():
        # It is whole, but the process died before it could say what it took.
        import shutil

        shutil.rmtree(model)
    assert job.trainer is not None
    assert job.rows is not None
    trainer, rows = load_trainer(job.trainer, **job.settings), read_rows(job.rows)
    began, began_cpu = time.monotonic(), time.process_time()
    trained = trainer.train(rows, base=job.same.base, out=model)
    record = {
        "seconds": round(time.monotonic() - began, 3),
        "cpu_seconds": round(time.process_time() - began_cpu, 3),
        "memory_mib": round(peak_memory_mib()),
        "metrics": trained.metrics,
    }
    write_json(kept, record, indent=1)
    return record


@functools.cache
def embedder_of_process(name: str) -> Any:
    """One for all evaluations of a process."""
    return load_embedder(name)


def _evaluated(job: Job) -> dict[str, Any]:
    """Scores by question, and hits by pair."""
    from sandbox.models.catalog import load_model
    from trainers.evaluation.evaluation import Evaluation
    from trainers.evaluation.paired_tests import score_by_question

    same = job.same
    uri = same.base if job.trainer is None else f"hf:{job.folder / 'model'}"
    model = load_model(uri)
    record: dict[str, Any] = {"scores": {}}
    for name, adversarial in (("heldout", False), ("adversarial", True)):
        evaluation = Evaluation(
            [model], _questions(same), names=[job.name], scenario=same.scenario, judge=same.judge,
            embedder=embedder_of_process(same.embedder), samples=same.samples, adversarial=adversarial,
            max_tokens=same.max_tokens,
        )  # fmt: skip
        result = evaluation.run()
        write_json(job.folder / f"{name}.json", result, indent=1)
        record["answer_tokens" if name == "heldout" else "adversarial_tokens"] = result["models"][0]["tokens_mean"]
        for dimension in result["dimensions"]:
            record["scores"][f"{name} {dimension}"] = score_by_question(result["answers"], dimension)
    if same.pairs is not None:
        from trainers.evaluation.preference_accuracy import pair_margins

        rows = rows_from(same.pairs, RowKind.PREFERENCES)
        rows = rows.select(range(min(len(rows), same.n_pairs or len(rows))))
        margins = pair_margins(uri, rows)
        record["scores"]["preference accuracy"] = {str(i): float(margin > 0) for i, margin in enumerate(margins)}
    return record


def _questions(same: ComparisonSettings) -> list[str] | None:
    from sandbox.data_files import read_questions
    from sandbox.scenario.loading import load_scenario

    asked = read_questions(same.questions) if same.questions is not None else None
    if same.n_questions is None:
        return asked
    return list(asked if asked is not None else load_scenario(same.scenario, {}).heldout)[: same.n_questions]
