"""One training of a comparison and its evaluation; each training in its own process.

Knows no other jobs.
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
from trainers.base import check_trained, load_trainer
from trainers.comparison.memory import peak_memory_mib
from trainers.comparison.settings import ComparisonSettings
from trainers.rows.build import pairs_from
from trainers.rows.files import read_rows


@dataclass(frozen=True)
class Job:
    """One training and its evaluation; without a trainer, the evaluation of the base.

    Attributes:
        folder: Folder of the model and the results.
        same: Settings of the comparison.
        trainer: Name of the trainer; None for the base.
        seed: Seed of the training.
        settings: Settings of the trainer, including seed and steps.
        rows: File of its rows.
        questions: Where a learning rate is tried, the questions that it is judged on, in place of all others and of pairs.
    """

    folder: Path
    same: ComparisonSettings
    trainer: str | None = None
    seed: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rows: Path | None = None
    questions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name


def finished_record(job: Job) -> dict[str, Any] | None:
    """The record of a finished job; None if it is not finished or failed."""
    path = job.folder / "result.json"
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record if record["status"] == "done" else None


def run_job(job: Job) -> dict[str, Any]:
    """Train and evaluate, and return the record of the job; a failure is part of the record.

    A model that was already trained, by a process that died later, is not trained again.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        record = {"status": "done"}
        if job.trainer is not None:
            ended = run_in_subprocess(train_job, job)
            record |= ended.result if ended.crash is None else {"status": "failed", "error": ended.crash}
        if record["status"] == "done":
            with _quiet_warnings():
                record |= _evaluated(job)
    except Exception as error:  # the boundary: a failed evaluation becomes data, and the others continue
        record = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    write_json(job.folder / "result.json", record, indent=1)
    return record


@contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Suppress deprecation warnings of libraries, on which users cannot act."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\.")
        yield


def train_job(job: Job) -> dict[str, Any]:
    """Train, in a separate process, and return time and memory; a failure is part of the result."""
    try:
        with _quiet_warnings():
            return _trained(job)
    except Exception as error:  # the boundary: a failed training becomes data, and the others continue
        return {"status": "failed", "error": f"{type(error).__name__}: {error}"}


def _trained(job: Job) -> dict[str, Any]:
    kept = job.folder / "trained.json"
    if kept.exists():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    model = job.folder / "model"
    if model.exists():
        # Complete, but the process died before it could report time and memory.
        import shutil

        shutil.rmtree(model)
    assert job.trainer is not None
    assert job.rows is not None
    trainer, rows = load_trainer(job.trainer, **job.settings), read_rows(job.rows)
    began, began_cpu = time.monotonic(), time.process_time()
    trained = check_trained(trainer.name, trainer.train(rows, base=job.same.base, out=model))
    record = {
        "seconds": round(time.monotonic() - began, 3),
        "cpu_seconds": round(time.process_time() - began_cpu, 3),
        "memory_mib": round(peak_memory_mib()),
        "metrics": trained.metrics,
        "notes": list(getattr(trained, "notes", ())),
    }
    write_json(kept, record, indent=1)
    return record


@functools.cache
def embedder_of_process(name: str) -> Any:
    """The embedder, shared by all evaluations of a process."""
    return load_embedder(name)


def _evaluated(job: Job) -> dict[str, Any]:
    """Scores by question, and correct pairs."""
    from sandbox.models.catalog import load_model, trained_uri
    from trainers.evaluation.evaluation import Evaluation
    from trainers.evaluation.paired_tests import score_by_question

    same = job.same
    uri = same.base if job.trainer is None else trained_uri(same.base, job.folder / "model")
    model = load_model(uri)
    record: dict[str, Any] = {"scores": {}}
    plans = (("heldout", False),) if job.questions else (("heldout", False), ("adversarial", True))
    for name, adversarial in plans:
        evaluation = Evaluation(
            [model], list(job.questions) or _questions(same), names=[job.name], scenario=same.scenario, judge=same.judge,
            embedder=embedder_of_process(same.embedder), samples=same.samples, adversarial=adversarial,
            max_tokens=same.max_tokens, controls=None if job.trainer is None and not adversarial else False,
        )  # fmt: skip
        result = evaluation.run()
        write_json(job.folder / f"{name}.json", result, indent=1)
        record["alarms"] = [*record.get("alarms", ()), *result["alarms"]]
        record["answer_tokens" if name == "heldout" else "adversarial_tokens"] = result["models"][0]["tokens_mean"]
        for dimension in result["dimensions"]:
            record["scores"][f"{name} {dimension}"] = score_by_question(result["answers"], dimension)
    if same.pairs is not None and not job.questions:
        from trainers.evaluation.preference_accuracy import pair_margins, share_right

        rows = pairs_from(same.pairs)
        rows = rows.select(range(min(len(rows), same.n_pairs or len(rows))))
        margins = pair_margins(uri, rows)
        record["scores"]["preference accuracy"] = {str(i): share_right(margin) for i, margin in enumerate(margins)}
    return record


def _questions(same: ComparisonSettings) -> list[str] | None:
    from sandbox.data_files import read_questions
    from sandbox.scenario.loading import load_scenario

    asked = read_questions(same.questions) if same.questions is not None else None
    if same.n_questions is None:
        return asked
    return list(asked if asked is not None else load_scenario(same.scenario, {}).heldout)[: same.n_questions]
