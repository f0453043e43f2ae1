"""Forward passes of a causal language model over a batch: prefill of prompts, and single-token steps.

Prompts are padded on the left, so that all end at the last column. Shared prefixes are read once, first that of all rows and
then that of each group, and their keys and values are copied to every row. Knows token ids and tensors, but no requests.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.models.local.batching import Group, shared_by_all

if TYPE_CHECKING:
    from torch import Tensor

# Fewer rows do not use the processor fully; fewer columns of padding cost less than the copy that avoids them.
_FEW_ROWS = 8
_WORTH_IT = 256


@dataclass
class State:
    """State of a batch.

    Attributes:
        cache: Keys and values of all columns so far.
        mask: 1 where a column contains a token of the row, 0 for padding. int64 [rows, columns].
        logits: Logits after each of the last ``keep`` columns. [rows, keep, vocabulary].
    """

    cache: Any
    mask: Tensor
    logits: Tensor


class Forward:
    """Forward passes of a model on batches of left-padded rows.

    Args:
        model: A causal language model of transformers.
        pad: Padding id; any valid one, since padding is masked.
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
        """Read the prompts of a batch (prefill).

        Args:
            prompts: Token ids of each row.
            groups: Groups of the rows in the batch, in the order of the result's rows, with their shared prefixes.
            keep: Number of last columns for which logits are computed.
        """
        from sandbox.models.local.kv_cache import can_be_merged

        rows = [prompts[row] for group in groups for row in group.rows]
        state, common = self._begin(rows, groups, keep)
        deeper = [group for group in groups if group.shared > common and len(group.rows) > 1]
        # Without a shared prefix a first pass would save nothing; and each of its rows needs further tokens.
        if deeper and min(map(len, rows)) > common + keep:
            rest = max(keep, max(len(prompts[row]) - g.shared for g in deeper for row in g.rows))
            alone = [max(common or 1, len(prompts[g.rows[0]]) - rest) for g in groups]
            ends = [g.shared if len(g.rows) > 1 else end for g, end in zip(groups, alone, strict=True)]
            sizes = self._tensor([len(g.rows) for g in groups])
            heads = [prompts[g.rows[0]][common:end] for g, end in zip(groups, ends, strict=True)]
            state = self._advance(self._copied(state, [0] * len(groups)), heads, 1)
            copies = self._tensor(list(range(len(groups)))).repeat_interleave(sizes).tolist()
            rows = [prompts[row][end:] for g, end in zip(groups, ends, strict=True) for row in g.rows]
        else:
            copies = [0] * len(rows)
            rows = [row[common:] for row in rows]
        state = self._copied(state, copies)
        pieces = _pieces([len(row) for row in rows], keep)
        if len(pieces) > 1 and can_be_merged(state.cache):
            return self._in_pieces(state, rows, pieces, keep)
        return self._advance(state, rows, keep)

    def _begin(self, rows: Sequence[Sequence[int]], groups: Sequence[Group], keep: int) -> tuple[State, int]:
        """Read the common prefix of all rows as one row; return its length."""
        from sandbox.models.local.kv_cache import growing_cache

        nothing = self._tensor([[]])
        state = State(growing_cache(self._config), nothing, nothing)
        shared = min(group.shared for group in groups)
        common = shared_by_all(rows, min(shared, min(map(len, rows)) - keep - 1)) if shared else 0
        return (self._advance(state, [rows[0][:common]], 1), common) if common else (state, 0)

    def _copied(self, state: State, rows: Sequence[int]) -> State:
        """Copy rows of a batch; rows may be repeated."""
        chosen = self._tensor(rows)
        if state.mask.shape[1]:  # an empty cache has no rows yet
            state.cache.batch_select_indices(chosen)
        return State(state.cache, state.mask[chosen], state.mask)

    def _in_pieces(self, state: State, rows: Sequence[Sequence[int]], pieces: list[list[int]], keep: int) -> State:
        """Read rows of similar length together, to avoid padding, and merge the results."""
        import torch

        from sandbox.models.local.kv_cache import merged, part_of

        read = []
        for piece in pieces:
            kept = self._tensor(piece)
            begun = State(part_of(state.cache, kept, self._config), state.mask[kept], state.mask)
            read.append(self._advance(begun, [rows[i] for i in piece], keep))
        order = torch.argsort(self._tensor([i for piece in pieces for i in piece]))
        width = max(one.mask.shape[1] for one in read)
        masks = [torch.nn.functional.pad(one.mask, (width - one.mask.shape[1], 0)) for one in read]
        cache = merged([one.cache for one in read], order, self._config)
        return State(cache, torch.cat(masks)[order], torch.cat([one.logits for one in read])[order])

    def write(self, state: State, tokens: Tensor) -> State:
        """Read one further token of every row. Shape of ``tokens``: [rows]."""
        import torch

        mask = torch.cat([state.mask, torch.ones_like(tokens)[:, None]], dim=1)
        return self._run(state.cache, tokens[:, None], mask, 1)

    def select(self, state: State, rows: Tensor) -> State:
        """Keep only some rows of a batch; its cache is modified in place. Shape of ``rows``: [kept]."""
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


def _pieces(lengths: Sequence[int], keep: int) -> list[list[int]]:
    """Divide rows into pieces of similar length, longest first; one piece if dividing saves too little."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    size = max(_FEW_ROWS, -(-len(order) // 4))
    pieces = [order[i : i + size] for i in range(0, len(order), size)]
    whole = len(order) * max(lengths)
    cut = sum(len(piece) * max(lengths[piece[0]], keep) for piece in pieces)
    if min(lengths) < keep or whole - cut < max(_WORTH_IT, whole // 10):
        return [order]
    return pieces
