"""Seals each checkpoint with what our side of a training knows, so that nothing is lost with a killed process."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from trainers.finetuning.checkpoints import Checkpoints
from trainers.finetuning.monitor import TrainingMonitor
from trainers.finetuning.probes import HeldoutAccuracy


class CheckpointCallback(TrainerCallback):
    """Adds the history, and what is known of held-out pairs, to each checkpoint.

    Args:
        checkpoints: Of the training.
        watch: Holds the history.
        heldout: If a training may stop early.
    """

    def __init__(self, checkpoints: Checkpoints, watch: TrainingMonitor, heldout: HeldoutAccuracy | None) -> None:
        self._checkpoints, self._watch, self._heldout = checkpoints, watch, heldout

    def restore(self) -> None:
        """Take up where the last checkpoint left off."""
        if self._checkpoints.last is not None:
            self._watch.history[:] = self._checkpoints.history()
            if self._heldout is not None:
                self._heldout.load(self._checkpoints.last)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Complete a checkpoint that transformers has written."""
        if state.is_world_process_zero:
            if self._heldout is not None:
                self._heldout.save(self._checkpoints.folder / f"checkpoint-{state.global_step}")
            self._checkpoints.seal(state.global_step, self._watch.history)
