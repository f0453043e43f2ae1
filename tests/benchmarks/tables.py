"""Writes measured tables into Markdown files, so that no number in a document was typed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


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


def measured_on(load: float) -> str:
    """A sentence on the machine, with its load before the benchmark began (``os.getloadavg()[0]``)."""
    return (
        f"Measured on {os.cpu_count()} cores with Python {platform.python_version()}; the machine's load was {load:.1f} before "
        "the benchmark began."
    )


def publish(given: argparse.Namespace, name: str, text: str, numbers: Mapping[str, Any]) -> None:
    """Write a table into the documents of ``--markdown``, and numbers into the file of ``--json``; without one print both."""
    for file in given.markdown:
        put(file, name, text)
    if given.json is None:
        print(text)
        print(json.dumps(numbers))
    else:
        given.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
