"""The tables of what agents heard and of what their memories wrote.

An agent's memory follows from the record: its answers are in ``interactions``, what was said to it is in ``heard``, and what
its memory wrote itself is in ``notes``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.records import Heard, Interaction
from sandbox.storage_errors import read_as_written

if TYPE_CHECKING:
    import pandas as pd

WORLD = -1  # in place of an interaction's agent: what was said by a function of the scenario

# Runs of schema 2 that were recorded before agents could hear lack these.
MEMORIES = """
CREATE TABLE IF NOT EXISTS heard (round INTEGER, agent INTEGER, step INTEGER, position INTEGER, hearer INTEGER,
  speaker INTEGER, name TEXT, text TEXT, importance REAL, PRIMARY KEY (round, agent, step, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (round INTEGER, agent INTEGER, memory TEXT, text TEXT, error TEXT,
  PRIMARY KEY (round, agent)) WITHOUT ROWID;
"""


def heard_rows(round_: int, agent: int, heard: Sequence[Heard]) -> list[tuple[Any, ...]]:
    """What was heard in an interaction, or from functions of the scenario (``WORLD``), as rows of ``heard``."""
    return [
        (round_, agent, one.step, position, one.agent, one.speaker, one.name, one.text, one.importance)
        for position, one in enumerate(heard)
    ]


def insert_heard(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Store rows of ``heard``, in place of those with the same keys."""
    db.executemany("INSERT OR REPLACE INTO heard VALUES (?,?,?,?,?,?,?,?,?)", rows)


def heard_in(done: Iterable[Interaction]) -> Iterable[tuple[Any, ...]]:
    """What was heard in interactions, as rows of ``heard``."""
    return (row for it in done for row in heard_rows(it.round, it.agent, it.heard))


def insert_notes(db: sqlite3.Connection, round_: int, notes: Iterable[tuple[int, str, str | None, str | None]]) -> None:
    """Store what memories wrote after a round: (agent, kind of memory, text, error), one of the last two None."""
    db.executemany("INSERT INTO notes VALUES (?,?,?,?,?)", [(round_, *note) for note in notes])


def read_heard(
    db: sqlite3.Connection, where: str = "", values: Sequence[int] = ()
) -> dict[tuple[int, int], list[Heard]]:
    """What was heard, by round and agent of the interaction (``WORLD`` for functions of the scenario).

    Args:
        db: The database.
        where: Condition on round and agent, in SQL, with ``WHERE``.
        values: Its values.
    """
    found: dict[tuple[int, int], list[Heard]] = {}
    if not _exists(db, "heard"):
        return found
    rows = db.execute(
        f"SELECT round, agent, hearer, speaker, name, text, importance, step FROM heard {where} "
        "ORDER BY round, agent, step, position",
        values,
    )
    for round_, agent, hearer, speaker, name, text, importance, step in rows:
        with read_as_written(f"what was heard in round {round_}"):
            if not isinstance(name, str) or not isinstance(text, str):
                raise TypeError(f"{text!r} of {name!r} is not a text")
        found.setdefault((round_, agent), []).append(Heard(hearer, speaker, name, text, importance, step))
    return found


def read_world_heard(db: sqlite3.Connection, round_: int) -> list[Heard]:
    """What functions of the scenario said to agents in a round, in order."""
    return read_heard(db, "WHERE round=? AND agent=?", (round_, WORLD)).get((round_, WORLD), [])


def heard_frame(db: sqlite3.Connection) -> pd.DataFrame:
    """What was said to agents without a rating: one row each, in order.

    Returns:
        Columns round, agent (who heard it), speaker (NaN if that is no agent), name (of the speaker), text, importance (NaN if
        it was not given), and conversation (the agent around which it was said; NaN for a function of the scenario).
    """
    import pandas as pd

    found = [(of, one) for of, several in read_heard(db).items() for one in several]
    found.sort(key=lambda row: (row[0][0], row[1].step))
    rows = [
        (of[0], one.agent, one.speaker, one.name, one.text, one.importance, None if of[1] == WORLD else of[1])
        for of, one in found
    ]
    frame = pd.DataFrame(rows, columns=["round", "agent", "speaker", "name", "text", "importance", "conversation"])
    return frame.astype(dict.fromkeys(("speaker", "importance", "conversation"), "float64"))


def read_notes(db: sqlite3.Connection) -> list[tuple[int, int, str, str | None, str | None]]:
    """What memories wrote: (round, agent, kind of memory, text, error), in order."""
    if not _exists(db, "notes"):
        return []
    return db.execute("SELECT round, agent, memory, text, error FROM notes ORDER BY round, agent").fetchall()


def copy_memories(db: sqlite3.Connection, rounds: int) -> None:
    """Copy what was heard and written in the first rounds from the attached database ``source``."""
    for name in ("heard", "notes"):
        if _exists(db, name, "source"):
            db.execute(f"INSERT INTO {name} SELECT * FROM source.{name} WHERE round < ?", (rounds,))


def _exists(db: sqlite3.Connection, name: str, database: str = "main") -> bool:
    return db.execute(f"SELECT 1 FROM {database}.sqlite_master WHERE name=?", (name,)).fetchone() is not None
