"""Copies the first rounds of a run into the database of a run that branches from it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sandbox.store.memories import copy_memories
from sandbox.store.population import copy_population
from sandbox.store.rewards import copy_rewards
from sandbox.store.schema import has_table, kind_of_feedback

INHERITED_CALLS = "SELECT key, model, 'inherited', request, reply FROM source.calls"


def copy_rounds(db: sqlite3.Connection, source: Path, rounds: int) -> None:
    """Copy the first rounds of another run: its agents, interactions, calls and memories.

    Args:
        db: Database of the new run.
        source: Folder of the other run.
        rounds: Number of rounds.
    """
    db.execute("ATTACH DATABASE ? AS source", (str(source / "run.sqlite"),))
    db.execute("BEGIN")
    copy_population(db, rounds)
    # Calls of all rounds, so that equal requests are not repeated; they do not count as calls of this run.
    db.execute(f"INSERT INTO calls {INHERITED_CALLS}")
    for name in ("interactions", "rounds", "moves"):
        db.execute(f"INSERT INTO {name} SELECT * FROM source.{name} WHERE round < ?", (rounds,))
    kind = kind_of_feedback(db, "source")
    db.execute(
        "INSERT INTO feedback SELECT round, agent, position, reviewer, rating, distribution, reason, raw, "
        f"{kind} FROM source.feedback WHERE round < ?",
        (rounds,),
    )
    for name in ("states", "events"):
        if has_table(db, name, "source"):
            db.execute(f"INSERT INTO {name} SELECT * FROM source.{name} WHERE round < ?", (rounds,))
    copy_memories(db, rounds)
    copy_rewards(db, rounds)
    # A memory is the last answer to a question.
    db.execute(
        "INSERT OR REPLACE INTO memories SELECT agent, question, COALESCE(revision, draft), round "
        "FROM interactions WHERE error IS NULL AND COALESCE(revision, draft) IS NOT NULL ORDER BY round, agent"
    )
    db.execute("COMMIT")
    db.execute("DETACH DATABASE source")
