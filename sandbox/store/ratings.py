"""Recorded ratings: looked up for replays, and counted where they could not be read."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from sandbox.records import Rating
from sandbox.store.schema import kind_of_feedback, load_rating


def recorded_rating(
    db: sqlite3.Connection, question: str, answer: str, *, reviewer: int | None, dimension: str
) -> Rating | None:
    """The recorded rating of an answer, or None if there is none.

    Args:
        db: The database of a run.
        question: The question.
        answer: The draft, or for observers also the revision.
        reviewer: Index of the neighbour, or of the agent that rated its own candidate; None for an observer.
        dimension: The dimension that an observer rated.
    """
    if reviewer is not None:
        row = db.execute(
            "SELECT f.rating, f.distribution, f.reason, f.raw FROM feedback f "
            "JOIN interactions i USING (round, agent) WHERE i.question=? AND i.draft=? AND f.reviewer=? "
            f"AND {kind_of_feedback(db)}='rating' LIMIT 1",
            (question, answer, reviewer),
        ).fetchone()
        if row is not None:
            return Rating(row[0], row[1] and tuple(json.loads(row[1])), row[2], row[3])
        found = _candidate(db, question, answer, reviewer)
        return None if found is None else Rating(found["rating"])
    for column, scores in (("draft", "before"), ("revision", "after")):
        row = db.execute(
            f"SELECT {scores} FROM interactions WHERE question=? AND {column}=? LIMIT 1", (question, answer)
        ).fetchone()
        if row is not None and dimension in (kept := json.loads(row[0])):
            return load_rating(kept[dimension])
    found = _candidate(db, question, answer)
    return None if found is None or dimension not in found["scores"] else Rating(found["scores"][dimension])


def _candidate(db: sqlite3.Connection, question: str, answer: str, agent: int | None = None) -> dict[str, Any] | None:
    """The record of a candidate, of one agent or of any; see :mod:`sandbox.society.candidates`."""
    query = (
        "SELECT c.value FROM interactions i, json_each(i.extra, '$.drafts') c WHERE i.question=:q {mine} "
        "AND json_extract(c.value, '$.answer')=:a UNION ALL "
        "SELECT c.value FROM interactions i, json_each(i.extra, '$.revisions') c WHERE i.question=:q {mine} "
        "AND json_extract(c.value, '$.answer')=:a LIMIT 1"
    ).format(mine="" if agent is None else "AND i.agent=:agent")
    row = db.execute(query, {"q": question, "a": answer, "agent": agent}).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def unreadable_ratings(db: sqlite3.Connection) -> dict[str, Any]:
    """Ratings of neighbours and observers that could not be parsed: ``n`` of ``of``, and the ``first`` reply.

    Ratings whose call failed count too; ``first`` is then the reason. What was said without a rating does not count.
    """
    rated = f"{kind_of_feedback(db)} = 'rating'"
    given = db.execute(f"SELECT rating, raw FROM feedback WHERE {rated} ORDER BY round, agent, position").fetchall()
    scores = "SELECT before, after FROM interactions WHERE error IS NULL ORDER BY round, agent"
    for row in db.execute(scores):
        for column in row:
            given += [(r["value"], r["raw"]) for r in json.loads(column or "{}").values()]
    raw = [text for value, text in given if value is None and text]
    return {"n": len(raw), "of": len(given), "first": raw[0] if raw else None}
