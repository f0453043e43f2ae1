"""Batching of prompts, with shared prefixes.

Reading prompts costs as much as generating replies, and prompts often share a prefix: several samples of one question, several
reviewers of one answer, several choices after one prompt. The shared prefix of a group of rows is read once; a prefix that all
groups share, such as one rubric for many answers, is read once for all of them. Knows only token ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A shorter prefix is not worth a forward pass.
MIN_SHARED = 32


@dataclass(frozen=True, slots=True)
class Group:
    """Rows whose first ``shared`` tokens are equal; a single row shares the prefix of its batch, or nothing."""

    rows: tuple[int, ...]
    shared: int


def plan(
    prompts: Sequence[Sequence[int]],
    new_tokens: Sequence[int],
    *,
    max_batch: int,
    batch_tokens: int,
    share: bool = True,
) -> list[list[Group]]:
    """Divide prompts into batches of similar length, keeping those with a common prefix together.

    Args:
        prompts: Token ids of each row.
        new_tokens: Maximum number of tokens generated for each row.
        max_batch: Maximum number of rows in a batch, at least 1.
        batch_tokens: Maximum of rows times the longest row with its new tokens; a single row may be longer.
        share: Whether to find common prefixes.

    Returns:
        Batches of groups, which contain every row once. Long rows come first, so that out-of-memory errors occur early.
    """
    every = shared_by_all(prompts) if share else 0
    groups = _groups(prompts, max_batch, every) if share else [Group((row,), 0) for row in range(len(prompts))]
    lengths = [len(p) + n for p, n in zip(prompts, new_tokens, strict=True)]
    groups.sort(key=lambda g: (-max(lengths[row] for row in g.rows), g.rows))
    batches: list[list[Group]] = []
    rows = longest = 0
    for group in groups:
        size = len(group.rows)
        if not batches or rows + size > max_batch or (rows + size) * longest > batch_tokens:
            pieces = _pieces(group, max(lengths[row] for row in group.rows), max_batch, batch_tokens, every)
            batches += [[piece] for piece in pieces]
            rows, longest = len(pieces[-1].rows), max(lengths[row] for row in pieces[-1].rows)
        else:
            batches[-1].append(group)
            rows += size
    return batches


def _pieces(group: Group, longest: int, max_batch: int, batch_tokens: int, every: int) -> list[Group]:
    """Split a group that is too large for one batch; every piece reads the common prefix again."""
    size = max(1, min(max_batch, batch_tokens // max(1, longest)))
    return [
        Group(part, group.shared if len(part) > 1 else every)
        for part in (group.rows[i : i + size] for i in range(0, len(group.rows), size))
    ]


def _groups(prompts: Sequence[Sequence[int]], max_batch: int, every: int) -> list[Group]:
    """Find rows with a common prefix beyond that of all rows: they are adjacent in sorted order."""
    order = sorted(range(len(prompts)), key=lambda row: tuple(prompts[row]))
    groups: list[Group] = []
    rows: list[int] = []
    shared = every
    for row in order:
        if rows:
            limit = min(shared if len(rows) > 1 else len(prompts[rows[0]]) - 1, len(prompts[row]) - 1)
            common = common_prefix(prompts[rows[-1]], prompts[row], limit)
            # Another row saves the prefix once more, but may shorten it for all.
            gains = len(rows) * (common - every) >= (len(rows) - 1) * (shared - every)
            if common >= every + MIN_SHARED and gains and len(rows) < max_batch:
                rows.append(row)
                shared = common
                continue
            groups.append(Group(tuple(rows), shared))
        rows, shared = [row], every
    if rows:
        groups.append(Group(tuple(rows), shared))
    return groups


def shared_by_all(prompts: Sequence[Sequence[int]], limit: int | None = None) -> int:
    """Length of the common prefix of all prompts, each with at least one further token; 0 if not worth a forward pass.

    Args:
        prompts: Token ids.
        limit: Maximum length.
    """
    if len(prompts) < 2:
        return 0
    longest = min(map(len, prompts)) - 1
    # The common prefix of the first and the last in sorted order is that of all.
    common = common_prefix(
        min(prompts, key=tuple), max(prompts, key=tuple), longest if limit is None else min(longest, limit)
    )
    return common if common >= MIN_SHARED else 0


def common_prefix(a: Sequence[int], b: Sequence[int], limit: int) -> int:
    """Length of the common prefix of two sequences, at most ``limit``."""
    for i in range(limit):
        if a[i] != b[i]:
            return i
    return max(limit, 0)
