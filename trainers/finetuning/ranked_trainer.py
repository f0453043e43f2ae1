"""RankedTrainer: transformers' trainer with a loss over a question's answers, and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from trainers.finetuning.monitor import MonitoredTrainer

_SUMS = ("questions", "nll_best", "others", "margin", "pairs", "right")


class RankedTrainer(MonitoredTrainer, Trainer):
    """Trains on batches of questions with several rated answers, made by :class:`trainers.likelihood.collation.Collator`.

    Logs in addition to the loss: ``nll_best`` (nats per token of the best-rated answers), ``reward_margin`` (log-likelihood of
    the best answer minus that of the others, in nats per token) and ``preference_accuracy`` (share of pairs in which the
    better-rated answer is the likelier one).

    Args:
        *args: Arguments of transformers' trainer.
        losses: Function of (nll, ratings, mask), each of shape [questions, answers], and the scale of each question,
            of shape [questions], that returns the losses, of shape [questions].
        **kwargs: Arguments of transformers' trainer.
    """

    # The loss is the mean over all questions of a step, over its micro-batches and devices.
    loss_is_scaled_for_ga = True

    def __init__(self, *args: Any, losses: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._losses = losses
        self._sums = torch.zeros(len(_SUMS), dtype=torch.float64)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: Any
    ) -> tuple[list[Any], Tensor]:
        """Take the micro-batches of a step, and count their questions on all devices."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        questions = torch.tensor(sum(len(batch["scale"]) for batch in batches), device=device)
        return batches, self.accelerator.gather(questions).sum()

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Sum of the losses, divided by the number of questions in the step. A scalar."""
        mask, ratings = inputs["mask"], inputs["ratings"]
        nll = model(**inputs["model"])  # [answers of the batch]
        grid = nll.new_zeros(mask.shape).masked_scatter(mask, nll)  # [questions, answers]
        losses = self._losses(grid, ratings, mask, inputs["scale"])  # [questions]
        with torch.no_grad():
            self._sums += _measures(grid.detach(), ratings, mask).cpu()
        questions = len(losses) if num_items_in_batch is None else num_items_in_batch
        # Gradients are averaged over devices, each of which has a part of the sum.
        loss = losses.sum() / questions * self.accelerator.num_processes
        return (loss, {"nll": grid}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the metrics over all devices since the last log."""
        if "loss" in logs:
            of = dict(zip(_SUMS, self.sum_over_devices(self._sums), strict=True))
            logs["nll_best"] = of["nll_best"] / of["questions"]
            if of["others"]:
                logs["reward_margin"] = of["margin"] / of["others"]
            if of["pairs"]:
                logs["preference_accuracy"] = of["right"] / of["pairs"]
            self._sums.zero_()
        super().log(logs, start_time)


def _measures(nll: Tensor, ratings: Tensor, mask: Tensor) -> Tensor:
    """The sums named in ``_SUMS`` of one batch. Shape [len(_SUMS)]."""
    best = ratings.masked_fill(~mask, -torch.inf).argmax(dim=1, keepdim=True)
    others = mask.scatter(1, best, False)
    nll_best = nll.gather(1, best)
    better = (ratings[:, :, None] > ratings[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    right = better & (nll[:, :, None] < nll[:, None, :])
    counted = (
        nll.new_tensor(len(nll)),
        nll_best.sum(),
        others.sum(),
        ((nll - nll_best) * others).sum(),
        better.sum(),
        right.sum(),
    )
    return torch.stack([value.double() for value in counted])
