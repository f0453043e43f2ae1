"""Edge lists: text files with one link per line, with any common separator, and perhaps a header, comments and weights."""

from __future__ import annotations

import ast
import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.data_files import read_text
from sandbox.errors import DataFileError

_SOURCES = {"source", "src", "from", "fromnodeid", "node1", "id1", "user1", "follower"}
_TARGETS = {"target", "dst", "dest", "to", "tonodeid", "node2", "id2", "user2", "followee", "followed"}
_WEIGHTS = {"weight", "weights", "w", "value", "strength", "count"}
# The attributes with which networkx ends the lines of an edge list: {'weight': 1.0}.
_ATTRIBUTES = re.compile(r"\s+(\{.*\})$")
_FORM = "expected two names of nodes per line, separated by a space, tab, comma or semicolon, and perhaps numbers after them"


@dataclass
class Links:
    """The links of a file, as they are listed.

    Attributes:
        ends: (source, target, weight) of each; the weight is None where it has none.
        is_directed: Whether sources and targets differ.
        nodes: Attributes of nodes, by node, in the order of the file; nodes of links that are not in it follow.
        notes: What is not used, or was decided by the form of the file.
    """

    ends: list[tuple[Any, Any, float | None]]
    is_directed: bool
    nodes: dict[Any, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_edge_list(path: Path) -> Links:
    """Read an edge list.

    A header names the columns: ``source`` and ``target`` (or the like), ``weight``, and ``type``, which may say Undirected.
    Without one, the first two columns are the ends, and a third one of numbers holds the weights.

    Raises:
        DataFileError: a line is no link; names it.
    """
    rows = _rows(path)
    if not rows:
        raise DataFileError(f"network {str(path)!r} holds no links; {_FORM}")
    notes = []
    source, target = 0, 1
    columns, names = _header(rows), [""] * len(rows[0].cells)
    if columns is not None:
        source, target = columns
        names = [_plain(cell) for cell in rows[0].cells]
        notes.append(f"the first line ({', '.join(rows[0].cells)}) is taken as a header")
        rows = rows[1:]
    width = len(rows[0].cells) if rows else 0
    for row in rows:
        extra = [cell for i, cell in enumerate(row.cells) if i not in (source, target)]
        is_odd = len(row.cells) != width or width < 2 or not (row.cells[source] and row.cells[target])
        if is_odd or (columns is None and not all(map(_is_number, extra))):
            raise DataFileError(f"{path}, line {row.number} is {' '.join(row.cells)!r}; {_FORM}")
    weight = next((i for i, name in enumerate(names) if name in _WEIGHTS), None)
    if columns is None and width > 2:
        weight = 2
        notes.append("the third column is taken as weights of the links")
    kind = next((i for i, name in enumerate(names) if name == "type"), None)
    kinds = [row.cells[kind].lower() if kind is not None and kind < width else "" for row in rows]
    unused = width - len({source, target, weight, kind} - {None}) if rows else 0
    if unused > 0:
        notes.append(f"{unused} more {'column' if unused == 1 else 'columns'} per link not used")
    is_directed = not rows or not all(one == "undirected" for one in kinds)
    ends: list[tuple[Any, Any, float | None]] = []
    for row, one in zip(rows, kinds, strict=True):
        found = (row.cells[source], row.cells[target], _weight(path, row, weight))
        ends.append(found)
        if is_directed and one == "undirected" and found[0] != found[1]:
            ends.append((found[1], found[0], found[2]))
    return Links(ends, is_directed, {}, notes)


@dataclass(frozen=True)
class _Row:
    number: int
    cells: list[str]
    attributes: str = ""


def _weight(path: Path, row: _Row, column: int | None) -> float | None:
    if row.attributes:
        try:
            given = ast.literal_eval(row.attributes)
        except (ValueError, SyntaxError):
            raise DataFileError(
                f"{path}, line {row.number}: {row.attributes} are no attributes; expected for example {{'weight': 1.0}}"
            ) from None
        return None if "weight" not in given else read_weight(given["weight"], f"{path}, line {row.number}")
    if column is None or not row.cells[column]:
        return None
    return read_weight(row.cells[column].replace(",", "."), f"{path}, line {row.number}")


def read_weight(given: Any, where: str) -> float:
    """The weight of a link, a finite number.

    Raises:
        DataFileError: it is none.
    """
    try:
        weight = float(given)
    except (TypeError, ValueError):
        weight = math.nan
    if not math.isfinite(weight):
        raise DataFileError(f"{where}: the weight {str(given)!r} is not a finite number")
    return weight


def _rows(path: Path) -> list[_Row]:
    """The lines of an edge list that are no comments, as cells, with their numbers."""
    lines = []
    for number, text in enumerate(read_text(path).split("\n"), 1):
        line = text.strip()
        if not line or line[0] in "#%":
            continue
        found = _ATTRIBUTES.search(line)
        line = line[: found.start()] if found else re.split(r"\s#", line)[0].rstrip()
        lines.append((number, line, found[1] if found else ""))
    separator = next((mark for mark in "\t;," if lines and all(mark in line for _, line, _ in lines)), None)
    if separator is None:
        return [_Row(number, line.split(), attributes) for number, line, attributes in lines]
    rows = []
    for number, line, attributes in lines:
        try:
            [cells] = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
        except csv.Error as error:
            raise DataFileError(f"{path}, line {number} is {line!r}, which cannot be read: {error}; {_FORM}") from None
        rows.append(_Row(number, [cell.strip() for cell in cells], attributes))
    return rows


def _plain(name: str) -> str:
    return re.sub(r"[\s_]", "", name.lower())


def _header(rows: Sequence[_Row]) -> tuple[int, int] | None:
    """The columns of both ends of a link if the first row is a header, else None.

    A header has names such as source and target; or it is the only row whose first two cells, or whose third, are no numbers.
    """
    first, others = rows[0].cells, [row.cells for row in rows[1:]]
    names = [_plain(cell) for cell in first]
    sources, targets = ([i for i, name in enumerate(names) if name in known] for known in (_SOURCES, _TARGETS))
    if sources and targets:
        return sources[0], targets[0]
    if not others or len(first) < 2 or any(len(cells) != len(first) for cells in others):
        return None
    for of in (slice(0, 2), slice(2, None)):
        if (
            first[of]
            and not any(map(_is_number, first[of]))
            and all(_is_number(c) for cells in others for c in cells[of])
        ):
            return 0, 1
    return None


def _is_number(text: str) -> bool:
    # With a decimal comma, as in tables separated by semicolons.
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
