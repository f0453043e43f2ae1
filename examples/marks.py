"""Writes the results of a script between the marks of a document: ``<!-- name -->`` and ``<!-- /name -->``."""

from __future__ import annotations

import sys
from pathlib import Path


def put(path: Path, name: str, text: str) -> None:
    """Replace the text between the marks; exit if the document has none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not begin or not end:
        sys.exit(f"{path} has no place for the table: write <!-- {name} --> and <!-- /{name} --> on lines of their own")
    path.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")
