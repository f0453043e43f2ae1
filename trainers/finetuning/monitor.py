"""Monitoring of a training: its history, its progress bar, and detection of a diverged loss.

Names of metrics are in :mod:`trainers.finetuning.metric_names`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Sampler
from transformers import TrainerCallback

from sandbox.errors import TrainingDiverged
from sandbox.progress import Progress, progress, silent
from trainers.finetuning.metric_names import SHOWN, TRL_NAMES
from trainers.finetuning.sampler import LengthGrouped


class Probe(Protocol):
    """A measurement that is taken at some steps of a training."""

    def at(self, step: int) -> Mapping[str, float]:
        """Metrics measured after a step; empty if there are none."""
        ...


class TrainingMonitor(TrainerCallback):
    """Records the history of a training, and shows its progress inside its ``with`` block.

    Args:
        what: Name of the training, beside the bar.
        quiet: Show no progress.
        names: Names that the trainer logs -> names in the history, added to ``TRL_NAMES``.

    Attributes:
        history: One record per logged step.
        probes: Further measurements; their metrics are added to the records.
    """

    def __init__(self, what: str, *, quiet: bool, names: Mapping[str, str] | None = None) -> None:
        self.history: list[dict[str, float]] = []
        self.probes: list[Probe] = []
        self._names = {**TRL_NAMES, **(names or {})}
        self._what, self._quiet = what, quiet
        self._show: Progress = silent
        self._open = ExitStack()
        self._note = ""
        self._tokens, self._since = 0.0, time.monotonic()

    def __enter__(self) -> TrainingMonitor:
        return self

    def __exit__(self, *error: Any) -> bool:
        return bool(self._open.__exit__(*error))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock and the bar, at the step from which a resumed training continues."""
        quiet = self._quiet or not state.is_world_process_zero
        self._show = self._open.enter_context(progress(self._what, state.max_steps, quiet=quiet))
        if state.global_step:
            self._show(state.global_step, "resuming")
        self._since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the bar by one step."""
        self._show(1, self._note)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Record what was logged in a step. Logs without a loss, such as the final summary, are ignored."""
        if not logs or "loss" not in logs:
            return
        record = {self._names.get(name, name): float(value) for name, value in logs.items() if _is_number(value)}
        now, total = time.monotonic(), record.pop("num_tokens", 0.0)
        # TRL counts tokens from the start, MonitoredTrainer since the last log; only TRL counts generated ones.
        read = record.pop("tokens_read", total - self._tokens)
        record["tokens_per_s"] = read / max(now - self._since, 1e-9)
        self._tokens, self._since = total, now
        if not self.history:
            self._record_step_0()
        for probe in self.probes:
            record.update(probe.at(state.global_step))
        self.history.append({"step": state.global_step, **record})
        self._note = ", ".join(f"{name} {record[name]:.3f}" for name in SHOWN if name in record)

    def _record_step_0(self) -> None:
        """Record step 0 if held-out pairs were measured then; the record has no loss."""
        begun: dict[str, float] = {}
        for probe in self.probes:
            begun.update(probe.at(0))
        if any(name.startswith("heldout") for name in begun):
            self.history.append({"step": 0, "epoch": 0.0, **begun})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class MonitoredTrainer:
    """Mixin for trainers of transformers: counts answers and tokens, seeds the row order, stops at a diverged loss.

    The order of rows depends only on the seed and the epoch, so that a training resumed from a checkpoint, or run in
    several processes, uses the same rows.
    """

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Run a training step and check its loss.

        Raises:
            TrainingDiverged: the loss is NaN or infinite.
        """
        inputs = args[1] if len(args) > 1 else kwargs["inputs"]
        counts = torch.tensor(count_answers(inputs), dtype=torch.float64)
        self._counted: Tensor = getattr(self, "_counted", torch.zeros(3, dtype=torch.float64)) + counts
        loss = super().training_step(*args, **kwargs)  # type: ignore[misc]
        if not math.isfinite(float(loss)):
            state, arguments = self.state, self.args  # type: ignore[attr-defined]
            raise TrainingDiverged(
                f"the loss became {float(loss)} in step {state.global_step + 1} of {state.max_steps}; try "
                f"--set learning_rate={arguments.learning_rate / 10:g}"
                + (" or --set dtype=float32" if arguments.bf16 else "")
            )
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean length of answers and the tokens read since the last log, over all devices."""
        if "loss" in logs and hasattr(self, "_counted"):
            answers, answer_tokens, tokens = self.sum_over_devices(self._counted)
            if answers:
                logs |= {"answer_tokens": answer_tokens / answers, "tokens_read": tokens}
            self._counted = torch.zeros(3, dtype=torch.float64)
        super().log(logs, start_time)  # type: ignore[misc]

    def sum_over_devices(self, sums: Tensor) -> list[float]:
        """Add up the sums of all devices. Takes shape [n], returns n numbers."""
        mine = sums.to(self.args.device).float()[None]  # type: ignore[attr-defined]
        return list(self.accelerator.gather(mine).sum(dim=0).tolist())  # type: ignore[attr-defined]

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Sampler[int] | None:
        arguments, state = self.args, self.state  # type: ignore[attr-defined]
        if arguments.train_sampling_strategy != "group_by_length":
            sampler: Sampler[int] | None = super()._get_train_sampler(*args, **kwargs)  # type: ignore[misc]
            return sampler
        rows = args[0] if args else self.train_dataset  # type: ignore[attr-defined]
        a_step = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        # The epoch is not taken from set_epoch, which a loader that skips the rows of a resumed training does not forward.
        return LengthGrouped(rows["length"], a_step, arguments.seed, lambda: math.floor((state.epoch or 0) + 1e-6))


def count_answers(inputs: Any) -> tuple[int, int, int]:
    """Count the answers of a batch, their tokens, and all its tokens; zeros for an unknown kind of batch.

    Args:
        inputs: A batch of our trainers (see :class:`trainers.likelihood.collation.Collator`) or of TRL's.
    """
    if not isinstance(inputs, Mapping):
        return 0, 0, 0  # GRPO: a list of prompts; its answers are not generated yet
    if "model" in inputs:
        return inputs["model"]["n_answers"], len(inputs["model"]["answer_owner"]), inputs["num_tokens"]
    if "chosen_labels" in inputs:
        labels = [inputs[f"{side}_labels"] for side in ("chosen", "rejected")]
        read = sum(int(inputs[f"{side}_attention_mask"].sum()) for side in ("chosen", "rejected"))
        return sum(map(len, labels)), sum(int((one != -100).sum()) for one in labels), read
    if "completion_mask" in inputs:
        mask = inputs["completion_mask"]
        return len(mask), int(mask.sum()), int(inputs["attention_mask"].sum())
    if "labels" in inputs:
        answers = inputs["labels"] != -100
        read = inputs["attention_mask"].sum() if "attention_mask" in inputs else inputs["input_ids"].numel()
        return len(answers), int(answers.sum()), int(read)
    return 0, 0, 0


def summarize_history(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means of all recorded metrics over the last epoch, and the number of steps."""
    if not history:
        return {}
    last = history[-1]
    begin = math.ceil(last["epoch"] - 1e-6) - 1
    records = [record for record in history if record["epoch"] > begin]
    skipped = ("step", "epoch", "learning_rate", "grad_norm")
    means: dict[str, float] = {"steps": int(last["step"])}
    for name in dict.fromkeys(name for record in records for name in record):
        if name not in skipped:
            given = [record[name] for record in records if name in record]
            means[name] = sum(given) / len(given)
    return means
