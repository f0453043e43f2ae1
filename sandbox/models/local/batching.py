"""Which prompts are run together, and what they share.

Reading prompts costs as much as writing replies, and prompts often begin alike: several samples of one question,
several reviewers of one answer, several choices after one prompt. A group of rows that begin alike has that beginning
read once; and where all groups begin alike, as with one rubric for many answers, that is read once for all of them.
Knows token numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A shorter beginning is not worth a pass of its own.
MIN_SHARED = 32


@dataclass(frozen=True, slots=True)
class Group:
    """Rows whose first ``shared`` tokens are the same; a row on its own shares what its batch does, or nothing."""

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
    """Cut prompts into batches of about the same length, keeping those together that begin alike.

    Args:
        prompts: Token numbers of each row.
        new_tokens: How many may be written after each row.
        max_batch: Rows in a batch at most, at least 1.
        batch_tokens: Rows times the longest row, with what may be written after it, at most; a single row may be
            longer.
        share: Look for common beginnings.

    Returns:
        Batches of groups; every row is in one of them. Long rows come first, so that what does not fit fails early.
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
    """Cut a group that is too large for one batch; every piece reads the common beginning again."""
    size = max(1, min(max_batch, batch_tokens // max(1, longest)))
    return [
        Group(part, group.shared if len(part) > 1 else every)
        for part in (group.rows[i : i + size] for i in range(0, len(group.rows), size))
    ]


def _groups(prompts: Sequence[Sequence[int]], max_batch: int, every: int) -> list[Group]:
    """Find rows that begin alike beyond what every row does: in sorted order they are neighbours."""
    order = sorted(range(len(prompts)), key=lambda row: tuple(prompts[row]))
    groups: list[Group] = []
    rows: list[int] = []
    shared = every
    for row in order:
        if rows:
            limit = min(shared if len(rows) > 1 else len(prompts[rows[0]]) - 1, len(prompts[row]) - 1)
            common = common_prefix(prompts[rows[-1]], prompts[row], limit)
            # One more row saves the beginning once more, but may shorten it for all.
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
    """How many tokens all prompts begin with, each having one more; 0 if too few to be worth a pass of their own.

    Args:
        prompts: Token numbers.
        limit: Not more than this.
    """
    if len(prompts) < 2:
        return 0
    longest = min(map(len, prompts)) - 1
    # What the first and the last in sorted order begin with, all others do.
    common = common_prefix(
        min(prompts, key=tuple), max(prompts, key=tuple), longest if limit is None else min(longest, limit)
    )
    return common if common >= MIN_SHARED else 0


def common_prefix(a: Sequence[int], b: Sequence[int], limit: int) -> int:
    """How many of the first ``limit`` tokens are the same in both."""
    for i in range(limit):
        if a[i] != b[i]:
            return i
    return max(limit, 0)
