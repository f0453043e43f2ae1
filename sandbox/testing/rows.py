"""A few hand-written rows of every kind that trainers accept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

_QUESTIONS = (
    "How do I get on with my neighbour?",
    "May I read a letter that is not mine?",
    "What do I owe a friend who lied to me?",
    "Should one help a stranger who is lost?",
)
_ANSWERS = ("Talk to them, and listen to what they say.", "That depends on many things.", "Shout at them all night.")
_RATINGS = (6.5, 4.0, 1.5)

Row = dict[str, Any]


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


_BEST, _, _WORST = _ANSWERS
# The columns of each kind: TRL's formats, and ``ranked``.
_MAKERS: dict[str, Callable[[], list[Row]]] = {
    "ranked": lambda: [{"completions": list(_ANSWERS), "ratings": list(_RATINGS)}],
    "preferences": lambda: [{"chosen": _said(_BEST), "rejected": _said(_WORST)}],
    "demonstrations": lambda: [{"completion": _said(_BEST)}],
    "unpaired": lambda: [
        {"completion": _said(_BEST), "label": True},
        {"completion": _said(_WORST), "label": False},
    ],
    "prompts": lambda: [{}],
}
ROW_KINDS = tuple(_MAKERS)


def tiny_rows(kind: str) -> Dataset:
    """Return rows of one kind for four questions, enough for one batch.

    Args:
        kind: ``ranked``, ``preferences``, ``demonstrations``, ``unpaired`` or ``prompts``.

    Returns:
        A dataset with the kind's columns, and ``part``, ``question`` and ``scale`` as in rows from a run.
    """
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": question}],
                **columns,
                "part": "imitation",
                "question": question,
                "scale": 7.0,
            }
            for question in _QUESTIONS
            for columns in _MAKERS[str(kind)]()
        ]
    )
