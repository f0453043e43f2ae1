"""Runs a causal language model over a batch of prompts and one token further at a time.

Prompts are padded on the left, so that all of them end at the last column. Beginnings that rows share are read once,
as groups, and their keys and values copied to every row. Knows token numbers and tensors; knows nothing of requests.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.models.batching import Group

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class State:
    """How far a batch has been read.

    Attributes:
        cache: Keys and values of every column so far.
        mask: 1 where a column holds a token of the row. int64 [rows, columns].
        logits: Of the tokens after the last ``keep`` columns. [rows, keep, vocabulary].
    """

    cache: Any
    mask: Tensor
    logits: Tensor


class Forward:
    """A model's forward pass, as batches of left-padded rows need it.

    Args:
        model: A causal language model of transformers.
        pad: Token number for the padding; any valid one will do, since it is masked.
    """

    def __init__(self, model: Any, pad: int) -> None:
        # A PEFT wrapper's own signature is (*args, **kwargs).
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        known = inspect.signature(inner.forward).parameters
        self._model = model
        self._config = inner.config
        self._pad = pad
        self._keeps = "logits_to_keep" in known
        self._places = "position_ids" in known

    def read(self, prompts: Sequence[Sequence[int]], groups: Sequence[Group], keep: int = 1) -> State:
        """Read prompts up to their ends.

        Args:
            prompts: Token numbers, by row.
            groups: Which rows form the batch, in the order of the result's rows, and what they share.
            keep: For how many of the last columns logits are wanted.
        """
        from sandbox.models.growing_cache import growing_cache

        rows = [prompts[row] for group in groups for row in group.rows]
        cache = growing_cache(self._config)
        mask = self._tensor([[]] * len(rows))
        # With nothing shared a first pass would save nothing; and each row of it needs a token of its own.
        if any(group.shared for group in groups) and min(map(len, rows)) > 1:
            rest = max(len(prompts[row]) - g.shared for g in groups if g.shared for row in g.rows)
            rest = max(rest, keep)
            heads = [prompts[g.rows[0]][: g.shared or max(1, len(prompts[g.rows[0]]) - rest)] for g in groups]
            sizes = self._tensor([len(g.rows) for g in groups])
            state = self._advance(State(cache, self._tensor([[]] * len(groups)), sizes), heads, 1)
            copies = self._tensor(list(range(len(groups)))).repeat_interleave(sizes)
            cache.batch_select_indices(copies)
            mask = state.mask[copies]
            rows = [prompts[row][len(head) :] for g, head in zip(groups, heads, strict=True) for row in g.rows]
        return self._advance(State(cache, mask, mask), rows, keep)

    def write(self, state: State, tokens: Tensor) -> State:
        """Read one more token of every row. Shape of ``tokens``: [rows]."""
        import torch

        mask = torch.cat([state.mask, torch.ones_like(tokens)[:, None]], dim=1)
        return self._run(state.cache, tokens[:, None], mask, 1)

    def select(self, state: State, rows: Tensor) -> State:
        """Keep only some rows of a batch; its cache is changed in place. Shape of ``rows``: [kept]."""
        state.cache.batch_select_indices(rows)
        return State(state.cache, state.mask[rows], state.logits[rows])

    def _advance(self, state: State, rows: Sequence[Sequence[int]], keep: int) -> State:
        import torch

        width = max(map(len, rows))
        tokens = self._tensor([[self._pad] * (width - len(row)) + list(row) for row in rows])
        present = self._tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return self._run(state.cache, tokens, torch.cat([state.mask, present], dim=1), keep)

    def _run(self, cache: Any, tokens: Tensor, mask: Tensor, keep: int) -> State:
        given: dict[str, Any] = {"logits_to_keep": keep} if self._keeps else {}
        if self._places:
            given["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        out = self._model(
            input_ids=tokens, attention_mask=mask, past_key_values=cache, use_cache=True, return_dict=True, **given
        )
        return State(out.past_key_values, mask, out.logits[:, -keep:])

    def _tensor(self, numbers: Sequence[Any]) -> Tensor:
        import torch

        return torch.tensor(numbers, dtype=torch.long, device=self._model.device)
