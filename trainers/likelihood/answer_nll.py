"""Log-likelihoods of answers, with the language-model head computed only at answer tokens.

The head is a large part of the work of a small model, and full logits are most of its memory; prompts need neither.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from trainers.likelihood.collation import Collator
from trainers.losses import sequence_nll

# Numbers among the logits that exist at one time, 8 MB of them, and rows at least: fewer make the head slow.
LOGITS, ROWS = 2**21, 160

# Ids of a prompt, and of each answer to it.
Question: TypeAlias = tuple[Sequence[int], Sequence[Sequence[int]]]


class AnswerNLL:
    """Gives the likelihoods of answers by a causal language model.

    Args:
        model: Of transformers, without what PEFT or DDP wrap around it; see :func:`unwrap`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.original = model.forward
        self._plain_head = _has_plain_head(model)

    def __call__(
        self, *args: Any, answer_positions: Tensor, answer_targets: Tensor | None = None,
        answer_owner: Tensor | None = None, n_answers: int = 0, **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        """What a patched model gives, see :func:`add_answer_nll`. Shape [n_answers], or [tokens, vocabulary]."""
        mask = kwargs.get("attention_mask")
        if mask is not None and mask.dtype == torch.bool:
            # Attention that is not fused adds the mask to its scores.
            lowest = torch.finfo(self.model.dtype).min
            kwargs["attention_mask"] = torch.zeros_like(mask, dtype=self.model.dtype).masked_fill(~mask, lowest)
        # PEFT names every argument it knows, also those that only the whole model takes.
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        if answer_targets is None or answer_owner is None:
            return self._logits(answer_positions, *args, **kwargs)
        if self._plain_head:
            hidden = self._hidden(answer_positions, *args, **kwargs)
            nll = token_nll(hidden, self.model.get_output_embeddings(), answer_targets)
        else:
            logits = self._logits(answer_positions, *args, **kwargs)
            nll = F.cross_entropy(logits.float(), answer_targets, reduction="none")
        return sequence_nll(nll, answer_owner, n_answers)

    def _logits(self, positions: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self._plain_head:
            head = self.model.get_output_embeddings()
            hidden = self._hidden(positions, *args, **kwargs)
            return head(hidden if _is_sharded(head) else hidden.to(head.weight.dtype))
        return self.original(*args, **kwargs | {"use_cache": False}).logits.flatten(0, 1)[positions]

    def _hidden(self, positions: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        found = self.model.base_model(*args, **kwargs | {"use_cache": False})
        return found.last_hidden_state.flatten(0, 1)[positions]


def add_answer_nll(model: Any) -> None:
    """Let ``model.forward`` also give the likelihoods of answers, or logits at some places.

    Called with ``answer_positions`` (indices into the flattened batch whose outputs predict answer tokens,
    shape [tokens]), ``answer_targets`` (the ids predicted, [tokens]), ``answer_owner`` (whose token it is,
    [tokens]) and ``n_answers``, it returns mean negative log-likelihoods in nats per token, of shape
    [n_answers]; with ``answer_positions`` alone, logits of shape [tokens, vocabulary]. Called without, it is the original.

    Patch before PEFT, DDP or FSDP wraps the model, and call the wrapped model: then gradients are synchronised, and
    sharded weights gathered.

    Args:
        model: A causal language model of transformers.
    """
    if hasattr(model, "_answer_nll"):
        return
    original = model.forward
    # Found through ``self``: a copy of the model has a copy of it.
    model._answer_nll = AnswerNLL(model)

    @functools.wraps(getattr(original, "__func__", original))
    def forward(self: Any, *args: Any, answer_positions: Tensor | None = None, **kwargs: Any) -> Any:
        score: AnswerNLL = self._answer_nll
        if answer_positions is None:
            answers = ("answer_targets", "answer_owner", "n_answers")
            return score.original(*args, **{name: value for name, value in kwargs.items() if name not in answers})
        return score(*args, answer_positions=answer_positions, **kwargs)

    model.forward = MethodType(forward, model)


def unwrap(model: Any) -> Any:
    """A model without what PEFT wraps around it; its adapters stay, inside its layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def scorer(model: Any) -> Callable[..., Tensor]:
    """What gives likelihoods by a model: itself if it was patched by :func:`add_answer_nll`, with all that wraps it."""
    return model if hasattr(unwrap(model), "_answer_nll") else AnswerNLL(unwrap(model))


@contextmanager
def eval_mode(model: Any) -> Iterator[None]:
    """Without gradients and dropout, and without a draw of a random number."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def answer_nlls(model: Any, questions: Sequence[Question], pad: int, *, batch_tokens: int = 2048) -> Tensor:
    """How likely a model finds answers; without gradients.

    Args:
        model: A causal language model of transformers, wrapped by PEFT or not.
        questions: Ids of prompts and of their answers.
        pad: Id that fills batches up.
        batch_tokens: Tokens in a batch, about.

    Returns:
        Mean negative log-likelihood per token, in nats, of every answer, question by question. Shape [answers].
    """
    score, inner = scorer(model), unwrap(model)
    lengths = [len(prompt) + sum(map(len, answers)) for prompt, answers in questions]
    longest = max((len(p) + len(a) for p, answers in questions for a in answers), default=0)
    lay_out = Collator(pad=pad, shared=can_share_prompts(inner, longest, score))
    order = sorted(range(len(questions)), key=lambda number: -lengths[number])
    found: dict[int, Tensor] = {}
    while order:
        n = max(1, batch_tokens // lengths[order[0]])
        batch, order = order[:n], order[n:]
        asked = [
            {"prompt_ids": p, "answer_ids": answers, "ratings": [1.0] * len(answers), "scale": 1.0}
            for p, answers in (questions[number] for number in batch)
        ]
        with torch.no_grad():
            nll = score(**_on_device(lay_out(asked)["model"], inner)).cpu()
        found |= zip(batch, nll.split([len(questions[number][1]) for number in batch]), strict=True)
    return torch.cat([found[number] for number in range(len(questions))])


def token_nll(hidden: Tensor, head: Any, targets: Tensor, chunk: int | None = None) -> Tensor:
    """Negative log-likelihood of each target, in nats.

    Args:
        hidden: What the head reads. Shape [tokens, width].
        head: ``torch.nn.Linear`` or another module from hidden states to logits.
        targets: Ids. Shape [tokens].
        chunk: Rows of logits that exist at one time; None for as many as do not take much memory.

    Returns:
        Shape [tokens].
    """
    if chunk is None:
        chunk = max(ROWS, LOGITS // getattr(head, "out_features", LOGITS // 256))
    if not torch.is_grad_enabled():
        parts = zip(hidden.split(chunk), targets.split(chunk), strict=True)
        return torch.cat([F.cross_entropy(head(h).float(), t, reduction="none") for h, t in parts])
    plain = type(head) is nn.Linear and not _is_sharded(head)
    if plain and not any(p.requires_grad for p in head.parameters()):
        return _FrozenHeadNLL.apply(hidden, head.weight, head.bias, targets, chunk)
    if plain and head.bias is None and hidden.dtype == head.weight.dtype and not _is_autocast(hidden):
        return _LearningHeadNLL.apply(hidden, head.weight, targets, chunk)

    def one(h: Tensor, t: Tensor) -> Tensor:
        return F.cross_entropy(head(h).float(), t, reduction="none")

    parts = zip(hidden.split(chunk), targets.split(chunk), strict=True)
    return torch.cat([checkpoint(one, h, t, use_reentrant=False) for h, t in parts])


class _FrozenHeadNLL(torch.autograd.Function):
    """Cross-entropy through a head that does not learn.

    The gradient of a token's likelihood is known as soon as its logits are: it is taken then, so that no
    logits are kept or computed again.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, chunk: int) -> Tensor:
        nll = hidden.new_empty(len(hidden), dtype=torch.float32)
        gradient = torch.empty_like(hidden)
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            logits = F.linear(hidden[part].to(weight.dtype), weight, bias).float()  # [chunk, vocabulary]
            total = logits.logsumexp(dim=1, keepdim=True)
            target = targets[part, None]
            nll[part] = (total - logits.gather(1, target)).squeeze(1)
            slope = logits.sub_(total).exp_().scatter_add_(1, target, -torch.ones_like(total))
            gradient[part] = slope.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return nll

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0][:, None].to(gradient.dtype), None, None, None, None


class _LearningHeadNLL(torch.autograd.Function):
    """Cross-entropy through a head that learns too.

    How much each token counts is known only on the way back, so logits are computed again then; the gradients of the
    head's weights are summed up in one place instead of one for each chunk.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int) -> Tensor:
        total = hidden.new_empty(len(hidden), dtype=torch.float32)
        at_target = torch.empty_like(total)
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            logits = F.linear(hidden[part], weight).float()  # [chunk, vocabulary]
            total[part] = logits.logsumexp(dim=1)
            at_target[part] = logits.gather(1, targets[part, None]).squeeze(1)
        ctx.save_for_backward(hidden, weight, targets, total)
        ctx.chunk = chunk
        return total - at_target

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden, weight, targets, total = ctx.saved_tensors
        of_hidden, of_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        for start in range(0, len(hidden), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            slope = F.linear(hidden[part], weight).float().sub_(total[part, None]).exp_()  # [chunk, vocabulary]
            slope.scatter_add_(1, targets[part, None], -torch.ones_like(total[part, None]))
            slope = slope.mul_(outer[0][part, None]).to(weight.dtype)
            of_hidden[part] = slope @ weight
            of_weight.addmm_(slope.T, hidden[part])
        return of_hidden, of_weight, None, None


def _is_sharded(head: Any) -> bool:
    """Whether a head's weights are gathered only while it is called itself: a unit of its own under FSDP2, or ZeRO-3."""
    return isinstance(head.weight, DTensor) or hasattr(head.weight, "ds_id")


def _is_autocast(hidden: Tensor) -> bool:
    return torch.is_autocast_enabled(hidden.device.type)


def _has_plain_head(model: Any) -> bool:
    """Whether logits are the head's output and nothing more: some models cap or scale them afterwards."""
    ids = torch.arange(4, device=model.device)[None]
    with torch.no_grad():
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        ours = model.get_output_embeddings()(hidden).float()
        theirs = model(input_ids=ids, use_cache=False).logits.float()
    return _near(ours, theirs, 1e-3)


def can_share_prompts(model: Any, max_length: int, score: Callable[..., Tensor] | None = None) -> bool:
    """Whether a model gives the same likelihoods in the shared layout as in the separate one.

    Models that read in order (state-space models) or that place tokens by their column do not; nor do those that see
    a window only, if an answer could reach beyond it.

    Args:
        model: Patched by :func:`add_answer_nll`, unless ``score`` is given.
        max_length: Tokens of a prompt with one answer at most.
        score: Gives likelihoods by it.
    """
    config = model.config.get_text_config()
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    if any(window is not None and window < max_length for window in windows):
        return False
    question = {"prompt_ids": [1, 2, 3], "answer_ids": [[4, 5, 6], [7], [4, 6, 5, 7]], "ratings": [3, 2, 1], "scale": 3}
    found = []
    for shared in (False, True):
        inputs = Collator(pad=0, shared=shared)([question])["model"]
        try:
            with torch.no_grad():
                found.append((score or model)(**_on_device(inputs, model)))
        except (TypeError, ValueError, RuntimeError):
            if not shared:
                raise
            return False  # its attention takes no mask of this shape
    # Half precision rounds the two differently; a real difference is far larger.
    return _near(found[1], found[0], 1e-3 if model.dtype == torch.float32 else 0.05)


def _on_device(inputs: dict[str, Any], model: Any) -> dict[str, Any]:
    return {name: v.to(model.device) if isinstance(v, Tensor) else v for name, v in inputs.items()}


def _near(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    return bool((ours - theirs).abs().max() <= tolerance * theirs.abs().max())
