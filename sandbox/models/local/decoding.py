"""Token-by-token decoding of a batch, with a seed per row, until all rows have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.models.local.batching import Group
from sandbox.models.local.sampling import sample, signed

if TYPE_CHECKING:
    from sandbox.models.local.forward import Forward


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt to be continued.

    Attributes:
        ids: Token ids of the prompt.
        max_tokens: Maximum number of new tokens.
        seed: Seed of the sampling noise of this row.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Nucleus probability, in (0, 1].
        stop: Strings that end the reply.
    """

    ids: tuple[int, ...]
    max_tokens: int
    seed: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """The continuation of a row.

    Attributes:
        text: Text without the stop string, stripped.
        tokens: Number of new tokens, without the end token.
        reason: ``stop`` or ``length``.
    """

    text: str
    tokens: int
    reason: str


class Decoder:
    """Continues batches of rows.

    Args:
        forward: The model.
        tokenizer: Its tokenizer.
        ends: Tokens that end a reply.
        top_k: See :func:`~sandbox.models.local.sampling.sample`.
    """

    def __init__(self, forward: Forward, tokenizer: Any, ends: frozenset[int], top_k: int) -> None:
        self._forward = forward
        self._tokenizer = tokenizer
        self._ends = ends
        self._top_k = top_k

    def write(
        self, rows: Sequence[Row], groups: Sequence[Group], on_tokens: Callable[[int], None] | None = None
    ) -> list[Written]:
        """Continue one batch.

        Args:
            rows: All rows.
            groups: Groups of the rows in the batch.
            on_tokens: Callback, receives the number of tokens of each step.

        Returns:
            One continuation per row of the batch, in the order of the groups' rows.
        """
        import torch

        batch = [rows[row] for group in groups for row in group.rows]
        replies: list[list[int]] = [[] for _ in batch]
        done: list[Written | None] = [None] * len(batch)
        alive = list(range(len(batch)))
        state = self._forward.read([row.ids for row in rows], groups)
        device = state.logits.device
        seeds = torch.tensor([signed(row.seed) for row in batch], device=device)
        temperature = torch.tensor([row.temperature for row in batch], device=device)
        top_p = torch.tensor([row.top_p for row in batch], device=device)
        step = 0
        while True:
            tokens = sample(
                state.logits[:, -1],
                seeds=seeds,
                positions=torch.full_like(seeds, step),
                temperature=temperature,
                top_p=top_p,
                top_k=self._top_k,
            )
            step += 1
            written = 0
            for i, token in zip(alive, tokens.tolist(), strict=True):
                if done[i] is None:
                    written += 1
                    done[i] = self._next(batch[i], replies[i], token)
            if on_tokens is not None:
                on_tokens(written)
            left = [place for place, i in enumerate(alive) if done[i] is None]
            if not left:
                return [one for one in done if one is not None]
            if 8 * len(left) <= 7 * len(alive):
                # A finished row costs as much as any other; copying the cache without it costs less than a step.
                kept = torch.tensor(left, device=device)
                state = self._forward.select(state, kept)
                tokens, seeds, temperature, top_p = (t[kept] for t in (tokens, seeds, temperature, top_p))
                alive = [alive[place] for place in left]
            state = self._forward.write(state, tokens)

    def _next(self, row: Row, reply: list[int], token: int) -> Written | None:
        """Add a token to a reply; return the result if the reply ends, else None."""
        if token in self._ends:
            return Written(self._text(reply), len(reply), "stop")
        reply.append(token)
        if row.stop:
            text = self._text(reply, strip=False)
            ends = [at for at in (text.find(stop) for stop in row.stop) if at >= 0]
            if ends:
                return Written(text[: min(ends)].strip(), len(reply), "stop")
        if len(reply) >= row.max_tokens:
            # The last character may be incomplete.
            return Written(self._text(reply).rstrip("\ufffd").rstrip(), len(reply), "length")
        return None

    def _text(self, reply: list[int], *, strip: bool = True) -> str:
        text = str(self._tokenizer.decode(reply, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return text.strip() if strip else text
