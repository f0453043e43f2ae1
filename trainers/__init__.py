"""Trainer backends: training rows from the record of a society, trainers, and evaluation.

Names are imported when they are first used, so that ``import trainers`` stays quick and loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.lazy_imports import lazy_names

if TYPE_CHECKING:
    from sandbox.typed_settings import above, at_least, between
    from trainers.base import TrainedModel, Trainer, load_trainer
    from trainers.comparison.compare import compare
    from trainers.evaluation.preference_accuracy import compare_pairs, pair_margins
    from trainers.evolution.evolution import Evolution
    from trainers.finetuning.base import FineTuning
    from trainers.finetuning.monitor import MonitoredTrainer
    from trainers.finetuning.ranked import RankedFineTuning
    from trainers.likelihood.tokenization import encode_demonstrations
    from trainers.losses import rrhf_loss, simpo_loss, stable_alignment_loss
    from trainers.rows.build import (
        demonstration_rows,
        preference_rows,
        prompt_rows,
        ranked_rows,
        rows_from,
        unpaired_rows,
    )
    from trainers.rows.files import read_rows, write_rows
    from trainers.rows.format import row_statistics
    from trainers.rows.kinds import RowKind
    from trainers.rows.split import split_rows
    from trainers.settings import TrainingSettings

_HOMES = {
    "RowKind": "trainers.rows.kinds",
    "TrainedModel": "trainers.base",
    "Trainer": "trainers.base",
    "TrainingSettings": "trainers.settings",
    "load_trainer": "trainers.base",
    "rrhf_loss": "trainers.losses",
    "simpo_loss": "trainers.losses",
    "stable_alignment_loss": "trainers.losses",
    "compare": "trainers.comparison.compare",
    "compare_pairs": "trainers.evaluation.preference_accuracy",
    "pair_margins": "trainers.evaluation.preference_accuracy",
    "read_rows": "trainers.rows.files",
    "write_rows": "trainers.rows.files",
    "row_statistics": "trainers.rows.format",
    "demonstration_rows": "trainers.rows.build",
    "preference_rows": "trainers.rows.build",
    "prompt_rows": "trainers.rows.build",
    "ranked_rows": "trainers.rows.build",
    "rows_from": "trainers.rows.build",
    "unpaired_rows": "trainers.rows.build",
    "split_rows": "trainers.rows.split",
    "Evolution": "trainers.evolution.evolution",
    "FineTuning": "trainers.finetuning.base",
    "RankedFineTuning": "trainers.finetuning.ranked",
    "MonitoredTrainer": "trainers.finetuning.monitor",
    "encode_demonstrations": "trainers.likelihood.tokenization",
    "above": "sandbox.typed_settings",
    "at_least": "sandbox.typed_settings",
    "between": "sandbox.typed_settings",
}

__all__ = [
    "Evolution",
    "FineTuning",
    "MonitoredTrainer",
    "RankedFineTuning",
    "RowKind",
    "TrainedModel",
    "Trainer",
    "TrainingSettings",
    "above",
    "at_least",
    "between",
    "compare",
    "compare_pairs",
    "demonstration_rows",
    "encode_demonstrations",
    "load_trainer",
    "pair_margins",
    "preference_rows",
    "prompt_rows",
    "ranked_rows",
    "read_rows",
    "row_statistics",
    "rows_from",
    "rrhf_loss",
    "simpo_loss",
    "split_rows",
    "stable_alignment_loss",
    "unpaired_rows",
    "write_rows",
]

__getattr__ = lazy_names(__name__, _HOMES)
