"""Writes measured tables into Markdown files, so that no number in a document was typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def put(path: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->`` in a file.

    Raises:
        ValueError: the file has no such place.
    """
    known = path.read_text(encoding="utf-8")
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not place.search(known):
        raise ValueError(f"{path} has no place <!-- {name} --> ... <!-- /{name} -->")
    path.write_text(place.sub(lambda found: f"{found[1]}{text}\n{found[2]}", known), encoding="utf-8")
