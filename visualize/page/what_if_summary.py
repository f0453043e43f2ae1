"""The result of a what-if as the report shows it: the event, what differs, and where. Knows no page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visualize.drawing.inputs import read_result

_TABLES = ("metrics", "measures", "extra", "states")
_DIVERGENCES = 12


def summarize_what_if(path: Path) -> dict[str, Any]:
    """What the report shows of two futures of a run.

    Args:
        path: The folder of a what-if.

    Returns:
        ``event`` (a text), ``branch``, ``rounds`` (from 1, as text), ``rows`` of the table (``name``, ``when``, ``first``,
        ``second``, ``difference``, ``low``, ``high``), ``divergences`` (the first ones, with rounds and agents from 1),
        ``n_divergences``, ``reach`` (of each round, from 1), ``notes``.
    """
    found = read_result(path, "what_if")
    first, end = found["rounds"]
    rows = [
        {"name": name, **{key: one.get(key) for key in ("when", "first", "second", "difference", "low", "high")}}
        for table in _TABLES
        for name, one in found[table].items()
    ]
    return {
        "event": _event(found["event"]),
        "branch": found["branch"],
        "rounds": f"{first + 1} to {end}" if end > first + 1 else str(end),
        "rows": rows,
        "divergences": [
            {**one, "round": one["round"] + 1, "agent": one["agent"] + 1, "part": _part(one["part"])}
            for one in found["divergences"][:_DIVERGENCES]
        ],
        "n_divergences": len(found["divergences"]),
        "reach": [{**one, "round": one["round"] + 1} for one in found["reach"]],
        "notes": found["notes"],
    }


def _part(part: str) -> str:
    """Which part of a conversation, with agents counted from 1."""
    start, word, number = part.rpartition(" ")
    return f"{start}{word}{int(number) + 1}" if start.endswith(" by") and number.isdigit() else part


def _event(event: Mapping[str, Any]) -> str:
    """The event in words."""
    told = event.get("to")
    who = (
        "all agents"
        if told is None
        else ", ".join(f"Agent {one + 1}" if isinstance(one, int) else str(one) for one in told)
    )
    return (
        f"“{event['text']}”, told to {who}"
        if event.get("text")
        else str(event.get("name") or event.get("file") or event)
    )
