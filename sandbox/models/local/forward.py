"""Runs a causal language model over a batch of prompts and one token further at a time.

Prompts are padded on the left, so that all of them end at the last column. Beginnings that rows share are read once,
what all of them share first and then what each group does, and their keys and values copied to every row. Knows token
numbers and tensors; knows nothing of requests.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.models.local.batching import Group, shared_by_all

if TYPE_CHECKING:
    from torch import Tensor

# Fewer rows at once do not keep a processor busy; fewer columns of padding cost less than the copy they would save.
_FEW_ROWS = 8
_WORTH_IT = 256


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
        from sandbox.models.local.kv_cache import can_be_merged

        rows = [prompts[row] for group in groups for row in group.rows]
        state, common = self._begin(rows, groups, keep)
        deeper = [group for group in groups if group.shared > common and len(group.rows) > 1]
        # With nothing shared a first pass would save nothing; and each row of it needs tokens of its own.
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
        """Read what all rows begin with, as one row; gives how many tokens that is."""
        from sandbox.models.local.kv_cache import growing_cache

        nothing = self._tensor([[]])
        state = State(growing_cache(self._config), nothing, nothing)
        shared = min(group.shared for group in groups)
        common = shared_by_all(rows, min(shared, min(map(len, rows)) - keep - 1)) if shared else 0
        return (self._advance(state, [rows[0][:common]], 1), common) if common else (state, 0)

    def _copied(self, state: State, rows: Sequence[int]) -> State:
        """These rows of a batch, some of them several times."""
        chosen = self._tensor(rows)
        if state.mask.shape[1]:  # a cache that is empty has no rows yet
            state.cache.batch_select_indices(chosen)
        return State(state.cache, state.mask[chosen], state.mask)

    def _in_pieces(self, state: State, rows: Sequence[Sequence[int]], pieces: list[list[int]], keep: int) -> State:
        """Read rows of about the same length together, so that little is padded, and go on with all of them."""
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


def _pieces(lengths: Sequence[int], keep: int) -> list[list[int]]:
    """Rows in pieces of about the same length, longest first; one piece where cutting saves too little."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    size = max(_FEW_ROWS, -(-len(order) // 4))
    pieces = [order[i : i + size] for i in range(0, len(order), size)]
    whole = len(order) * max(lengths)
    cut = sum(len(piece) * max(lengths[piece[0]], keep) for piece in pieces)
    if min(lengths) < keep or whole - cut < max(_WORTH_IT, whole // 10):
        return [order]
    return pieces
