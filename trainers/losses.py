"""Losses as pure functions of tensors. Knows no models, rows or trainers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sandbox.errors import SettingsError, TrainingDataError

if TYPE_CHECKING:
    from torch import Tensor

HINGES = ("pooled", "pairwise")
REDUCTIONS = ("mean", "max", "sum")


def stable_alignment_loss(
    nll: Tensor,
    ratings: Tensor,
    mask: Tensor,
    *,
    scale: float | Tensor = 7.0,
    margin: float = 10.0,
    weight: float = 0.2,
    hinge: Literal["pooled", "pairwise"] = "pooled",
    reduce: Literal["mean", "max", "sum"] = "mean",
) -> Tensor:
    """Contrastive preference loss over the rated answers to each question, mean over the questions.

    Section 3.2 of arXiv:2305.16960. The best-rated answer b (the first on ties) is imitated; every other
    answer i is to be less likely than it by ``(r_b - r_i) / scale * margin`` nats per token::

        hinge_i  = nll_b - nll_i + (r_b - r_i) / scale * margin
        pooled   : nll_b + weight * max(reduce_i hinge_i, 0)      (the authors' code)
        pairwise : nll_b + weight * reduce_i max(hinge_i, 0)      (the paper's equation, with
        ``reduce="sum"``)

    The margin is that of the equation: the authors' code looks ratings up in sorted order by unsorted
    positions. A question with a single answer gives ``nll_b``.

    Args:
        nll: Mean negative log-likelihood per answer token, in nats. Shape [questions, answers].
        ratings: Rating of each answer, in [1, scale]. Shape [questions, answers].
        mask: True where an answer exists; other entries have no effect. Shape [questions, answers].
        scale: The highest rating, for all questions or for each. Shape [] or [questions].
        margin: Margin for a difference of the whole scale, in nats per token.
        weight: Weight of the hinge, relative to the imitation.
        hinge: Whether the hinge is applied to the pooled differences or to each.
        reduce: Reduction of the differences, or hinges, of a question.

    Returns:
        Scalar loss, in nats per token.

    Raises:
        TrainingDataError: a question has no rated answer, or shapes differ.
        SettingsError: ``hinge`` or ``reduce`` is unknown.
    """
    return stable_alignment_losses(
        nll, ratings, mask, scale=scale, margin=margin, weight=weight, hinge=hinge, reduce=reduce
    ).mean()


def stable_alignment_losses(
    nll: Tensor,
    ratings: Tensor,
    mask: Tensor,
    *,
    scale: float | Tensor = 7.0,
    margin: float = 10.0,
    weight: float = 0.2,
    hinge: str = "pooled",
    reduce: str = "mean",
) -> Tensor:
    """The terms of :func:`stable_alignment_loss` before their mean. Shape [questions]."""
    import torch

    _check_words(hinge, reduce)
    _check_shapes(nll, ratings, mask)
    nll, ratings, best = _without_padding(nll, ratings, mask)
    others = mask.scatter(1, best, False)  # [questions, answers]
    nll_best = nll.gather(1, best)  # [questions, 1]
    per_point = margin / torch.as_tensor(scale, dtype=nll.dtype, device=nll.device).reshape(-1, 1)
    difference = nll_best - nll + (ratings.gather(1, best) - ratings) * per_point  # [questions, answers]
    if hinge == "pairwise":
        difference = difference.relu()
    pooled = _reduce(difference, others, reduce).relu()  # [questions]
    return nll_best.squeeze(1) + weight * pooled


def rrhf_loss(nll: Tensor, ratings: Tensor, mask: Tensor, *, weight: float = 1.0) -> Tensor:
    """RRHF's ranking loss over the rated answers to each question, mean over the questions.

    Equations 2 to 4 of arXiv:2304.05302. With p_i = -nll_i, the length-normalised log-probability, every pair in which
    the worse-rated answer i is likelier costs the difference, and the best-rated answer b (the first on ties) is
    imitated::

        nll_b + weight * sum over pairs with r_i < r_j of max(0, p_i - p_j)

    The imitation is per token here, so that long and short answers have equal weight; answers with equal ratings are no pair.

    Args:
        nll: Mean negative log-likelihood per answer token, in nats. Shape [questions, answers].
        ratings: Rating of each answer; only their order counts. Shape [questions, answers].
        mask: True where an answer exists; other entries have no effect. Shape [questions, answers].
        weight: Weight of the ranking, relative to the imitation.

    Returns:
        Scalar loss, in nats per token.

    Raises:
        TrainingDataError: a question has no rated answer, or shapes differ.
    """
    return rrhf_losses(nll, ratings, mask, weight=weight).mean()


def rrhf_losses(nll: Tensor, ratings: Tensor, mask: Tensor, *, weight: float = 1.0) -> Tensor:
    """The terms of :func:`rrhf_loss` before their mean. Shape [questions]."""
    _check_shapes(nll, ratings, mask)
    nll, ratings, best = _without_padding(nll, ratings, mask)
    # worse[q, i, j]: answer i is rated below answer j, and both exist.  [questions, answers, answers]
    worse = (ratings[:, :, None] < ratings[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    wrong = (nll[:, None, :] - nll[:, :, None]).relu().masked_fill(~worse, 0.0)
    return nll.gather(1, best).squeeze(1) + weight * wrong.sum(dim=(1, 2))


def simpo_loss(nll: Tensor, ratings: Tensor, mask: Tensor, *, beta: float = 2.0, margin: float = 1.0) -> Tensor:
    """Simple preference optimisation over pairs of a better and a worse answer, mean over the questions.

    Equation 6 of arXiv:2405.14734. The reward of an answer is beta times its mean log-probability per token, so that long
    answers have no advantage, and the better answer w is to be ahead of the worse one l by the target margin::

        -log sigmoid(beta * (nll_l - nll_w) - margin)

    Of a question with several pairs it is the mean over them; answers with equal ratings are no pair. A question without a pair
    gives 0.

    Args:
        nll: Mean negative log-likelihood per answer token, in nats. Shape [questions, answers].
        ratings: Rating of each answer; only their order counts. Shape [questions, answers].
        mask: True where an answer exists; other entries have no effect. Shape [questions, answers].
        beta: Scale of the difference.
        margin: Target margin (gamma in the paper).

    Returns:
        Scalar loss.

    Raises:
        TrainingDataError: a question has no rated answer, or shapes differ.
    """
    return simpo_losses(nll, ratings, mask, beta=beta, margin=margin).mean()


def simpo_losses(nll: Tensor, ratings: Tensor, mask: Tensor, *, beta: float = 2.0, margin: float = 1.0) -> Tensor:
    """The terms of :func:`simpo_loss` before their mean. Shape [questions]."""
    from torch.nn.functional import softplus

    _check_shapes(nll, ratings, mask)
    nll, ratings, _ = _without_padding(nll, ratings, mask)
    # better[q, i, j]: answer i is rated above answer j, and both exist.  [questions, answers, answers]
    better = (ratings[:, :, None] > ratings[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    ahead = beta * (nll[:, None, :] - nll[:, :, None]) - margin
    losses = softplus(-ahead).masked_fill(~better, 0.0)
    return losses.sum(dim=(1, 2)) / better.sum(dim=(1, 2)).clamp(min=1)


def policy_gradient_losses(
    log_ratio: Tensor, advantages: Tensor, *, clip: float | None = 0.2, beta: float = 0.0
) -> Tensor:
    """The clipped policy gradient on recorded answers, with a penalty for leaving the model that gave them.

    Equation 7 of arXiv:1707.06347 with one action per answer. At a ratio of 1 its gradient is that of REINFORCE,
    ``-A * grad log pi``. The penalty is the estimate of KL(behaviour || model) by (r - 1) - log r, which is never negative and
    unbiased for answers drawn from the behaviour::

        r = exp(log_ratio)
        -min(r * A, clamp(r, 1 - clip, 1 + clip) * A) + beta * (r - 1 - log_ratio)

    Args:
        log_ratio: Log-likelihood of each answer by the model, less that by the model that gave it, in nats. Shape [answers].
        advantages: How much better each answer is than expected. Shape [answers].
        clip: Range of the ratio within which an answer is learnt from; None for no limit.
        beta: Weight of the penalty.

    Returns:
        Shape [answers].
    """
    ratio = log_ratio.exp()
    gains = ratio * advantages
    if clip is not None:
        gains = gains.minimum(ratio.clamp(1 - clip, 1 + clip) * advantages)
    return beta * (ratio - 1 - log_ratio) - gains


def _without_padding(nll: Tensor, ratings: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Set likelihoods and ratings to 0 where there is no answer, and find the best answer of each question.

    Returns:
        nll and ratings of shape [questions, answers]; best of shape [questions, 1], the first on ties.
    """
    import torch

    # Padding may contain any value, also NaN, and must have no gradient.
    nll, ratings = nll.masked_fill(~mask, 0.0), ratings.to(nll.dtype)
    best = ratings.masked_fill(~mask, -torch.inf).argmax(dim=1, keepdim=True)
    return nll, ratings.masked_fill(~mask, 0.0), best


def _reduce(values: Tensor, mask: Tensor, how: str) -> Tensor:
    if how == "max":
        # A question without other answers has no largest difference: nothing is added to its likelihood.
        lowest = values.detach().amin() - 1.0
        largest = values.masked_fill(~mask, float(lowest)).max(dim=1).values
        return largest.masked_fill(~mask.any(dim=1), 0.0)
    total = values.masked_fill(~mask, 0.0).sum(dim=1)
    return total if how == "sum" else total / mask.sum(dim=1).clamp(min=1)


def _check_words(hinge: str, reduce: str) -> None:
    if hinge not in HINGES or reduce not in REDUCTIONS:
        raise SettingsError(
            f"hinge={hinge!r}, reduce={reduce!r}: hinge is one of {', '.join(HINGES)} and reduce one of "
            f"{', '.join(REDUCTIONS)}"
        )


def _check_shapes(nll: Tensor, ratings: Tensor, mask: Tensor) -> None:
    if nll.ndim != 2 or nll.shape != ratings.shape or nll.shape != mask.shape:
        raise TrainingDataError(
            f"nll {list(nll.shape)}, ratings {list(ratings.shape)} and mask {list(mask.shape)} must all have "
            "the shape [questions, answers]"
        )
    empty = (~mask.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise TrainingDataError(f"question {empty[0]} of the batch has no rated answer; leave it out of the rows")


def sequence_nll(token_nll: Tensor, owner: Tensor, n_answers: int) -> Tensor:
    """Mean negative log-likelihood of each answer from those of its tokens.

    Args:
        token_nll: Negative log-likelihood of every answer token of a batch, in nats. Shape [tokens].
        owner: Answer of each token, in 0..n_answers-1; every answer has at least one. Shape [tokens].
        n_answers: Number of answers.

    Returns:
        Nats per token. Shape [n_answers].
    """
    zeros = token_nll.new_zeros(n_answers)
    counts = zeros.index_add(0, owner, token_nll.new_ones(len(owner)))
    return zeros.index_add(0, owner, token_nll) / counts
