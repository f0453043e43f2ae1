"""Rows in files: JSONL, Parquet, and the JSON layout of the paper's released data.

Rows are checked when they are read, so that a trainer meets no surprise in the middle of an epoch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.data_files import read_table, read_text
from sandbox.errors import DataFileError
from sandbox.folders import whole_file
from trainers.rows.format import make_rows
from trainers.rows.kinds import COLUMNS, RowKind, kind_of
from trainers.rows.validation import SCALE, is_rating, row_fault, scale_of

if TYPE_CHECKING:
    from datasets import Dataset

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
    _check_suffix(target)
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


def read_rows(path: str | Path) -> Dataset:
    """Read rows from a file.

    Args:
        path: ``.jsonl`` or ``.parquet`` with the columns of a kind, or ``.json`` in the paper's released
            layout. Prompts and answers may be texts or lists of messages. A missing ``part`` is
            ``imitation``, a missing ``scale`` 7. Candidates of the released layout whose score is outside
            1..scale are left out and counted: the authors write -1 or 8 where a score could not be read.

    Raises:
        DataFileError: with the row at fault.
    """
    source = Path(path)
    _check_suffix(source)
    if source.suffix == ".parquet":
        from datasets import Dataset

        if not source.is_file():
            raise DataFileError(f"{source} cannot be read: there is no such file")
        table = [dict(row) for row in Dataset.from_parquet(str(source), keep_in_memory=True)]
    elif source.suffix == ".jsonl":
        table = _read_lines(source)
    else:
        table = read_table(source)
    left_out: Counter[str] = Counter()
    if source.suffix == ".json":
        table = [_from_released(row, f"{source}, row {n}", left_out) for n, row in enumerate(table, 1)]
        table = [row for row in table if row["completions"]]
    kinds = {kind_of(row) for row in table}
    if len(kinds) != 1 or None in kinds:
        raise DataFileError(
            f"{source} holds "
            + ("no rows" if not table else "rows of different kinds" if len(kinds) > 1 else "rows of no known kind")
            + "; expected columns "
            + "; or ".join(", ".join(columns) for columns in COLUMNS.values())
        )
    kind = next(k for k in kinds if k is not None)
    return complete_rows(table, kind, str(source), left_out)


def complete_rows(
    table: Iterable[Mapping[str, Any]], kind: RowKind, where: str, left_out: Mapping[str, int] | None = None
) -> Dataset:
    """Rows with all the columns of their kind: talk as messages, and what may be missing filled in.

    Args:
        table: The rows as they are.
        kind: What they are said to be.
        where: They come from, for errors.
        left_out: What was not used, by reason.

    Raises:
        DataFileError: with the row at fault.
    """
    checked = [_whole(row, kind, f"{where}, row {n}") for n, row in enumerate(table, 1)]
    return make_rows(kind, checked, left_out)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    found = []
    # Not splitlines: answers may hold other line separators, which JSON does not escape.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataFileError(f"{path}, line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DataFileError(f"{path}, line {number} holds a {type(row).__name__}; expected an object")
        found.append(row)
    return found


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise DataFileError(f"{path} is no file of rows; use {', '.join(SUFFIXES[:-1])}, or {SUFFIXES[-1]}")


def _from_released(row: Any, where: str, left_out: Counter[str]) -> dict[str, Any]:
    if not isinstance(row, dict) or not {"query", "responses", "scores"} <= set(row):
        raise DataFileError(f"{where}: expected an object with query, responses and scores")
    scale = scale_of(row)
    answers, scores = row["responses"], row["scores"]
    if len(answers) != len(scores):
        raise DataFileError(f"{where}: {len(answers)} responses have {len(scores)} scores")
    rated = [(a, float(s)) for a, s in zip(answers, scores, strict=True) if is_rating(s, scale)]
    left_out["candidates without a rating"] += len(answers) - len(rated)
    return {
        "prompt": row["query"],
        "completions": [answer for answer, _ in rated],
        "ratings": [score for _, score in rated],
        "scale": scale,
    }


def _whole(row: Mapping[str, Any], kind: RowKind, where: str) -> dict[str, Any]:
    """A row with all its columns, talk as messages."""
    fault = row_fault(row, kind)
    if fault is not None:
        raise DataFileError(f"{where}: {fault}")
    prompt = _messages(row["prompt"], "user")
    found: dict[str, Any] = {
        **row,
        "prompt": prompt,
        "part": row.get("part") or "imitation",
        "question": row.get("question") or prompt[-1]["content"],
        "scale": scale_of(row),
    }
    answers = [name for name in ("completion", "chosen", "rejected") if name in COLUMNS[kind]]
    return found | {name: _messages(row[name], "assistant") for name in answers}


def _messages(given: Any, role: str) -> list[dict[str, str]]:
    turns = [{"role": role, "content": given}] if isinstance(given, str) else given
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]
