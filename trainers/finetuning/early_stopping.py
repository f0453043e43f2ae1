"""Early stopping by held-out preferences.

The pairs are measured before the first step and at a few steps. A measurement leaves random numbers and gradients unchanged. It
calls the wrapped model, so that the weights of a sharded model are gathered; every process measures the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from trainers.finetuning.kl_probe import Autocast
from trainers.finetuning.sharding import is_sharded, learning_weights
from trainers.likelihood.answer_nll import Question, answer_nlls, eval_mode


class EarlyStopping(TrainerCallback):
    """Stops a training when the accuracy on held-out preferences no longer improves, and keeps the best weights.

    Args:
        model: The model in training.
        pairs: Held-out prompts, each with a better and a worse answer.
        pad: Padding id.
        every: Steps between two measurements; None measures after every epoch.
        patience: Number of measurements without improvement after which the training stops.
        autocast: Mixed precision of the training.

    Attributes:
        best_step: Step with the highest accuracy, 0 for the base itself; None before the first measurement.
    """

    def __init__(
        self, model: Any, pairs: Sequence[Question], *, pad: int, every: int | None, patience: int,
        autocast: Autocast = nullcontext,
    ) -> None:  # fmt: skip
        self._model, self._pad, self._every, self._patience = model, pad, every, patience
        self._autocast = autocast
        self._pairs = pairs
        self._found: dict[int, dict[str, float]] = {}
        self.best_step: int | None = None
        self._since = 0
        self._best: dict[str, Tensor] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure the base, whose weights are kept if nothing better follows."""
        if state.global_step == 0:
            self._measure(state, control)
            control.should_log = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure at the steps given by ``every``, and after the last one."""
        epoch_ends = abs(state.epoch - round(state.epoch)) < 1e-6
        due = epoch_ends if self._every is None else state.global_step % self._every == 0
        if due or state.global_step == state.max_steps:
            self._measure(state, control)

    def at(self, step: int) -> Mapping[str, float]:
        """``heldout_accuracy`` and ``heldout_margin`` (nats per token), if measured after this step."""
        return self._found.get(step, {})

    def margins(self) -> Tensor:
        """Log-likelihood of each better answer minus that of the worse one, in nats per token. Shape [pairs]."""
        with eval_mode(self._model), self._autocast():
            nll = answer_nlls(self._model, self._pairs, self._pad).view(-1, 2)  # [pairs, better and worse]
        return nll[:, 1] - nll[:, 0]

    def restore(self) -> None:
        """Restore the best weights."""
        with torch.no_grad():
            for name, weights in learning_weights(self._model).items():
                if name in self._best:
                    weights.copy_(self._best[name])

    def save(self, folder: Path) -> None:
        """Write the state into the folder of a checkpoint; of sharded weights, the part of this process."""
        known = {"found": self._found, "best_step": self.best_step, "since": self._since, "best": self._best}
        torch.save(known, folder / self._file)

    def load(self, folder: Path) -> None:
        """Load the state that :meth:`save` wrote."""
        known = torch.load(folder / self._file, weights_only=True)
        self._found, self.best_step = known["found"], known["best_step"]
        self._since, self._best = known["since"], known["best"]

    @property
    def is_sharded(self) -> bool:
        """Whether each process holds only a part of the weights, which it must save itself."""
        return is_sharded(self._model)

    @property
    def _file(self) -> str:
        rank = torch.distributed.get_rank() if self.is_sharded else 0
        return "heldout.pt" if rank == 0 else f"heldout-{rank}.pt"

    def _measure(self, state: Any, control: Any) -> None:
        margin = self.margins()
        accuracy = float((margin > 0).double().mean())
        self._found[state.global_step] = {"heldout_accuracy": accuracy, "heldout_margin": float(margin.mean())}
        control.should_log = True
        best = self._found[self.best_step]["heldout_accuracy"] if self.best_step is not None else -1.0
        if accuracy > best:
            self.best_step, self._since = state.global_step, 0
            learning = learning_weights(self._model).items()
            self._best = {name: weights.detach().to("cpu", copy=True) for name, weights in learning}
            return
        self._since += 1
        if self._since >= self._patience:
            control.should_training_stop = True
