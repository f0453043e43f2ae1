"""Probabilities of a few given strings as the reply, from forward passes.

Since tokenizers differ at the boundary between a prompt and a reply (some put a space token before a digit, some merge the
two), the prompt is tokenized together with every choice. The common prefix is the context; the rest of each is scored given
it: log P(choice) is the sum of the log-probabilities of its tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.models.local.batching import Group, common_prefix

if TYPE_CHECKING:
    from sandbox.models.local.forward import Forward


@dataclass(frozen=True, slots=True)
class Scored:
    """A sequence whose last tokens are scored.

    Attributes:
        ids: Input of the model: the context, and for a single ending all but its last token.
        endings: Token sequences of equal length, each scored after the context; several only if they are single tokens.
    """

    ids: tuple[int, ...]
    endings: tuple[tuple[int, ...], ...]


def separator(prefix: str, choice: str) -> str:
    """Separator between the prefix of a reply and a choice: a space after ``Rating:``."""
    return " " if prefix and not prefix[-1].isspace() and choice[:1].isalnum() else ""


def scored_rows(texts: Sequence[Sequence[int]], end: int | None) -> list[Scored]:
    """Make the rows that score a prompt's choices.

    Args:
        texts: Token ids of the prompt with each choice.
        end: The token that ends a reply. If one choice is a prefix of another, such as 1 of 10, it is appended to each.

    Returns:
        One row that scores all choices if they differ in one token, else one row per choice.

    Raises:
        ValueError: two choices have equal tokens.
    """
    if len(set(map(tuple, texts))) < len(texts):
        raise ValueError("two of the choices are equal")
    context = min(len(text) for text in texts) - 1
    for text in texts[1:]:
        context = common_prefix(texts[0], text, context)
    context = max(context, 1)
    endings = [tuple(text[context:]) for text in texts]
    if end is not None and any(a != b and b[: len(a)] == a for a in endings for b in endings):
        endings = [(*ending, end) for ending in endings]
    head = tuple(texts[0][:context])
    if all(len(ending) == 1 for ending in endings):
        return [Scored(head, tuple(endings))]
    return [Scored(head + ending[:-1], (ending,)) for ending in endings]


def score(forward: Forward, rows: Sequence[Scored], groups: Sequence[Group]) -> list[list[float]]:
    """Score the endings of one batch.

    Returns:
        Log-probabilities in nats: one list per row of the batch, in the order of the groups' rows, with one number per
        ending.
    """
    import torch

    batch = [rows[row] for group in groups for row in group.rows]
    keep = max(len(row.endings[0]) for row in batch)
    logits = forward.read([row.ids for row in rows], groups, keep).logits
    scores = []
    for row, seen in zip(batch, logits, strict=True):
        length = len(row.endings[0])
        nats = seen[-length:].double().log_softmax(dim=-1)  # [length, vocabulary]
        tokens = torch.tensor(row.endings, device=nats.device)  # [endings, length]
        scores.append(nats.gather(1, tokens.T).sum(dim=0).tolist())
    return scores
