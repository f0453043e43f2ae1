"""Files that appear whole or not at all, and names of new folders.

A text is written beside its target and renamed, so a reader, or a killed process, never leaves half of one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes ``path`` in one step when the block ends without an error.

    Args:
        path: The file; replaced if it exists. Its folder is made where there is none.

    Raises:
        OSError: the file cannot be written; the old one is untouched then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    try:
        yield fresh
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step, as UTF-8; see :func:`whole_file`."""
    with whole_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, *, indent: int | None = 2) -> None:
    """Write an object as JSON in one step; numbers that are not finite become null. See :func:`whole_file`."""
    write_text(path, json.dumps(finite(content), indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def finite(content: Any) -> Any:
    """The same content with None for numbers that JSON cannot hold (NaN and infinities)."""
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


def next_free_name(parent: Path, stem: str) -> Path:
    """The first of PARENT/STEM-1, -2, ... that does not exist."""
    number = 1
    while (folder := parent / f"{stem}-{number}").exists():
        number += 1
    return folder
