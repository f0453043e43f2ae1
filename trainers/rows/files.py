"""Rows in files and data sets of the hub -> datasets; and back, as JSONL, Parquet or the paper's released JSON.

Rows are checked when they are read, so that errors do not occur in the middle of a training.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.data_files import TABLES, is_hub_name, json_type, read_records
from sandbox.errors import DataFileError, require_packages
from sandbox.folders import whole_file
from trainers.rows.format import make_rows
from trainers.rows.kinds import COLUMNS, RowKind, kind_of
from trainers.rows.layouts import convert_layout, split_conversation
from trainers.rows.validation import SCALE, is_rating, row_fault, scale_of

if TYPE_CHECKING:
    from datasets import Dataset

# Of files that are written.
SUFFIXES = (".jsonl", ".parquet", ".json")


def write_rows(rows: Dataset, path: str | Path) -> Path:
    """Write rows into a file, in one step.

    Args:
        rows: Of any kind.
        path: ``.jsonl``, ``.parquet``, or ``.json`` for the paper's released layout, a list of
            ``{query, responses, scores, models}``, which holds ranked rows with a single question each.

    Raises:
        DataFileError: the suffix is another, or the rows do not fit the layout.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise DataFileError(f"{path} is no file of rows; use {', '.join(SUFFIXES[:-1])}, or {SUFFIXES[-1]}")
    content = [dict(row) for row in rows] if target.suffix != ".parquet" else []
    if target.suffix == ".json":
        content = [_released(row, number, target) for number, row in enumerate(content, 1)]
    with whole_file(target) as fresh:
        if target.suffix == ".parquet":
            rows.to_parquet(str(fresh))
        elif target.suffix == ".jsonl":
            fresh.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in content), encoding="utf-8")
        else:
            fresh.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return target


def _released(row: Mapping[str, Any], number: int, path: Path) -> dict[str, Any]:
    if kind_of(row) != RowKind.RANKED or len(row["prompt"]) != 1:
        raise DataFileError(
            f"{path}: the .json layout holds ranked rows of one question each; row {number} is none. Write .jsonl"
        )
    return {
        "query": row["prompt"][0]["content"],
        "responses": row["completions"],
        "scores": [int(r) if r == int(r) else r for r in row["ratings"]],
        "models": ["social-sandbox"] * len(row["completions"]),
        # The authors' layout has no place for it; theirs is always 7.
        **({} if row["scale"] == SCALE else {"scale": row["scale"]}),
    }


def read_rows(source: str | Path) -> Dataset:
    """Read rows from a file or a dataset of the Hugging Face hub.

    Args:
        source: ``.jsonl``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet``, or ``OWNER/NAME``; with the columns of a kind, in
            the paper's released layout, or in one that :func:`trainers.rows.layouts.convert_layout` knows. Prompts and
            answers may be texts or lists of messages. A missing ``part`` is ``imitation``, a missing ``scale`` 7.

    Returns:
        The rows that can be used. What was left out is counted in :func:`~trainers.rows.format.row_statistics`: rows whose
        conversation does not end with an answer to a user turn, columns that are not used, and candidates of the released
        layout whose score is outside 1..scale (the authors write -1 or 8 where a score could not be read).

    Raises:
        DataFileError: with the row at fault, or if no row can be used.
    """
    path = Path(source)
    if not is_hub_name(source) and path.suffix not in TABLES:
        raise DataFileError(
            f"{source} is no file of rows; use {', '.join(TABLES[:-1])} or {TABLES[-1]}, or the name of a hub dataset"
        )
    require_packages("a dataset of rows", "datasets")
    return complete_rows(read_records(source), str(source))


def complete_rows(
    records: Iterable[tuple[str, Any]], source: str, left_out: Mapping[str, int] | None = None
) -> Dataset:
    """Convert records into rows with all the columns of their kind: messages, and defaults for what is missing.

    Args:
        records: Each with its place, for errors.
        source: Where all come from, for errors.
        left_out: What was not used before, by reason.

    Raises:
        DataFileError: with the row at fault, or if no row can be used.
    """
    not_used: Counter[str] = Counter(left_out or {})
    kept: list[tuple[str, dict[str, Any]]] = []
    for place, row in records:
        if not isinstance(row, Mapping):
            raise DataFileError(f"{place} is {json_type(row)}; expected an object")
        is_released = "query" in row and "responses" in row
        found, unused = convert_layout(_from_released(row, place, not_used) if is_released else row)
        not_used.update(f"values of the column {name!r}" for name in unused)
        if found.get("completions") or not is_released:
            kept.append((place, found))
    kinds = {kind_of(row) for _, row in kept}
    if len(kinds) != 1 or None in kinds:
        strange = next(
            (f"{place} has the columns {', '.join(row)}" for place, row in kept if kind_of(row) is None), None
        )
        raise DataFileError(
            f"{source} holds "
            + ("no rows" if not kept else "rows of different kinds" if len(kinds) > 1 else "rows of no known kind")
            + "; expected columns "
            + "; or ".join(", ".join(columns) for columns in COLUMNS.values())
            + "; or messages; or chosen, rejected as whole conversations"
            + (f". {strange}" if strange else "")
        )
    kind = next(k for k in kinds if k is not None)
    whole = [full for place, row in kept if (full := _whole(row, kind, place, not_used)) is not None]
    if not whole:
        reasons = ", ".join(f"{n} {reason}" for reason, n in not_used.items())
        raise DataFileError(f"{source} holds no rows that can be used; left out: {reasons}")
    return make_rows(kind, whole, not_used)


def _from_released(row: Mapping[str, Any], place: str, left_out: Counter[str]) -> dict[str, Any]:
    answers, scores = row.get("responses"), row.get("scores")
    if "query" not in row or not isinstance(answers, list) or not isinstance(scores, list):
        raise DataFileError(f"{place}: expected an object with query, responses and scores")
    if len(answers) != len(scores):
        raise DataFileError(f"{place}: {len(answers)} responses have {len(scores)} scores")
    scale = scale_of(row)
    rated = [(a, float(s)) for a, s in zip(answers, scores, strict=True) if is_rating(s, scale)]
    left_out["candidates without a rating"] += len(answers) - len(rated)
    return {
        "prompt": row["query"],
        "completions": [answer for answer, _ in rated],
        "ratings": [score for _, score in rated],
        "scale": scale,
    }


def _whole(row: dict[str, Any], kind: RowKind, place: str, left_out: Counter[str]) -> dict[str, Any] | None:
    """A row with all its columns, or None if it cannot be used, which is counted."""
    row = {name: _from_text(name, value) if isinstance(value, str) else value for name, value in row.items()}
    fault = row_fault(row, kind, is_split=False)
    if fault is not None:
        raise DataFileError(f"{place}: {fault}")
    split = split_conversation(row, kind)
    if isinstance(split, str):
        left_out[split] += 1
        return None
    return {
        **row,
        **split,
        **(_without_repeats(row, left_out) if kind == RowKind.RANKED else {}),
        "part": row.get("part") or "imitation",
        "question": row.get("question") or split["prompt"][-1]["content"],
        "scale": scale_of(row),
    }


def _from_text(name: str, text: str) -> Any:
    """The value of a column of truth values or numbers where a table, as CSV, has it as text."""
    if name == "label":
        return {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower(), text)
    if name in ("scale", "gap", "rating", "count"):
        try:
            return float(text) if text.strip() else None
        except ValueError:
            return text
    return text


def _without_repeats(row: Mapping[str, Any], left_out: Counter[str]) -> dict[str, Any]:
    """The completions of a row, each once, with the mean of its ratings."""
    ratings: dict[str, list[float]] = {}
    for text, rating in zip(row["completions"], row["ratings"], strict=True):
        ratings.setdefault(text, []).append(float(rating))
    left_out["candidates said twice"] += len(row["completions"]) - len(ratings)
    return {"completions": list(ratings), "ratings": [sum(given) / len(given) for given in ratings.values()]}
