"""The losses of DPO, KTO and ORPO as pure functions, from their papers; the trainers of TRL are compared with them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo_loss(chosen: Tensor, rejected: Tensor, *, beta: float = 0.1, label_smoothing: float = 0.0) -> Tensor:
    """Direct preference optimisation, mean over the pairs.

    Equation 7 of arXiv:2305.18290; with smoothing e, robust DPO (arXiv:2403.00409), whose mean over preferences of
    which a share e is flipped is that of DPO over the true ones::

        (-(1 - e) * log sigmoid(margin) + e * log sigmoid(-margin)) / (1 - 2e),  margin = beta * (chosen - rejected)

    Args:
        chosen: Log-ratio of policy to reference of each better answer, summed over its tokens, in nats. Shape [pairs].
        rejected: The same of each worse answer. Shape [pairs].
        beta: Strength of the KL penalty.
        label_smoothing: e, the share of flipped preferences, below 0.5.

    Returns:
        Scalar loss, without unit; log 2 where policy and reference agree.
    """
    margin = beta * (chosen - rejected)
    right, flipped = (1 - label_smoothing) * logsigmoid(margin), label_smoothing * logsigmoid(-margin)
    return ((flipped - right) / (1 - 2 * label_smoothing)).mean()


def kto_loss(
    ratio: Tensor,
    good: Tensor,
    mismatched: Tensor,
    *,
    beta: float = 0.1,
    good_weight: float = 1.0,
    bad_weight: float = 1.0,
) -> Tensor:
    """Kahneman-Tversky optimisation, mean over the answers.

    Equation 7 of arXiv:2402.01306. The reference point z is the mean log-ratio of answers behind prompts that
    are not theirs, at least 0, and sends no gradient back::

        good_weight * (1 - sigmoid(beta * (ratio - z)))   for a good answer
        bad_weight  * (1 - sigmoid(beta * (z - ratio)))   for a bad one

    Args:
        ratio: Log-ratio of policy to reference of each answer, summed over its tokens, in nats. Shape [answers].
        good: Whether each is good. Shape [answers].
        mismatched: Log-ratios of answers behind others' prompts. Shape [any].
        beta: Strength of the KL penalty.
        good_weight: Of good answers.
        bad_weight: Of bad ones.

    Returns:
        Scalar loss, without unit, in 0..max(good_weight, bad_weight).
    """
    z = mismatched.detach().mean().clamp(min=0)
    gain = beta * (ratio - z)
    return (good_weight * (1 - gain.sigmoid())).where(good, bad_weight * (1 - (-gain).sigmoid())).mean()


def orpo_loss(imitation: Tensor, chosen: Tensor, rejected: Tensor, *, beta: float = 0.1) -> Tensor:
    """Odds-ratio preference optimisation.

    Equations 6 and 7 of arXiv:2403.07691, with P = exp(mean log-probability of an answer's tokens)::

        imitation - beta * mean over pairs of log sigmoid(log odds(chosen) - log odds(rejected)),
        odds(P) = P / (1 - P)

    Args:
        imitation: Mean negative log-likelihood of the better texts' tokens, in nats. Scalar.
        chosen: Mean log-probability per token of each better answer, below 0, in nats. Shape [pairs].
        rejected: The same of each worse answer. Shape [pairs].
        beta: Weight of the odds ratio (lambda in the paper).

    Returns:
        Scalar loss, in nats per token.
    """

    def log_odds(p: Tensor) -> Tensor:
        return p - torch.log(-torch.expm1(p))

    return imitation - beta * logsigmoid(log_odds(chosen) - log_odds(rejected)).mean()
