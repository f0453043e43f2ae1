"""The kinds of training rows, and the columns of each.

What is made into rows, and what learns from them, is not known here.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class RowKind(StrEnum):
    """Kinds of training rows, as TRL names its formats: https://huggingface.co/docs/trl/dataset_formats."""

    DEMONSTRATIONS = "demonstrations"
    PREFERENCES = "preferences"
    UNPAIRED = "unpaired"
    RANKED = "ranked"
    PROMPTS = "prompts"


COLUMNS: dict[RowKind, tuple[str, ...]] = {
    RowKind.RANKED: ("prompt", "completions", "ratings"),
    RowKind.PREFERENCES: ("prompt", "chosen", "rejected"),
    RowKind.UNPAIRED: ("prompt", "completion", "label"),
    RowKind.DEMONSTRATIONS: ("prompt", "completion"),
    RowKind.PROMPTS: ("prompt",),
}


def kind_of(columns: Collection[str]) -> RowKind | None:
    """The kind that rows with these columns are of, or None."""
    return next((kind for kind, needed in COLUMNS.items() if set(needed) <= set(columns)), None)
