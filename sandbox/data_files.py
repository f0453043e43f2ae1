"""Readers of user files: questions, tables of rows and texts, also from datasets of the Hugging Face hub.

What the rows are for is not known here.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from sandbox.errors import DataFileError, require_packages

TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
# Where a row stands, for messages: "people.csv, line 3".
Place: TypeAlias = str
_HUB_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::(?P<split>[\w.-]+))?")
_JSON_TYPES = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}


def read_questions(source: str | Path) -> list[str]:
    """Read questions from a file or a dataset of the Hugging Face hub.

    Args:
        source: ``.txt`` (one question per line); ``.jsonl``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet`` with texts, or
            with a column ``question``, ``query``, ``prompt`` or ``messages`` (of a list of messages, the last user turn
            is used); or the name of a dataset.

    Raises:
        DataFileError: the source cannot be read, or a row has none of these columns.
    """
    path = Path(source)
    if path.suffix == ".txt":
        # Not splitlines, which splits at Unicode line separators too.
        questions = [line.strip() for line in read_text(path).split("\n") if line.strip()]
    else:
        questions = [_question(row, place) for place, row in read_records(source)]
    if not questions:
        raise DataFileError(f"{source} holds no questions")
    return list(dict.fromkeys(questions))


def _question(row: Any, place: Place) -> str:
    if isinstance(row, str) and row.strip():
        return _first_human_turn(row)
    if not isinstance(row, Mapping):
        raise DataFileError(f"{place} is {json_type(row)}; expected a text, or an object with a column 'question'")
    for column in ("question", "query", "prompt", "chosen", "messages"):
        value = row.get(column)
        if isinstance(value, str) and value.strip():
            return _first_human_turn(value)
        if isinstance(value, list):
            users = [m.get("content") for m in value if isinstance(m, Mapping) and m.get("role") == "user"]
            if users and isinstance(users[-1], str) and users[-1].strip():
                return users[-1].strip()
    raise DataFileError(f"{place}: expected a column 'question', 'query' or 'prompt'; found {', '.join(map(str, row))}")


def _first_human_turn(text: str) -> str:
    """Extract the first question from an HH-RLHF transcript, ``Human: ... Assistant: ...``."""
    if "\n\nHuman:" not in text:
        return text.strip()
    return text.split("\n\nHuman:")[1].split("\n\nAssistant:")[0].strip()


def json_type(value: Any) -> str:
    """Name the type of a value as JSON has it, with its article: "an object", "a list", "a number"."""
    return _JSON_TYPES.get(type(value), "a number" if isinstance(value, int | float) else f"a {type(value).__name__}")


def is_hub_name(source: str | Path) -> bool:
    """Whether a source names a dataset of the hub, ``OWNER/NAME`` or ``OWNER/NAME:SPLIT``, and no file or local path.

    What begins with the name of a local folder is a path, even if there is nothing: most likely a run is misspelt.
    """
    text = str(source)
    is_name = bool(_HUB_NAME.fullmatch(text)) and Path(text).suffix not in (*TABLES, ".txt")
    return is_name and not Path(text).exists() and not Path(text).parent.is_dir()


def read_table(source: str | Path, *, texts: Collection[str] = ()) -> list[dict[str, Any]]:
    """Read a JSONL, JSON, CSV, TSV or Parquet file, or a hub dataset, as a list of rows.

    The values of CSV are text. JSON holds a list, an object with one list in it such as ``{"data": [...]}``, or one object
    per line.

    Args:
        source: The file, or the name of the dataset: ``OWNER/NAME`` for its split ``train``, or ``OWNER/NAME:SPLIT``.
        texts: Columns that must hold a text in every row.

    Raises:
        DataFileError: the file cannot be read, or a row is not what it should be; names the line, where there is one.
        ToolNotFound: a hub dataset needs the package datasets, which is not installed.
    """
    rows = []
    for place, row in read_records(source):
        if not isinstance(row, dict):
            raise DataFileError(f"{place} is {json_type(row)}; expected an object")
        missing = [name for name in texts if not isinstance(row.get(name), str) or not row[name].strip()]
        if missing:
            raise DataFileError(f"{place} has no {', '.join(missing)}; every row needs a text in {', '.join(texts)}")
        rows.append(row)
    return rows


def read_records(source: str | Path) -> list[tuple[Place, Any]]:
    """Read values of any type, such as texts of a JSON list, each with the place where it stands, for messages."""
    path = Path(source)
    if is_hub_name(source):
        return _numbered(str(source), _load_hub_dataset(str(source)))
    if path.suffix in (".csv", ".tsv"):
        return list(_read_csv(path))
    if path.suffix == ".json":
        return _read_json(path)
    if path.suffix == ".jsonl":
        return _read_json_lines(read_text(path), path)
    if path.suffix == ".parquet":
        return _numbered(path, _read_parquet(path))
    raise DataFileError(
        f"{str(source)!r} is not a .txt, {', '.join(TABLES[:-1])} or {TABLES[-1]} file, nor a hub dataset such as "
        "Anthropic/hh-rlhf"
    )


def _numbered(source: str | Path, rows: list[Any]) -> list[tuple[Place, Any]]:
    return [(f"{source}, row {number}", row) for number, row in enumerate(rows, 1)]


def _load_hub_dataset(source: str) -> list[dict[str, Any]]:
    require_packages(f"the dataset {source!r}", "datasets")
    from datasets import load_dataset

    named = _HUB_NAME.fullmatch(source)
    name, split = (named["name"], named["split"]) if named else (source, None)
    try:
        return [dict(row) for row in load_dataset(name, split=split or "train")]
    except Exception as error:  # the hub's client raises many kinds
        hint = "" if split else f"; another split than train is called {name}:SPLIT"
        raise DataFileError(
            f"{source!r} does not exist here, and as a dataset of the hub it cannot be loaded: {error}{hint}"
        ) from error


def _read_json(path: Path) -> list[tuple[Place, Any]]:
    text = read_text(path)
    first, *more = (line for line in text.split("\n") if line.strip()) if text.strip() else ("",)
    if more and first.lstrip().startswith("{") and first.rstrip().endswith("}"):
        # One object per line: JSON Lines under the name of JSON, as many tools write.
        return _read_json_lines(text, path)
    found = parse_json(text, str(path))
    if isinstance(found, dict):
        lists = {key: value for key, value in found.items() if isinstance(value, list)}
        rows = lists.get("data") if len(lists) != 1 else next(iter(lists.values()))
        if rows is None:
            raise DataFileError(
                f"{path} holds an object with the fields {', '.join(found) or 'none'}; expected a list of rows, or an "
                'object such as {"data": [...]}'
            )
        return _numbered(path, rows)
    if not isinstance(found, list):
        raise DataFileError(f"{path} holds {json_type(found)}; expected a list of rows")
    return _numbered(path, found)


def _read_json_lines(text: str, path: Path) -> list[tuple[Place, Any]]:
    # Not splitlines: texts may contain other line separators, which JSON does not escape.
    lines = ((f"{path}, line {number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    return [(place, parse_json(line, place)) for place, line in lines]


def half_character(value: Any) -> str | None:
    """A lone surrogate in the texts of a JSON value, which is half of a character and cannot be stored; None without one."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return str(error.object[error.start])
    return None


def parse_json(text: str, where: str, *, check_texts: bool = True) -> Any:
    """Parse a JSON text that a user gave; with ``check_texts``, refuse texts that cannot be stored.

    Raises:
        DataFileError: it is not JSON, is nested too deeply, or holds half of a character.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataFileError(f"{where} is not JSON: {error}") from None
    except RecursionError:
        raise DataFileError(f"{where} is not a row: its JSON is nested too deeply") from None
    if check_texts and ("\\ud" in text or "\\uD" in text) and (half := half_character(found)) is not None:
        raise DataFileError(f"{where} holds {half!r}, half of a character, which no text can contain")
    return found


def _read_csv(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    text = read_text(path)
    # The limit is the csv module's own, 131072 characters; a cell may be a whole document.
    limit = csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(text, path))
    header: list[str] | None = None
    place = str(path)
    try:
        while True:
            place = f"{path}, line {reader.line_num + 1}"
            cells = next(reader, None)
            if cells is None:
                return
            # Spreadsheets write empty columns and rows beside and below a table.
            while cells and not cells[-1].strip() and (header is None or len(cells) > len(header)):
                cells.pop()
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [name.strip() for name in cells]
                if len(set(header)) < len(header):
                    twice = next(name for name in header if header.count(name) > 1)
                    raise DataFileError(f"{place}: two columns are called {twice!r}; rename one of them")
                continue
            if len(cells) != len(header):
                raise DataFileError(
                    f"{place} has {'more' if len(cells) > len(header) else 'fewer'} values than the header has columns "
                    f"({len(cells)}, not {len(header)}); quote values that contain commas"
                )
            yield place, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataFileError(f"{place} is not CSV: {error}") from None
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str, path: Path) -> str:
    """The separator of a table: spreadsheets write semicolons where a comma is the decimal mark."""
    if path.suffix == ".tsv":
        return "\t"
    header = text.lstrip("\n").partition("\n")[0]
    return next((mark for mark in (",", ";", "\t") if mark in header), ",")


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    require_packages(f"the file {path}", "pyarrow")
    from pyarrow import ArrowException, parquet

    try:
        return list(parquet.read_table(path).to_pylist())
    except (OSError, ArrowException) as error:
        raise DataFileError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Raises:
        DataFileError: the file does not exist or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataFileError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataFileError(f"{path} is not UTF-8 text; convert it first") from None
