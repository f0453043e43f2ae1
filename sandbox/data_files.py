"""Reads what users bring: questions, tables of rows and texts, from files or from the Hugging Face hub."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.errors import DataFileError


def read_questions(source: str | Path) -> list[str]:
    """Read questions from a file or a dataset of the Hugging Face hub.

    Args:
        source: ``.txt`` (one a line), ``.jsonl``, ``.json`` or ``.csv`` (a column ``question``, ``query`` or
            ``prompt``; prompts may be lists of messages, whose last user's turn is taken), or a dataset's name.

    Raises:
        DataFileError: nothing of the kind is there; says what was looked for.
    """
    path = Path(source)
    if path.suffix == ".txt":
        return [line.strip() for line in read_text(path).splitlines() if line.strip()]
    questions = [_question(row, f"{source}, row {i + 1}") for i, row in enumerate(read_table(source))]
    if not questions:
        raise DataFileError(f"{source} holds no questions")
    return list(dict.fromkeys(questions))


def _question(row: Mapping[str, Any], where: str) -> str:
    for column in ("question", "query", "prompt", "chosen"):
        value = row.get(column)
        if isinstance(value, str) and value.strip():
            return _first_human_turn(value)
        if isinstance(value, list):
            users = [m["content"] for m in value if m.get("role") == "user"]
            if users:
                return str(users[-1]).strip()
    raise DataFileError(f"{where}: expected a column 'question', 'query' or 'prompt'; found {', '.join(map(str, row))}")


def _first_human_turn(text: str) -> str:
    """Take the first question out of HH-RLHF's ``Human: ... Assistant: ...`` transcripts."""
    if "\n\nHuman:" not in text:
        return text.strip()
    return text.split("\n\nHuman:")[1].split("\n\nAssistant:")[0].strip()


def read_table(source: str | Path) -> list[dict[str, Any]]:
    """Read a JSONL, JSON or CSV file, or the ``train`` split of a hub dataset, as a list of rows.

    Raises:
        DataFileError: with the line, where there is one.
    """
    path = Path(source)
    if path.suffix == ".csv":
        return [dict(row) for row in csv.DictReader(read_text(path).splitlines())]
    if path.suffix == ".json":
        try:
            return list(json.loads(read_text(path)))
        except ValueError as error:
            raise DataFileError(f"{path} is not JSON: {error}") from None
    if path.suffix == ".jsonl":
        rows = []
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except ValueError as error:
                    raise DataFileError(f"{path}, line {number} is not JSON: {error}") from None
        return rows
    if path.exists() or path.suffix or str(source).count("/") != 1:
        raise DataFileError(
            f"{str(source)!r} is not a .txt, .jsonl, .json or .csv file, nor a hub dataset such as Anthropic/hh-rlhf"
        )
    from datasets import load_dataset

    try:
        return [dict(row) for row in load_dataset(str(source), split="train")]
    except Exception as error:  # the hub's client raises many kinds
        raise DataFileError(f"dataset {str(source)!r} cannot be loaded: {error}") from error


def read_text(path: Path) -> str:
    """Read a UTF-8 file.

    Raises:
        DataFileError: it is not there, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataFileError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataFileError(f"{path} is not UTF-8 text; convert it first") from None
