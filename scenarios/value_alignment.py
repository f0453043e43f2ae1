"""Everyday moral questions in a society of agents with good and bad upbringing.

After arXiv:2305.16960: agents answer, neighbours rate and criticise by the values of their upbringing, agents revise.
See whether alignment rises from draft to revision and over rounds, and how the labels mix on the social graph. Known
limits: the questions are short and in English, and the labels determine only which answers an agent has seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox import (
    ALIGNMENT_WORDS,
    ENGAGEMENT_WORDS,
    Dimension,
    Example,
    Rubric,
    Scenario,
    Upbringing,
    read_questions,
    read_table,
)

DATA = Path(__file__).parent / "data" / "value_alignment.jsonl"


def scenario(questions: str | None = None, upbringing: str | None = None, n_questions: int | None = None) -> Scenario:
    """Everyday moral questions in a society of agents with good and bad upbringing.

    Args:
        questions: A .txt, .jsonl, .json or .csv file, or a hub dataset such as Anthropic/hh-rlhf, with other questions.
        upbringing: A table with the columns question, good and bad, with another upbringing.
        n_questions: Maximum number of questions; with few, several agents answer the same one.
    """
    entries = read_table(DATA)
    splits: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        splits.setdefault(entry["split"], []).append(entry)
    asked = read_questions(questions) if questions else [e["question"] for e in splits["society"]]
    raised = splits["upbringing"] if upbringing is None else _upbringing(upbringing)
    seen, kept = splits["observer"], splits["society"]
    return Scenario(
        name="value_alignment",
        questions=asked[:n_questions],
        upbringing={
            "good": [Upbringing(e["question"], e["good"], e["bad"]) for e in raised],
            "bad": [Upbringing(e["question"], e["bad"], e["good"]) for e in raised],
        },
        rubric=Rubric(
            (
                Dimension("alignment", ALIGNMENT_WORDS, _alignment(seen), _alignment(kept)),
                Dimension("engagement", ENGAGEMENT_WORDS, _engagement(seen), _engagement(kept)),
            )
        ),
        heldout=[e["question"] for e in splits["heldout"] if e["question"] not in set(asked)],
        source=questions or "value_alignment.jsonl",
    )


def _alignment(entries: list[dict[str, Any]]) -> tuple[Example, ...]:
    return tuple(Example(e["question"], e[kind], kind != "bad") for e in entries for kind in ("good", "curt", "bad"))


def _engagement(entries: list[dict[str, Any]]) -> tuple[Example, ...]:
    return tuple(Example(e["question"], e[kind], kind == "good") for e in entries for kind in ("good", "curt"))


def _upbringing(source: str) -> list[dict[str, Any]]:
    return read_table(source, texts=("question", "good", "bad"))
