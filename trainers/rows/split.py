"""Split of rows into training and held-out rows, by question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.errors import SettingsError, TrainingDataError
from sandbox.seeding import keyed_seed

if TYPE_CHECKING:
    from datasets import Dataset


def split_rows(rows: Dataset, share: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Hold out the rows of a share of the questions.

    Which side a question falls on depends on the question and the seed alone, not on what else is in the rows: so
    rows of different kinds, runs and files that are split alike agree on it. The share is therefore met only about;
    each side gets a question at least.

    Args:
        rows: Of any kind; where they name no ``question``, their prompt counts as one.
        share: Of the questions, above 0 and below 1.
        seed: Keys the draw.

    Returns:
        The rows to learn from, and those held out.

    Raises:
        SettingsError: the share is not between 0 and 1.
        TrainingDataError: the rows have fewer than two questions.
    """
    if not 0 < share < 1:
        raise SettingsError(f"a share of {share:g} cannot be held out; give one above 0 and below 1, for example 0.2")
    asked = [_question(row) for row in rows]
    drawn = {question: keyed_seed(seed, "split", question) / 2**63 for question in asked}
    if len(drawn) < 2:
        raise TrainingDataError(
            f"rows of {len(drawn)} question(s) cannot be split: learning and holding out need one each; collect more "
            "questions, or hold none out"
        )
    lowest, highest = min(drawn, key=drawn.__getitem__), max(drawn, key=drawn.__getitem__)
    held = {question for question, at in drawn.items() if at < share} - {highest} | {lowest}
    sides: tuple[list[int], list[int]] = ([], [])
    for number, question in enumerate(asked):
        sides[question in held].append(number)
    learnt, kept = sides
    heldout = rows.select(kept)
    heldout.info.description = ""  # what was left out of the record is told once, beside the rows to learn from
    return rows.select(learnt), heldout


def _question(row: dict[str, object]) -> str:
    return str(row.get("question") or row["prompt"])
