"""Trainer backends: what learns from the record of a society, and the rows it learns from.

Names are imported when they are first used, so that ``import trainers`` stays quick and loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.base import RowKind, TrainedModel, Trainer, TrainingSettings, load_trainer
    from trainers.losses import rrhf_loss, stable_alignment_loss
    from trainers.pairs import compare_pairs, pair_margins
    from trainers.row_files import read_rows, write_rows
    from trainers.row_format import row_statistics
    from trainers.rows import (
        demonstration_rows,
        preference_rows,
        prompt_rows,
        ranked_rows,
        rows_from,
        unpaired_rows,
    )
    from trainers.splitting import split_rows

_HOMES = {
    "RowKind": "trainers.base",
    "TrainedModel": "trainers.base",
    "Trainer": "trainers.base",
    "TrainingSettings": "trainers.base",
    "load_trainer": "trainers.base",
    "rrhf_loss": "trainers.losses",
    "stable_alignment_loss": "trainers.losses",
    "compare_pairs": "trainers.pairs",
    "pair_margins": "trainers.pairs",
    "read_rows": "trainers.row_files",
    "write_rows": "trainers.row_files",
    "row_statistics": "trainers.row_format",
    "demonstration_rows": "trainers.rows",
    "preference_rows": "trainers.rows",
    "prompt_rows": "trainers.rows",
    "ranked_rows": "trainers.rows",
    "rows_from": "trainers.rows",
    "unpaired_rows": "trainers.rows",
    "split_rows": "trainers.splitting",
}

__all__ = [
    "RowKind",
    "TrainedModel",
    "Trainer",
    "TrainingSettings",
    "compare_pairs",
    "demonstration_rows",
    "load_trainer",
    "pair_margins",
    "preference_rows",
    "prompt_rows",
    "ranked_rows",
    "read_rows",
    "row_statistics",
    "rows_from",
    "rrhf_loss",
    "split_rows",
    "stable_alignment_loss",
    "unpaired_rows",
    "write_rows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trainers' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
