"""Answers of people to the questions of a survey, read from a table: one row per respondent and question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.data_files import read_records
from sandbox.errors import DataFileError, nearest

_ID = ("question_id", "id", "question")
_OTHER = ("answer", "respondent", "weight")


@dataclass(frozen=True, slots=True)
class HumanAnswer:
    """One person's answer to one question.

    Attributes:
        question: Id of the question, or its text.
        answer: The answer, as text.
        respondent: Who answered; rows of one respondent are drawn together in resamples. Each row is its own if None.
        weight: Weight of the answer.
        about: The other columns of its row, as text.
    """

    question: str
    answer: str
    respondent: str | None
    weight: float
    about: Mapping[str, str]


def read_people(source: str | Path) -> list[HumanAnswer]:
    """Read answers of people.

    Args:
        source: A table (see :func:`sandbox.data_files.read_table`) with columns ``question_id`` (or ``id`` or ``question``) and
            ``answer``; if there are, ``respondent`` and ``weight``; and any others, to make subgroups by. Rows without an
            answer are left out.

    Raises:
        DataFileError: the table cannot be read or lacks a column, or a weight is not a number of 0 or more.
    """
    records = read_records(source)
    columns = list(records[0][1]) if records and isinstance(records[0][1], Mapping) else []
    named = next((name for name in _ID if name in columns), None)
    if named is None or "answer" not in columns:
        lacking = "answer" if named is not None else "question_id"
        raise DataFileError(
            f"{source} has no column {lacking!r}.{nearest(lacking, columns)} Expected question_id, answer, and if needed "
            f"respondent, weight and columns of subgroups; found {', '.join(map(str, columns)) or 'no rows'}"
        )
    found = []
    for place, row in records:
        if not isinstance(row, Mapping):
            raise DataFileError(f"{place} is a {type(row).__name__}; expected an object")
        answer = _text(row.get("answer"))
        if answer:
            about = {str(name): _text(value) for name, value in row.items() if name != named and name not in _OTHER}
            who = _text(row.get("respondent")) or None
            found.append(HumanAnswer(_text(row.get(named)), answer, who, _weight(row.get("weight"), place), about))
    if not found:
        raise DataFileError(f"{source} holds no answers")
    return found


def _text(value: Any) -> str:
    """A cell as text; a whole number without a decimal point, whatever wrote it."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _weight(value: Any, place: str) -> float:
    if value is None or value == "" or value != value:
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise DataFileError(f"{place}: weight is {value!r}; expected a number of 0 or more")
    return weight
