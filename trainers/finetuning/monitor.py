"""What is seen of a training while it runs: its history, its progress, and the moment its loss is lost.

All trainers report in one vocabulary. A word that a trainer cannot know is absent, never made up:

======================= ================================================================================================
``loss``                What is minimised, in the trainer's own unit.
``reward_margin``       Reward of the better answers less that of the worse. In nats per token for trainers on ranked
                        rows; times beta, in the trainer's implicit reward, for dpo, kto and orpo.
``preference_accuracy`` Share of pairs whose better answer has the higher reward, in 0..1.
``kl``                  Divergence of the model from the base it began as, on trained answers, in nats per token.
``answer_tokens``       Mean length of the answers trained on, in tokens, their end token included.
``tokens_per_s``        Tokens read in training, prompts included, a second of the whole training's clock.
======================= ================================================================================================

Beside these stand ``step``, ``epoch``, ``learning_rate``, ``grad_norm`` and whatever a trainer logs of its own.
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
from trainers.likelihood.collation import LengthGrouped

# TRL's names for what all trainers record under one.
NAMES = {
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "preference_accuracy",
    "mean_token_accuracy": "token_accuracy",
    "completions/mean_length": "answer_tokens",
}


class Probe(Protocol):
    """Something measured at some steps of a training."""

    def at(self, step: int) -> Mapping[str, float]:
        """What was measured after a step; empty where nothing was."""
        ...


class TrainingMonitor(TrainerCallback):
    """Keeps the history of a training, and shows its progress while it is entered.

    Args:
        what: The training's name beside the bar.
        quiet: Show nothing.
        names: The trainer's own names for what it logs, beside ``NAMES``.

    Attributes:
        history: A record for each logged step, in the words above.
        probes: What else is measured.
    """

    def __init__(self, what: str, *, quiet: bool, names: Mapping[str, str] | None = None) -> None:
        self.history: list[dict[str, float]] = []
        self.probes: list[Probe] = []
        self._names = {**NAMES, **(names or {})}
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
        """Begin the clock and the bar, at the step where a resumed training goes on."""
        quiet = self._quiet or not state.is_world_process_zero
        self._show = self._open.enter_context(progress(self._what, state.max_steps, quiet=quiet))
        if state.global_step:
            self._show(state.global_step, "going on")
        self._since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar by a step."""
        self._show(1, self._note)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Keep what was logged in a step; the summary at the end has no loss of its own."""
        if not logs or "loss" not in logs:
            return
        record = {self._names.get(name, name): float(value) for name, value in logs.items() if _is_number(value)}
        now, total = time.monotonic(), record.pop("num_tokens", 0.0)
        # TRL counts tokens from the beginning, we since the last record; generation is told by TRL alone.
        read = record.pop("tokens_read", total - self._tokens)
        record["tokens_per_s"] = read / max(now - self._since, 1e-9)
        self._tokens, self._since = total, now
        for probe in self.probes:
            record.update(probe.at(state.global_step))
        self.history.append({"step": state.global_step, **record})
        shown = ("loss", "reward_margin", "preference_accuracy", "heldout_accuracy")
        self._note = ", ".join(f"{name} {record[name]:.3f}" for name in shown if name in record)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class MonitoredTrainer:
    """For trainers of transformers: counts answers and tokens, draws rows by the seed, and stops at a lost loss.

    Rows come in an order that depends on the seed and the epoch alone, so that a training that goes on from a
    checkpoint, or runs in several processes, sees the same ones.
    """

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Take a step as the trainer does, and look at its loss.

        Raises:
            TrainingDiverged: it is NaN or infinite.
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
        """Add the answers' mean length, and the tokens read since the last log, over all devices."""
        if "loss" in logs and hasattr(self, "_counted"):
            answers, answer_tokens, tokens = self.over_devices(self._counted)
            if answers:
                logs |= {"answer_tokens": answer_tokens / answers, "tokens_read": tokens}
            self._counted = torch.zeros(3, dtype=torch.float64)
        super().log(logs, start_time)  # type: ignore[misc]

    def over_devices(self, sums: Tensor) -> list[float]:
        """Sums of all devices together. Takes shape [n], gives n numbers."""
        mine = sums.to(self.args.device).float()[None]  # type: ignore[attr-defined]
        return list(self.accelerator.gather(mine).sum(dim=0).tolist())  # type: ignore[attr-defined]

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Sampler[int] | None:
        arguments, state = self.args, self.state  # type: ignore[attr-defined]
        if arguments.train_sampling_strategy != "group_by_length":
            sampler: Sampler[int] | None = super()._get_train_sampler(*args, **kwargs)  # type: ignore[misc]
            return sampler
        rows = args[0] if args else self.train_dataset  # type: ignore[attr-defined]
        a_step = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        # Not told by set_epoch: a loader that skips what a resumed training has seen does not pass that on.
        return LengthGrouped(rows["length"], a_step, arguments.seed, lambda: math.floor((state.epoch or 0) + 1e-6))


def count_answers(inputs: Any) -> tuple[int, int, int]:
    """Answers of a batch, their tokens, and all tokens read with them; zeros where a batch is none of those known.

    Args:
        inputs: Of a trainer: ours (see :class:`trainers.likelihood.collation.Collator`) or one of TRL's.
    """
    if not isinstance(inputs, Mapping):
        return 0, 0, 0  # GRPO is given prompts; its answers are still to come
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
    """Means over the last epoch of whatever was recorded, and the number of steps."""
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
