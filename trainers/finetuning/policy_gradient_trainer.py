"""PolicyGradientTrainer: transformers' trainer with a policy-gradient loss on recorded answers, and its metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from trainers.finetuning.monitor import MonitoredTrainer
from trainers.likelihood.collation import Collator
from trainers.losses import policy_gradient_losses, sequence_nll

_SUMS = (
    "count", "rating", "ratio", "rated", "gained", "clipped", "kl", "entropy", "better", "better_nll", "worse", "worse_nll",
)  # fmt: skip


class PolicyGradientTrainer(MonitoredTrainer, Trainer):
    """Trains on batches made by :class:`AnswerCollator`.

    Logs in addition to the loss: ``reward`` (mean rating), ``expected_reward`` (mean rating weighted by the ratio of
    likelihoods: what the model in training is expected to reach on these prompts), ``advantage`` (mean advantage with the same
    weights), ``clipped`` (share of answers whose ratio is beyond the clip), ``kl_estimate`` (of the penalty, in nats),
    ``entropy`` (of the next token, in nats, if it has a weight) and ``reward_margin`` (log-likelihood of answers with a
    positive advantage minus that of those with a negative one, in nats per token).

    Args:
        *args: Arguments of transformers' trainer.
        clip: See :func:`trainers.losses.policy_gradient_losses`, as for ``beta``.
        beta: Weight of the KL penalty.
        entropy: Weight of the entropy.
        per_token: Whether ratios are of mean likelihoods per token, or of whole answers.
        **kwargs: Arguments of transformers' trainer.
    """

    # The loss is the mean over all answers of a step, over its micro-batches and devices.
    loss_is_scaled_for_ga = True

    def __init__(
        self, *args: Any, clip: float | None, beta: float, entropy: float, per_token: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._clip, self._beta, self._entropy, self._per_token = clip, beta, entropy, per_token
        self._sums = torch.zeros(len(_SUMS), dtype=torch.float64)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: Any
    ) -> tuple[list[Any], Tensor]:
        """Take the micro-batches of a step, and count their answers on all devices."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        counts = torch.tensor(sum(float(batch["counts"].sum()) for batch in batches), device=device)
        return batches, self.accelerator.gather(counts).sum()

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Sum of the losses, divided by the number of answers in the step. A scalar."""
        given, counts, advantages = inputs["model"], inputs["counts"], inputs["advantages"]
        nll, entropy = self._likelihoods(model, given)  # [answers]
        log_ratio = inputs["behaviour_nll"] - nll
        if not self._per_token:
            log_ratio = log_ratio * torch.bincount(given["answer_owner"], minlength=given["n_answers"])
        losses = policy_gradient_losses(log_ratio, advantages, clip=self._clip, beta=self._beta)
        if entropy is not None:
            losses = losses - self._entropy * entropy
        with torch.no_grad():
            known = None if entropy is None else entropy.detach()
            self._sums += self._measures(nll.detach(), log_ratio.detach(), known, inputs).cpu()
        answers = counts.sum() if num_items_in_batch is None else num_items_in_batch
        # Gradients are averaged over devices, each of which has a part of the sum.
        loss = (losses * counts).sum() / answers * self.accelerator.num_processes
        return (loss, {"nll": nll}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the metrics over all devices since the last log."""
        if "loss" in logs:
            of = dict(zip(_SUMS, self.sum_over_devices(self._sums), strict=True))
            if of["count"]:
                logs |= {name: of[part] / of["count"] for name, part in (("reward", "rating"), ("clipped", "clipped"))}
                logs |= {"advantage": of["gained"] / of["ratio"], "expected_reward": of["rated"] / of["ratio"]}
                logs["kl_estimate"] = of["kl"] / of["count"]
                if self._entropy:
                    logs["entropy"] = of["entropy"] / of["count"]
            if of["better"] and of["worse"]:
                logs["reward_margin"] = of["worse_nll"] / of["worse"] - of["better_nll"] / of["better"]
            self._sums.zero_()
        super().log(logs, start_time)

    def _likelihoods(self, model: Any, given: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Negative log-likelihood of each answer, and the entropy of the next token if it has a weight; means per token."""
        if not self._entropy:
            return model(**given), None
        owner, n_answers = given["answer_owner"], given["n_answers"]
        read = {
            name: value for name, value in given.items() if name not in ("answer_targets", "answer_owner", "n_answers")
        }
        logs = model(**read).float().log_softmax(dim=-1)  # [tokens, vocabulary]
        nll = -logs.gather(1, given["answer_targets"][:, None]).squeeze(1)
        return sequence_nll(nll, owner, n_answers), sequence_nll(-(logs.exp() * logs).sum(dim=-1), owner, n_answers)

    def _measures(self, nll: Tensor, log_ratio: Tensor, entropy: Tensor | None, inputs: Mapping[str, Any]) -> Tensor:
        """The sums named in ``_SUMS`` of one batch. Shape [len(_SUMS)]."""
        counts, advantages, ratings = inputs["counts"], inputs["advantages"], inputs["ratings"].squeeze(1)
        ratio = log_ratio.exp()
        beyond = torch.zeros_like(counts, dtype=torch.bool)
        if self._clip is not None:
            beyond = torch.where(advantages > 0, ratio > 1 + self._clip, (ratio < 1 - self._clip) & (advantages < 0))
        better, worse = counts * (advantages > 0), counts * (advantages < 0)
        found = (
            counts, counts * ratings, counts * ratio, counts * ratio * ratings, counts * ratio * advantages, counts * beyond,
            counts * (ratio - 1 - log_ratio), counts * (0.0 if entropy is None else entropy), better, better * nll, worse,
            worse * nll,
        )  # fmt: skip
        return torch.stack([value.double().sum() for value in found])


class AnswerCollator:
    """Makes a batch of encoded answers, each with its prompt.

    Args:
        pad: Id that fills rows up.
    """

    def __init__(self, pad: int) -> None:
        self._lay_out = Collator(pad=pad, shared=False)

    def __call__(self, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Lay out a batch.

        Args:
            answers: With prompt_ids, completion_ids, rating, advantage, count and behaviour_nll.

        Returns:
            As of :class:`~trainers.likelihood.collation.Collator`, with one answer for each question; and ``advantages``,
            ``counts`` and ``behaviour_nll``, each of shape [answers].
        """
        laid_out = self._lay_out(
            [
                {
                    "prompt_ids": row["prompt_ids"],
                    "answer_ids": [row["completion_ids"]],
                    "ratings": [row["rating"]],
                    "scale": 1.0,
                }
                for row in answers
            ]
        )
        columns = {"advantages": "advantage", "counts": "count", "behaviour_nll": "behaviour_nll"}
        return laid_out | {to: torch.tensor([float(row[name]) for row in answers]) for to, name in columns.items()}
