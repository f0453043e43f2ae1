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

import dataclasses
import functools
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.embedders.base import load_embedder
from sandbox.errors import RunExists, SandboxError, SettingsError
from sandbox.models.catalog import resolve
from sandbox.parallel import Workers, check_workers, run_in_subprocess, run_jobs
from sandbox.typed_settings import make_settings
from trainers.base import RowKind, load_trainer
from trainers.comparison.budgets import budgets_of
from trainers.comparison.memory import peak_memory_mib
from trainers.comparison.summary import SCHEMA, summary, write_comparison
from trainers.rows.build import rows_from
from trainers.rows.files import read_rows, write_rows
from trainers.rows.format import row_statistics


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is held equal between trainers.

    Attributes:
        base: URI of the model that all begin with.
        tokens: The budget: a prompt counts with each of its answers, each time they are trained on. None for three
            passes over the ranked rows.
        steps: The budget in steps instead.
        questions: A file of questions to evaluate on; by default the scenario's held-out ones.
        n_questions: Only the first so many of them.
        scenario: Brings the rubric, and the held-out questions.
        judge: Who rates: see :class:`~trainers.evaluation.evaluation.Evaluation`.
        embedder: For the ``values`` judge.
        samples: Answers to each question.
        max_tokens: Length of an answer at most.
        pairs: A file of preferences for the preference accuracy, if any.
        n_pairs: Only the first so many of them.
    """

    base: str
    tokens: int | None = None
    steps: int | None = None
    questions: str | None = None
    n_questions: int | None = None
    scenario: str = "value_alignment"
    judge: str = "values"
    embedder: str = "minilm"
    samples: int = 1
    max_tokens: int = 48
    pairs: str | None = None
    n_pairs: int | None = None

    def __post_init__(self) -> None:
        faults = [
            f"{name}={value} must be at least 1"
            for name in ("tokens", "steps", "n_questions", "samples", "max_tokens", "n_pairs")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if self.tokens is not None and self.steps is not None:
            faults.append("tokens and steps are both a budget; give one of them")
        if resolve(self.base)[0] != "hf":
            faults.append(f"base {self.base!r} has no weights here that could be trained; give smollm2 or hf:FOLDER")
        if faults:
            raise SettingsError("; ".join(faults))


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
    same: Comparison
    trainer: str | None = None
    seed: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rows: Path | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name


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
        **same: Fields of :class:`Comparison`.

    Returns:
        The content of ``comparison.json``.

    Raises:
        SettingsError: a setting cannot be used; nothing was started.
        RunExists: ``out`` holds a comparison of something else.
    """
    held = make_settings("comparison", Comparison, same)
    check_workers(workers)
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    given = _settings_each(trainers, settings or {})
    folder = Path(out)
    kinds = {name: RowKind(load_trainer(name, **given[name]).accepts) for name in trainers}
    plan = Plan(folder, sources, held, given)
    files, statistics = _write_rows(folder / "rows", sources, {*kinds.values(), RowKind.RANKED})
    budgets = budgets_of(plan, held, given, files, kinds)
    jobs = [Job((folder / "base").absolute(), held)]
    jobs += [
        Job((folder / f"{name}-{seed}").absolute(), held, name, seed, full, files[kinds[name]].absolute())
        for seed in chosen  # so that every trainer has a result before one has several
        for name in trainers
        for full in [{**given[name], "seed": seed, "max_steps": budgets[name]["steps"]}]
    ]
    records = {job.name: record for job in jobs if (record := _finished(job)) is not None}
    if on_start is not None:
        on_start(len(jobs), len(records))
    _embedder(held.embedder)  # one that is not there is told before anything is trained
    for job, record, death in run_jobs(do, [job for job in jobs if job.name not in records], workers=workers):
        if record is None:  # nobody is left to write it
            record = {"status": "failed", "error": str(death)}
            job.folder.mkdir(parents=True, exist_ok=True)
            _write(job.folder / "result.json", record)
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


def _settings_each(trainers: Sequence[str], settings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The settings of each trainer, checked.

    Raises:
        SettingsError: a trainer is named twice, has no such setting, or cannot be held to a budget.
    """
    if not trainers or len(set(trainers)) < len(trainers):
        raise SettingsError(f"name trainers to compare, each once; found {', '.join(trainers) or 'none'}")
    found: dict[str, dict[str, Any]] = {}
    for name in trainers:
        kind = registry.load("trainers", name)
        known = [f.name for f in dataclasses.fields(kind.Settings)]
        missing = [needed for needed in ("max_steps", "batch_size", "seed") if needed not in known]
        if missing:
            raise SettingsError(
                f"trainer {name!r} has no setting {' or '.join(missing)}, so it cannot be held to the budget of others"
            )
        mine = {key.removeprefix(f"{name}."): v for key, v in settings.items() if key.startswith(f"{name}.")}
        shared = {key: value for key, value in settings.items() if "." not in key}
        if taken := [key for key in ("max_steps", "epochs", "seed") if key in {**shared, **mine}]:
            raise SettingsError(
                f"{', '.join(taken)} cannot be set: the budget is --tokens or --steps, seeds are --seeds"
            )
        found[name] = {**({"progress": False} if "progress" in known else {}), **shared, **mine}
        make_settings(f"trainer {name!r}", kind.Settings, found[name])
    strangers = [key for key in settings if "." in key and key.partition(".")[0] not in trainers]
    if strangers:
        raise SettingsError(f"{', '.join(strangers)}: not one of the trainers that are compared, {', '.join(trainers)}")
    return found


class Plan:
    """What a folder compares: kept in it, so that nothing else is mixed in, and so that counting is done once.

    Args:
        folder: The comparison's.
        sources: Of the rows.
        held: What is held equal.
        settings: Of each trainer.

    Raises:
        RunExists: something else is compared there.
    """

    def __init__(
        self, folder: Path, sources: Sequence[str | Path], held: Comparison, settings: Mapping[str, Mapping[str, Any]]
    ) -> None:
        ours = {"sources": [str(source) for source in sources], **asdict(held)}
        self._file = folder / "plan.json"
        fresh = {**ours, "settings": {}, "tokens_a_step": {}}
        self.kept: dict[str, Any] = json.loads(self._file.read_text("utf-8")) if self._file.exists() else fresh
        wrong = [f"its {n} is {self.kept.get(n)!r}, not {v!r}" for n, v in ours.items() if self.kept.get(n) != v]
        wrong += [
            f"its settings of {name} are {self.kept['settings'][name]}, not {dict(given)}"
            for name, given in settings.items()
            if self.kept["settings"].get(name, given) != given
        ]
        if wrong:
            raise RunExists(f"{folder} holds another comparison: {'; '.join(wrong)}. Choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        self.kept["settings"] |= {name: dict(given) for name, given in settings.items()}
        self.save()

    def save(self) -> None:
        """Write it, in one step."""
        _write(self._file, self.kept)


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


def _finished(job: Job) -> dict[str, Any] | None:
    """The record of a job that was done before; None where it was not, or where it failed."""
    path = job.folder / "result.json"
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record if record["status"] == "done" else None


def do(job: Job) -> dict[str, Any]:
    """Train and evaluate, and give the job's record; a failure is part of the record.

    A model that was trained before, by a process that died later, is not trained again.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        record = {"status": "done"}
        if job.trainer is not None:
            ended = run_in_subprocess(train, job)
            record |= ended.result if ended.death is None else {"status": "failed", "error": ended.death}
        if record["status"] == "done":
            with _calm():
                record |= _evaluated(job)
    except Exception as error:  # the boundary that turns a failed evaluation into data, so that the others go on
        record = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    _write(job.folder / "result.json", record)
    return record


@contextmanager
def _calm() -> Iterator[None]:
    """Keep back what these libraries will rename some day: it is nothing a user can mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\.")
        yield


def train(job: Job) -> dict[str, Any]:
    """Train, in a process that does nothing else, and say what it took; a failure is part of what is said."""
    try:
        with _calm():
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
    _write(kept, record)
    return record


@functools.cache
def _embedder(name: str) -> Any:
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
            embedder=_embedder(same.embedder), samples=same.samples, adversarial=adversarial, max_tokens=same.max_tokens,
        )  # fmt: skip
        result = evaluation.run()
        _write(job.folder / f"{name}.json", result)
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


def _questions(same: Comparison) -> list[str] | None:
    from sandbox.data_files import read_questions
    from sandbox.scenario.loading import load_scenario

    asked = read_questions(same.questions) if same.questions is not None else None
    if same.n_questions is None:
        return asked
    return list(asked if asked is not None else load_scenario(same.scenario, {}).heldout)[: same.n_questions]


def _write(path: Path, content: Mapping[str, Any]) -> None:
    from trainers.evaluation.evaluation import plain_json

    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(plain_json(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
