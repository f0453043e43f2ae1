"""The table of a population's changes: agents that were added to a society, or removed from it, after the run began.

The agents with which a run began are in the table ``agents`` alone. One that is added gets a row there too, with its place at
birth, and its number is never given again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.storage_errors import read_as_written

if TYPE_CHECKING:
    import pandas as pd

ADDED, REMOVED = "added", "removed"

# Runs of schema 2 that were recorded before agents could be added lack it.
POPULATION = """
CREATE TABLE IF NOT EXISTS population (position INTEGER PRIMARY KEY, round INTEGER, stage INTEGER, agent INTEGER,
  change TEXT, from_round INTEGER, links TEXT, state TEXT);
"""


@dataclass(frozen=True)
class Change:
    """An agent that was added to a society, or removed from it.

    Attributes:
        agent: Its number.
        change: ``added`` or ``removed``.
        round: The round in which it changed.
        stage: Number of stages of the round that had ended; 0 is before the round.
        from_round: The first round that it lives in, if added; the first without it, if removed.
        name: Its name.
        label: Its label.
        place: Row and column of its place at birth.
        model: URI of its language model.
        persona: Its persona.
        links: Nodes that its own new node is linked to; None where it was put on a place that there was.
        state: Its last state as JSON, if removed.
    """

    agent: int
    change: str
    round: int = -1
    stage: int = -1
    from_round: int = -1
    name: str = ""
    label: str = ""
    place: tuple[int, int] = (0, 0)
    model: str | None = None
    persona: Mapping[str, Any] = field(default_factory=dict)
    links: Sequence[int] | None = None
    state: str | None = None


def insert_changes(db: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Store changes of a population, and the agents that were added."""
    changes = list(changes)
    db.executemany(
        "INSERT INTO agents VALUES (?,?,?,?,?,?,?)",
        [
            (one.agent, one.name, one.label, *one.place, one.model, _as_json(dict(one.persona)))
            for one in changes
            if one.change == ADDED
        ],
    )
    db.executemany(
        "INSERT INTO population (round, stage, agent, change, from_round, links, state) VALUES (?,?,?,?,?,?,?)",
        [
            (one.round, one.stage, one.agent, one.change, one.from_round,
             None if one.links is None else json.dumps(list(one.links)), one.state)
            for one in changes
        ],
    )  # fmt: skip


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def has_population(db: sqlite3.Connection, database: str = "main") -> bool:
    """Whether a database has the table."""
    query = f"SELECT 1 FROM {database}.sqlite_master WHERE name='population'"
    return db.execute(query).fetchone() is not None


def read_changes(db: sqlite3.Connection) -> list[Change]:
    """All changes of a run's population, in the order in which they happened."""
    if not has_population(db):
        return []
    rows = db.execute(
        "SELECT p.agent, p.change, p.round, p.stage, p.from_round, a.name, a.label, a.x, a.y, a.model, a.persona, p.links, "
        "p.state FROM population p JOIN agents a ON a.agent=p.agent ORDER BY p.position"
    ).fetchall()
    found = []
    with read_as_written("the table of the population"):
        for agent, change, round_, stage, from_round, name, label, x, y, model, persona, links, state in rows:
            linked = None if links is None else json.loads(links)
            about = (name, label, (x, y), model, json.loads(persona or "{}"), linked, state)
            found.append(Change(agent, change, round_, stage, from_round, *about))
    return found


def copy_population(db: sqlite3.Connection, rounds: int) -> None:
    """Copy the agents and the changes of the first rounds from the attached database ``source``."""
    # The models of agents are those of the new run.
    copied = "INSERT INTO agents SELECT agent, name, label, x, y, NULL, persona FROM source.agents"
    if not has_population(db, "source"):
        db.execute(copied)
        return
    later = "SELECT agent FROM source.population WHERE change=? AND round >= ?"
    db.execute(f"{copied} WHERE agent NOT IN ({later})", (ADDED, rounds))
    db.execute("INSERT INTO population SELECT * FROM source.population WHERE round < ?", (rounds,))


def lives_in(db: sqlite3.Connection, round_: int) -> tuple[str, tuple[Any, ...]]:
    """A condition, in SQL, on ``a.agent``: that it lives in a round; and its values."""
    if not has_population(db):
        return "1", ()
    changed = "SELECT agent FROM population WHERE change=? AND from_round"
    return f"a.agent NOT IN ({changed} > ?) AND a.agent NOT IN ({changed} <= ?)", (ADDED, round_, REMOVED, round_)


def population_frame(db: sqlite3.Connection) -> pd.DataFrame:
    """One row per agent that ever lived: columns agent, name, label, added and removed.

    ``added`` is the first round that it lives in (0 for those that the run began with), ``removed`` the first round without it
    (missing while it lives).
    """
    import pandas as pd

    rows = db.execute("SELECT agent, name, label FROM agents ORDER BY agent").fetchall()
    frame = pd.DataFrame(rows, columns=["agent", "name", "label"])
    from_round: dict[str, dict[int, int]] = {ADDED: {}, REMOVED: {}}
    for one in read_changes(db):
        from_round[one.change][one.agent] = one.from_round
    frame["added"] = [from_round[ADDED].get(agent, 0) for agent in frame["agent"]]
    frame["removed"] = pd.array([from_round[REMOVED].get(agent) for agent in frame["agent"]], dtype="Int64")
    return frame
