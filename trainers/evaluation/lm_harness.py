"""Benchmarks by name: EleutherAI's lm-evaluation-harness, on the same model objects that are used elsewhere.

The harness is an extra: ``pip install -e '.[tasks]'``. A task is a name known to it, whose data it downloads,
or a folder of your own tasks (YAML files with their data), which needs no network.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sandbox.errors import SettingsError, ToolNotFound
from sandbox.models.base import LanguageModel
from trainers.evaluation.likelihood_model import LikelihoodModel

_NORMAL = 1.959963984540054


def check_tasks(tasks: Sequence[str], *, quiet: bool = True) -> list[str]:
    """The tasks' names, before anything is measured.

    Args:
        tasks: Names, or folders.
        quiet: Keep back what the harness prints.

    Raises:
        ToolNotFound: the harness is not installed.
        SettingsError: there is no such task.
    """
    _check_harness()
    with _hushed(quiet):
        _, wanted = _manager(tasks)
    return wanted


def _check_harness() -> None:
    if find_spec("lm_eval") is None:
        raise ToolNotFound(
            "--tasks needs lm-evaluation-harness, which is not installed: pip install -e '.[tasks]' "
            "(in a checkout: pip install -c constraints.txt -e '.[tasks]')"
        )


def run_tasks(
    models: Sequence[LanguageModel], tasks: Sequence[str], *, names: Sequence[str], limit: int | None = None,
    seed: int = 0, quiet: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Run tasks on models.

    Args:
        models: Models with local weights.
        tasks: Names, or folders.
        names: Names of the models.
        limit: Maximum number of items per task.
        seed: Seed of the harness.
        quiet: Suppress the output of the harness.

    Returns:
        ``tasks`` (which), ``harness`` (its version) and ``models``: of each its ``results``, a list of {task, metric,
        filter, mean, low, high}: 95%, from the harness' own standard errors.

    Raises:
        ToolNotFound: the harness is not installed.
        SettingsError: a task is unknown.
        ModelNotFound: a model has no local weights.
    """
    _check_harness()
    readers = [LikelihoodModel(model) for model in models]
    with _hushed(quiet):
        import lm_eval
        from lm_eval.models.huggingface import HFLM

        manager, wanted = _manager(tasks)
        found = []
        for name, reader in zip(names, readers, strict=True):
            model = HFLM(pretrained=reader.model, tokenizer=reader.tokenizer, batch_size=8)
            result = lm_eval.simple_evaluate(
                model=model, tasks=wanted, task_manager=manager, limit=limit, random_seed=seed, numpy_random_seed=seed,
                torch_random_seed=seed, fewshot_random_seed=seed, bootstrap_iters=0, log_samples=False,
            )  # fmt: skip
            found.append({"name": name, "results": _results(result["results"])})
    from sandbox.store.manifest import package_version

    return {"tasks": wanted, "limit": limit, "harness": package_version("lm-eval"), "models": found}


def _manager(tasks: Sequence[str]) -> tuple[Any, list[str]]:
    """What finds tasks, and their names."""
    from lm_eval.tasks import TaskManager

    folders = [task for task in tasks if Path(task).is_dir()]
    manager = TaskManager(include_path=folders or None)
    wanted = [name for task in tasks for name in (_in_folder(task) if task in folders else [task])]
    unknown = [name for name in wanted if not manager.match_tasks([name])]
    if unknown:
        raise SettingsError(
            f"the harness knows no task {', '.join(map(repr, unknown))}; give names of its tasks, or a folder with "
            "tasks of your own"
        )
    return manager, wanted


def _in_folder(folder: str) -> list[str]:
    """Names of the tasks that a folder's YAML files define.

    Raises:
        SettingsError: it defines none.
    """
    import re

    texts = [path.read_text(encoding="utf-8") for path in sorted(Path(folder).rglob("*.yaml"))]
    names = [found.group(1) for text in texts if (found := re.search(r"^task:\s*['\"]?([\w-]+)", text, re.MULTILINE))]
    if not names:
        raise SettingsError(f"{folder} holds no task: expected .yaml files with a line 'task: NAME'")
    return names


def _results(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for task, metrics in found.items():
        for key, value in metrics.items():
            metric, comma, filter_ = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = metrics.get(f"{metric}_stderr,{filter_}")
            half = _NORMAL * error if isinstance(error, int | float) else math.nan
            rows.append(
                {"task": task, "metric": metric, "filter": filter_, "mean": float(value), "low": value - half,
                 "high": value + half}
            )  # fmt: skip
    return rows


@contextlib.contextmanager
def _hushed(quiet: bool) -> Iterator[None]:
    if not quiet:
        yield
        return
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(level)
