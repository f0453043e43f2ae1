"""EpisodeTrainer: transformers' trainer with a step that plays episodes and reinforces what was said in the better ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from trainers.finetuning.monitor import MonitoredTrainer
from trainers.finetuning.rollouts import (
    Played,
    Rollouts,
    Sample,
    group_advantages,
    in_batches,
    sample_log_probs,
    sequences_of,
)


class _EpisodeSteps(Trainer):
    def __init__(
        self,
        *args: Any,
        rollouts: Callable[[Any], Rollouts],
        draw_seed: Callable[[int, int], int],
        group: int,
        credit: str,
        scale: bool,
        turns: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._rollouts, self._draw_seed = rollouts, draw_seed
        self._group, self._credit, self._scale, self._turns = group, credit, scale, turns
        self._returns: list[float] = []
        self._part = (-1, 0)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Play a group of episodes in each society, and compute the gradients of what was said in them. A scalar."""
        model.train()
        step, part = self._part
        self._part = (self.state.global_step, part + 1 if step == self.state.global_step else 0)
        seeds = [seed for seed in inputs["seeds"] for _ in range(self._group)]
        played = self._rollouts(model).play(seeds, self._draw_seed(*self._part))
        self._returns += [one.episode.total for one in played]
        weighted: list[tuple[Sample, float]] = []
        for start in range(0, len(played), self._group):
            weighted += weigh_samples(played[start : start + self._group], self._credit, scale=self._scale)
        every = [sample for one in played for sample in one.samples]
        read = sum(len(sequence) for sample in every for sequence in sequences_of(sample))
        said = sum(len(sample.answers[sample.chosen]) for sample in every)
        self._counted += torch.tensor([len(every), said, read], dtype=torch.float64)
        learnt = [(sample, weight) for sample, weight in weighted if weight]
        pad = self.processing_class.pad_token_id
        total = torch.zeros((), device=self.args.device)
        for batch in in_batches(learnt, self._turns):
            with self.compute_loss_context_manager():
                found = sample_log_probs(model, [sample for sample, _ in batch], pad).actions
            weights = torch.tensor([weight for _, weight in batch], device=found.device)
            loss = -(weights * found).sum() / len(weighted) / self.args.gradient_accumulation_steps
            self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean return since the last log."""
        if "loss" in logs and self._returns:
            logs["reward"] = sum(self._returns) / len(self._returns)
            self._returns.clear()
        super().log(logs, start_time)


class EpisodeTrainer(MonitoredTrainer, _EpisodeSteps):
    """Trains on episodes that the model itself plays, in batches of seeds: ``{"seeds": [...]}``.

    Args:
        *args: Arguments of transformers' trainer.
        rollouts: Function of the model that gives what plays episodes.
        draw_seed: Function of the step and of the batch in it that gives the seed of what the model draws.
        group: Episodes of each seed, which are compared.
        credit: ``episode`` or ``round``; see :func:`weigh_samples`.
        scale: Whether advantages are divided by their standard deviation.
        turns: Number of sequences in a forward pass.
        **kwargs: Arguments of transformers' trainer.
    """


def weigh_samples(group: Sequence[Played], credit: str, *, scale: bool) -> list[tuple[Sample, float]]:
    """Samples of a group of episodes with their advantages, without turns that have no credit and empty replies.

    Args:
        group: Episodes of one society.
        credit: What is compared: ``episode``, the returns; or ``round``, the credits of the same agent in the same round.
        scale: Whether to divide by the standard deviation.
    """
    kept = [
        (number, turn, sample)
        for number, one in enumerate(group)
        for turn, sample in zip(one.episode.turns, one.samples, strict=True)
        if turn.credit is not None and all(sample.answers)
    ]
    if credit == "episode":
        of_episodes = group_advantages([one.episode.total for one in group], scale=scale)
        return [(sample, of_episodes[number]) for number, _, sample in kept]
    credits: dict[tuple[int, int], dict[int, float]] = {}
    for number, turn, _ in kept:
        if turn.credit is not None:
            credits.setdefault((turn.agent, turn.round), {})[number] = turn.credit
    of_rounds = {
        place: dict(zip(own, group_advantages(list(own.values()), scale=scale) if len(own) > 1 else [0.0], strict=True))
        for place, own in credits.items()
    }
    return [(sample, of_rounds[turn.agent, turn.round][number]) for number, turn, sample in kept]
