"""Upbringing by weights: an adapter for each label, learnt from what agents of the label were brought up to say.

Memories reach an answer only where a remembered question is near the one that is asked. An adapter learnt from the same
answers reaches every answer, takes about a minute for a model of 135 million parameters, and shares the base's weights in
memory with those of other labels.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import ScenarioError, nearest, require_packages
from sandbox.folders import draft_folder
from sandbox.models.catalog import full_uri
from sandbox.models.local.bundled import BUNDLED, bundled_source
from sandbox.models.local.fingerprint import cache_dir, file_sha256
from sandbox.models.local.hf import fast_dtype
from sandbox.scenario.scenario import Scenario
from trainers.base import load_trainer
from trainers.rows.format import make_rows
from trainers.rows.kinds import RowKind

if TYPE_CHECKING:
    from datasets import Dataset

# A minute of training; pairs beyond them are left to the agents' memories.
MAX_PAIRS = 72
# One pass at a high learning rate: what is learnt is a way of answering, not the answers. The precision is chosen by machine.
SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "learning_rate": 1e-3,
    "batch_size": 4,
    "max_length": 384,
    "heldout_share": 0.0,
}


def upbringing_rows(scenario: Scenario, label: str) -> Dataset:
    """Demonstrations of what agents of a label say, in the prompts that they are asked with.

    Of more than :data:`MAX_PAIRS` pairs every second is used, or every third, and so on.

    Args:
        scenario: Brings the upbringing, the roles and the prompts.
        label: A label with upbringing.

    Raises:
        ScenarioError: the scenario brings up no agents of that label.
    """
    pairs = scenario.upbringing.get(label)
    if not pairs:
        known = [name for name, of in scenario.upbringing.items() if of]
        raise ScenarioError(
            f"scenario {scenario.name!r} has no upbringing for the label {label!r}.{nearest(label, known)} Labels: "
            f"{', '.join(known) or 'none'}"
        )
    rows = []
    for number, pair in enumerate(pairs[:: -(-len(pairs) // MAX_PAIRS)]):
        system = scenario.prompts.answer_system.format(
            name=f"Agent {number + 1}", persona=scenario.roles.get(label, "")
        )
        asked = scenario.prompts.answer.format(recalled="", heard="", question=pair.question)
        rows.append(
            {
                "prompt": [{"role": "system", "content": system}, {"role": "user", "content": asked}],
                "completion": [{"role": "assistant", "content": pair.answer}],
                "rating": float(scenario.rubric.scale),
                "part": "imitation",
                "question": pair.question,
                "scale": float(scenario.rubric.scale),
            }
        )
    return make_rows(RowKind.DEMONSTRATIONS, rows)


def train_upbringing(
    scenario: Scenario,
    base: str,
    out: str | Path,
    *,
    labels: Sequence[str],
    seed: int = 0,
    on_label: Callable[[str], Any] | None = None,
    **settings: Any,
) -> dict[str, str]:
    """Train an adapter for each label; one that is there already is not trained again.

    Adapters of the bundled model are kept in the cache folder too, so that the next run copies them.

    Args:
        scenario: Brings the upbringing.
        base: URI of the model that the adapters stand on.
        out: Folder of the adapters, each in a folder of its label's name.
        labels: The labels; those without upbringing keep the base.
        seed: Seed of the trainings.
        on_label: Receives each label whose training begins.
        **settings: Settings of the trainer ``sft``, in place of :data:`SETTINGS`. Without ``dtype``, a new adapter is trained
            in the precision that this machine multiplies fastest, and a finished one keeps its own.

    Returns:
        URI of the model of each label.

    Raises:
        RunExists: a folder holds an adapter that was trained with other settings.
    """
    models = {}
    given = {**SETTINGS, "seed": seed, **settings}
    for label in labels:
        if not scenario.upbringing.get(label):
            models[label] = base
            continue
        target, rows = Path(out) / label, upbringing_rows(scenario, label)
        given["dtype"] = settings.get("dtype") or _trained_dtype(target) or _fast_dtype(given)
        kept = _kept_adapter(base, rows, given)
        if kept is not None and not target.exists() and (kept / "training.json").is_file():
            _copy(kept, target)
        if not (target / "training.json").is_file() and on_label is not None:
            on_label(label)
        trainer: Any = load_trainer("sft", **given)
        models[label] = trainer.train(rows, base=base, out=target, resume=True).uri
        if kept is not None and not kept.exists():
            with contextlib.suppress(OSError):  # a cache that cannot be written only costs time
                _copy(target, kept)
    return models


def _fast_dtype(settings: dict[str, Any]) -> str:
    """Precision that is faster on the device of the training."""
    require_packages("upbringing by adapters", "torch")
    import torch

    accelerator = (
        None if settings.get("device") == "cpu" else torch.accelerator.current_accelerator(check_available=True)
    )
    return fast_dtype("cpu" if accelerator is None else accelerator.type)


def _trained_dtype(target: Path) -> str | None:
    """Precision of a finished training, on this machine or another; None if there is none."""
    try:
        return str(json.loads((target / "training.json").read_text(encoding="utf-8"))["settings"]["dtype"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a damaged folder is told by the trainer


def _kept_adapter(base: str, rows: Dataset, settings: dict[str, Any]) -> Path | None:
    """Folder in the cache of an adapter of the bundled model; None for other bases, which may move or change."""
    if full_uri(base) != f"hf:{BUNDLED}":
        return None
    learnt_by = {name: value for name, value in settings.items() if name != "progress"}
    key = json.dumps([base, rows.to_list(), learnt_by, file_sha256(bundled_source())], sort_keys=True)
    return cache_dir() / "upbringing" / hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def _copy(source: Path, target: Path) -> None:
    """Copy a folder atomically."""
    with draft_folder(target) as parent:
        try:
            shutil.copytree(source, parent / target.name).rename(target)
        except OSError:
            if not target.exists():  # else another process was faster
                raise
