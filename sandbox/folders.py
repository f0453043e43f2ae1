"""Files that appear whole or not at all, and names of new folders.

A text is written beside its target and renamed, so a reader, or a killed process, never leaves half of one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step; its folder is made where there is none.

    Args:
        path: The file; replaced if it exists.
        text: Its content, written as UTF-8.

    Raises:
        OSError: the file cannot be written; the old one is untouched then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write an object as indented JSON in one step; numbers that are not finite become null.

    Args:
        path: The file; replaced if it exists.
        content: What JSON can hold, and numbers of any kind.

    Raises:
        OSError: the file cannot be written; the old one is untouched then.
    """
    write_text(path, json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n")


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
