"""Validation of rows against their kind, when they are read from a file and before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.errors import TrainingDataError
from trainers.rows.kinds import COLUMNS, RowKind, kind_of

if TYPE_CHECKING:
    from datasets import Dataset

# The highest rating of rows that do not say theirs: the paper's.
SCALE = 7.0


def check_rows(rows: Dataset, owner: str, accepts: RowKind) -> None:
    """Refuse rows that a trainer cannot learn from.

    Args:
        rows: The rows.
        owner: The trainer's name.
        accepts: The kind it needs.

    Raises:
        TrainingDataError: they are of another kind, or there are none, or one of them is not what it should be.
    """
    given = kind_of(rows.column_names)
    if given != accepts:
        found = f"{given} rows" if given else "rows of no known kind"
        raise TrainingDataError(
            f"trainer {owner!r} learns from {accepts} rows (columns {', '.join(COLUMNS[accepts])}); "
            f"given {found} (columns {', '.join(rows.column_names) or 'none'}). Make them with: "
            f"sandbox dataset RUN --kind {accepts} --out FILE"
        )
    if len(rows) == 0:
        raise TrainingDataError(
            f"trainer {owner!r} was given no rows: nothing in the record could be learnt from. Run more "
            f"rounds, or see what was left out with: sandbox dataset RUN --kind {accepts} --out FILE"
        )
    for number, row in enumerate(rows, 1):
        fault = row_fault(row, accepts)
        if fault is not None:
            raise TrainingDataError(f"row {number} of those given to trainer {owner!r}: {fault}")


def row_fault(row: Mapping[str, Any], kind: RowKind, *, is_split: bool = True) -> str | None:
    """What is wrong with a row, in words; None where nothing is.

    Args:
        row: With the columns of its kind. Prompts and answers may be texts or lists of messages.
        kind: What it is said to be.
        is_split: Prompts and answers have been separated from each other, and no turn may be empty. Otherwise the answers
            may still hold the prompt.
    """
    for name in COLUMNS[kind]:
        if name in ("prompt", "completion", "chosen", "rejected") and not _is_talk(row[name], is_split):
            return f"{name} is neither text nor a list of messages with role (system, user, assistant) and content"
        if is_split and (fault := _turn_fault(name, row[name])) is not None:
            return fault
    for name in ("part", "question"):
        if not isinstance(row.get(name), str | None):
            return f"{name} is {row[name]!r}; expected a text"
    for name in ("scale", "gap", "rating", "count"):
        given = row.get(name)
        if given is not None and not _is_number(given):
            return f"{name} is {given!r}; expected a number"
    if row.get("gap") is not None and row["gap"] < 0:
        return f"gap is {row['gap']!r}; expected how much better the chosen answer is, 0 or more"
    if row.get("scale") is not None and row["scale"] <= 1:
        return f"scale is {row['scale']!r}; expected the highest rating, above 1"
    if row.get("count") is not None and row["count"] <= 0:
        return f"count is {row['count']!r}; expected how many times the answer was given, above 0"
    if kind == RowKind.UNPAIRED and not isinstance(row["label"], bool):
        return f"label is {row['label']!r}; expected true or false"
    return _ranking_fault(row) if kind == RowKind.RANKED else None


def scale_of(row: Mapping[str, Any]) -> float:
    """The highest rating that a row's answers could have."""
    given: Any = row.get("scale")
    return float(given) if _is_number(given) else SCALE


def rating_of(row: Mapping[str, Any]) -> float:
    """Rating of the answer of an unpaired row, in 1..scale; without one, the end of the scale that its label says."""
    rating = row.get("rating")
    return (scale_of(row) if row["label"] else 1.0) if rating is None else float(rating)


def is_rating(value: Any, scale: float) -> bool:
    """Whether a value is a number in 1..scale."""
    return _is_number(value) and 1 <= value <= scale


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _ranking_fault(row: Mapping[str, Any]) -> str | None:
    answers, ratings, scale = row["completions"], row["ratings"], scale_of(row)
    if not isinstance(answers, list) or not isinstance(ratings, list) or len(answers) != len(ratings) or not answers:
        return "expected a list of completions and as many ratings, at least one"
    if not all(isinstance(answer, str) and answer.strip() for answer in answers):
        return "a completion is empty or no text"
    wrong = [rating for rating in ratings if not is_rating(rating, scale)]
    if wrong:
        return f"rating {wrong[0]!r} is not a number in 1..{scale:g}; leave that answer out, or give the row's scale"
    return None


def _turn_fault(name: str, given: Any) -> str | None:
    """What is wrong with the order of turns of a prompt, or of an answer after it; None if nothing is."""
    if name not in ("prompt", "completion", "chosen", "rejected") or isinstance(given, str):
        return None
    if name == "prompt":
        last = given[-1]["role"] if given else "nothing"
        return None if last == "user" else f"prompt ends with {last}; expected a user turn, which the answer follows"
    roles = [turn["role"] for turn in given]
    if roles == ["assistant"]:
        return None
    return (
        f"{name} has the turns {', '.join(roles)}; expected one assistant turn. Put earlier turns into the prompt, or read the "
        "rows with read_rows, which does so"
    )


def _is_talk(given: Any, is_split: bool) -> bool:
    if isinstance(given, str):
        return bool(given.strip()) or not is_split
    if not isinstance(given, list) or not (given or not is_split):
        return False
    return all(_is_message(turn) and (turn["content"].strip() or not is_split) for turn in given)


def _is_message(turn: Any) -> bool:
    return (
        isinstance(turn, Mapping)
        and turn.get("role") in ("system", "user", "assistant")
        and isinstance(turn.get("content"), str)
    )
