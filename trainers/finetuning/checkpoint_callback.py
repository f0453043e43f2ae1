"""Completes each checkpoint of transformers with the history and the state of early stopping."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from trainers.finetuning.checkpoints import Checkpoints
from trainers.finetuning.early_stopping import EarlyStopping
from trainers.finetuning.monitor import TrainingMonitor


class CheckpointCallback(TrainerCallback):
    """Adds the history and the state of early stopping to each checkpoint.

    Args:
        checkpoints: Checkpoints of the training.
        watch: Monitor with the history.
        heldout: Early stopping, if used.
    """

    def __init__(self, checkpoints: Checkpoints, watch: TrainingMonitor, heldout: EarlyStopping | None) -> None:
        self._checkpoints, self._watch, self._heldout = checkpoints, watch, heldout

    def restore(self) -> None:
        """Restore the state of the last checkpoint."""
        if self._checkpoints.last is not None:
            self._watch.history[:] = self._checkpoints.history()
            if self._heldout is not None:
                self._heldout.load(self._checkpoints.last)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Complete a checkpoint that transformers has written."""
        folder = self._checkpoints.folder / f"checkpoint-{state.global_step}"
        if self._heldout is not None and (state.is_world_process_zero or self._heldout.is_sharded):
            self._heldout.save(folder)
        if state.is_world_process_zero:
            self._checkpoints.mark_complete(state.global_step, self._watch.history)
