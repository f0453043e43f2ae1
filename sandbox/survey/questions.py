"""Questions of a survey: their kinds, and reading them from a table. Knows no agents or models."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from sandbox.data_files import Place, read_records
from sandbox.errors import DataFileError, nearest
from sandbox.seeding import keyed_seed

KINDS = ("text", "number", "choice", "ordered")
_UNKNOWN = "unknown column"
COLUMNS = ("id", "question", "kind", "options", "low", "high")


@dataclass(frozen=True, slots=True)
class SurveyQuestion:
    """One question of a survey.

    Attributes:
        question: Its text.
        id: Its name in tables.
        kind: ``text`` (free text), ``number`` (from ``low`` to ``high``), ``choice`` (one of ``options``), or ``ordered`` (one
            of ``options``, which have an order, such as ``never``, ``sometimes``, ``often``).
        options: Options of a choice.
        low: Lowest number. If both bounds are of type int, answers are whole numbers.
        high: Highest number.
    """

    question: str
    id: str
    kind: str = "text"
    options: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def turn(self) -> int:
        """Number that makes its random draws those of this question, wherever it stands in the table."""
        return keyed_seed("survey", self.id) % 2**31

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest number, of a question that asks for one."""
        return 0 if self.low is None else self.low, 0 if self.high is None else self.high

    def faults(self) -> list[str]:
        """List what is wrong with it."""
        found = [] if self.question.strip() else ["has no question"]
        if self.kind not in KINDS:
            return [*found, f"kind {self.kind!r} is not one of {', '.join(KINDS)}.{nearest(self.kind, KINDS)}"]
        if self.kind in ("choice", "ordered"):
            folded = [option.strip().casefold() for option in self.options]
            if len(folded) < 2 or not all(folded):
                found.append(f"kind {self.kind} needs at least two options, separated by |")
            elif len(set(folded)) < len(folded):
                found.append(f"an option is given twice: {' | '.join(self.options)}")
        elif self.options:
            found.append(f"kind {self.kind} has no options; leave them out, or use kind choice")
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if self.kind == "number":
            if len(bounds) < 2:
                found.append("kind number needs low and high")
            elif not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[1]:
                found.append(f"low must be below high; found {bounds[0]:g} and {bounds[1]:g}")
        elif bounds:
            found.append(f"kind {self.kind} has no low and high; leave them out, or use kind number")
        return found


Questions: TypeAlias = "str | Path | Sequence[str | Mapping[str, Any] | SurveyQuestion]"


def read_survey(source: Questions) -> list[SurveyQuestion]:
    """Read the questions of a survey.

    Args:
        source: A table (see :func:`sandbox.data_files.read_table`) with the columns ``question`` and, where they are needed,
            ``id`` (by default q1, q2, ...), ``kind``, ``options`` (separated by ``|``), ``low`` and ``high`` (0 and 10 for
            whole numbers, 0.0 and 10.0 for others too). Or a list of texts, of mappings with these keys, or of questions.
            Without ``kind`` a question with options is a choice, which is ordered if all options are numbers; one with low
            and high asks for a number; and any other for free text.

    Raises:
        DataFileError: the table cannot be read, or questions are invalid; lists all faults.
    """
    name = str(source) if isinstance(source, str | Path) else "the survey"
    records: Iterable[tuple[Place, Any]]
    if isinstance(source, str | Path):
        records = read_records(source)
    else:
        records = [(f"question {number}", one) for number, one in enumerate(source, 1)]
    questions, faults, ids = [], list[str](), set[str]()
    for number, (place, record) in enumerate(records, 1):
        one, wrong = _question(record, f"q{number}")
        # A column that is unknown is so in every row.
        faults += [f"  {place}: {words}" for words in wrong if not (words.startswith(_UNKNOWN) and faults)]
        if one is not None:
            if one.id in ids:
                faults.append(f"  {place}: the id {one.id!r} is given twice")
            ids.add(one.id)
            questions.append(one)
    if faults:
        raise DataFileError(f"{name} cannot be used:\n" + "\n".join(faults))
    if not questions:
        raise DataFileError(f"{name} holds no questions")
    return questions


def _question(record: Any, number: str) -> tuple[SurveyQuestion | None, list[str]]:
    if isinstance(record, SurveyQuestion):
        return record, record.faults()
    if isinstance(record, str):
        record = {"question": record}
    if not isinstance(record, Mapping):
        return None, [f"is a {type(record).__name__}; expected a text, or columns {', '.join(COLUMNS)}"]
    unknown = [str(key) for key in record if key not in COLUMNS]
    if unknown:
        return None, [f"{_UNKNOWN} {unknown[0]!r}.{nearest(unknown[0], COLUMNS)} Columns are {', '.join(COLUMNS)}"]
    faults: list[str] = []
    options = _options(record.get("options"))
    low, high = (_bound(record, name, faults) for name in ("low", "high"))
    kind = str(record.get("kind") or "").strip().lower() or _kind(options, low, high)
    text = str(record.get("question") or "").strip()
    name = str(record["id"]).strip() if record.get("id") not in (None, "") else number
    made = SurveyQuestion(text, name, kind, options, low, high)
    return made, faults or made.faults()


def _options(given: Any) -> tuple[str, ...]:
    if given is None or given == "":
        return ()
    parts = given.split("|") if isinstance(given, str) else list(given) if isinstance(given, list | tuple) else [given]
    return tuple(str(part).strip() for part in parts)


def _bound(record: Mapping[str, Any], name: str, faults: list[str]) -> float | None:
    value = record.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value)
        is_whole = isinstance(value, int) or re.fullmatch(r"\s*[-+]?\d+\s*", str(value))
        return int(value) if is_whole and math.isfinite(number) else number
    except (TypeError, ValueError, OverflowError):
        faults.append(f"{name} is {value!r}; expected a number")
        return None


def _kind(options: Sequence[str], low: float | None, high: float | None) -> str:
    if options:
        return "ordered" if positions(options) is not None else "choice"
    return "text" if low is None and high is None else "number"


def positions(options: Sequence[str]) -> list[float] | None:
    """The numbers that options are, such as 1 to 7, if all are and they increase; else None."""
    try:
        numbers = [float(option) for option in options]
    except ValueError:
        return None
    increases = all(a < b for a, b in pairwise(numbers))
    return numbers if increases and all(map(math.isfinite, numbers)) else None
