"""How commands print: lines, JSON, tables, and the measures of a round."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def say(text: str = "") -> None:
    """Print a line for the user."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(content: Any) -> None:
    """Print one JSON object, for scripts."""
    say(json.dumps(content, ensure_ascii=False))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        shown.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 110).print(shown)


def figures(metrics: Mapping[str, Any], own: Collection[str] = ()) -> str:
    """The measures of a round that one looks at while it runs, in a line; all are in the run's folder."""
    shown = []
    for name, value in metrics.items():
        draft = metrics.get(f"{name}_draft")
        if draft is not None and value is not None:
            shown.append(f"{name} {draft:.2f} -> {value:.2f}")
        elif (name in own or name in ("rating", "consensus", "polarisation")) and value is not None:
            shown.append(f"{name} {value:.2f}")
    if metrics.get("failed"):
        shown.append(f"{metrics['failed']} failed")
    return ", ".join(shown)
