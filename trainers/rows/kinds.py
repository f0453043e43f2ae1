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

# What columns hold; those behind "label" may stand in rows of any kind.
COLUMN_WORDS: dict[str, str] = {
    "prompt": "What is asked: a text, or messages.",
    "completion": "The answer.",
    "chosen": "The better answer.",
    "rejected": "The worse answer.",
    "completions": "Several answers.",
    "ratings": "Their ratings, from 1 to scale.",
    "label": "True for a good answer.",
    "part": "Part of the record: imitation, self_critic or realignment; for rewards, how answers were compared.",
    "question": "The question behind the prompt, by which rows are split and counted.",
    "scale": "Highest rating, 7 if it is left out.",
    "gap": "Difference of the ratings of chosen and rejected.",
    "rating": "Rating of the answer.",
    "count": "How often the answer was given.",
}


def kind_of(columns: Collection[str]) -> RowKind | None:
    """The kind that rows with these columns are of, or None."""
    return next((kind for kind, needed in COLUMNS.items() if set(needed) <= set(columns)), None)
