"""What a run folder holds: its tables, its manifest, and how a record becomes rows and rows a record.

Tables of ``run.sqlite`` (schema 2):

* ``interactions`` (round, agent, label, protocol, question, draft, revision, recalled, before, after, extra, error)
* ``feedback`` (round, agent, position, reviewer, rating, distribution, reason, raw)
* ``calls`` (key, model, kind, request, reply): every finished call by the hash of its content; kind is ``generate``, or
  ``inherited`` for one that a branch took over
* ``memories`` (agent, question, answer, round): what agents said last to each question
* ``agents`` (agent, name, label, x, y, model, persona): who lives where when the run begins; x is the row of the grid,
  persona the agent's row of the scenario's personas as JSON
* ``moves`` (round, agent, x, y): where agents moved to after a round
* ``embeddings`` (question, vector): of the questions met, as float32 bytes
* ``rounds`` (round, metrics): rounds that are complete

The manifest's ``measures`` say in words what a scenario's own measures are, and ``ended`` after how many rounds its own
stop condition held.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from sandbox.errors import RunNotFound, RunVersion
from sandbox.records import Feedback, Interaction, Rating, Score

SCHEMA = 2

# Rows of some kilobytes are kept in the order in which they come: in a table sorted by key each would be torn into pages
# of its own, twice as many bytes in all.
TABLES = """
CREATE TABLE interactions (
  round INTEGER, agent INTEGER, label TEXT, protocol TEXT, question TEXT, draft TEXT, revision TEXT,
  recalled TEXT, before TEXT, after TEXT, extra TEXT, error TEXT, PRIMARY KEY (round, agent)
);
CREATE TABLE feedback (
  round INTEGER, agent INTEGER, position INTEGER, reviewer INTEGER, rating REAL, distribution TEXT, reason TEXT,
  raw TEXT, PRIMARY KEY (round, agent, position)
) WITHOUT ROWID;
CREATE TABLE calls (key TEXT, model TEXT, kind TEXT, request TEXT, reply TEXT, PRIMARY KEY (key, model));
CREATE TABLE memories (agent INTEGER, question TEXT, answer TEXT, round INTEGER, PRIMARY KEY (agent, question))
  WITHOUT ROWID;
CREATE TABLE agents (agent INTEGER PRIMARY KEY, name TEXT, label TEXT, x INTEGER, y INTEGER, model TEXT,
  persona TEXT);
CREATE TABLE moves (round INTEGER, agent INTEGER, x INTEGER, y INTEGER, PRIMARY KEY (round, agent)) WITHOUT ROWID;
CREATE TABLE embeddings (question TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID;
CREATE TABLE rounds (round INTEGER PRIMARY KEY, metrics TEXT);
"""


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def as_json(value: Any) -> str:
    """A value as compact JSON, the same text for the same value."""
    return _COMPACT.encode(value)


def _quick_json(value: Any) -> str:
    """The same of what holds neither NaN nor a type of its own; many times faster."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _dump_rating(rating: Rating) -> dict[str, Any]:
    return {
        "value": rating.value,
        "distribution": rating.distribution,
        "reason": rating.reason,
        "raw": rating.raw,
    }


def _dump_score(score: Score) -> str:
    return _quick_json({name: _dump_rating(rating) for name, rating in score.ratings.items()})


def load_rating(data: Mapping[str, Any]) -> Rating:
    """A rating of a score, as ``before`` and ``after`` keep it."""
    distribution = data["distribution"]
    return Rating(data["value"], None if distribution is None else tuple(distribution), data["reason"], data["raw"])


def interaction_row(done: Interaction) -> tuple[Any, ...]:
    """An interaction as a row of ``interactions``."""
    return (
        done.round,
        done.agent,
        done.label,
        done.protocol,
        done.question,
        done.draft,
        done.revision,
        None if done.recalled is None else _quick_json(done.recalled),
        _dump_score(done.before),
        _dump_score(done.after),
        as_json(dict(done.extra)),
        done.error,
    )


def feedback_rows(done: Interaction) -> list[tuple[Any, ...]]:
    """The reviews of an interaction as rows of ``feedback``."""
    return [
        (
            done.round,
            done.agent,
            position,
            said.reviewer,
            said.rating.value,
            None if said.rating.distribution is None else _quick_json(said.rating.distribution),
            said.rating.reason,
            said.rating.raw,
        )
        for position, said in enumerate(done.feedback)
    ]


def read_interactions(db: sqlite3.Connection, round_: int | None, agent: int | None = None) -> Iterator[Interaction]:
    """Every interaction, or those of one round or around one agent, in the order of rounds and agents."""
    asked = {"round": round_, "agent": agent}
    values = tuple(value for value in asked.values() if value is not None)
    terms = " AND ".join(f"{name}=?" for name, value in asked.items() if value is not None)
    where = f"WHERE {terms}" if terms else ""
    said: dict[tuple[int, int], list[Feedback]] = {}
    for r, a, reviewer, value, distribution, reason, raw in db.execute(
        f"SELECT round, agent, reviewer, rating, distribution, reason, raw FROM feedback {where} "
        "ORDER BY round, agent, position",
        values,
    ):
        spread = None if distribution is None else tuple(json.loads(distribution))
        said.setdefault((r, a), []).append(Feedback(reviewer, Rating(value, spread, reason, raw)))
    rows: Sequence[Any] = db.execute(
        "SELECT round, agent, label, protocol, question, draft, revision, recalled, before, after, extra, error "
        f"FROM interactions {where} ORDER BY round, agent",
        values,
    ).fetchall()
    for r, a, label, protocol, question, draft, revision, recalled, before, after, extra, error in rows:
        yield Interaction(
            round=r,
            agent=a,
            label=label,
            protocol=protocol,
            question=question,
            draft=draft,
            revision=revision,
            recalled=None if recalled is None else tuple(json.loads(recalled)),
            before=Score({name: load_rating(d) for name, d in json.loads(before).items()}),
            after=Score({name: load_rating(d) for name, d in json.loads(after).items()}),
            feedback=tuple(said.get((r, a), ())),
            extra=json.loads(extra),
            error=error,
        )


def read_manifest(path: Path) -> dict[str, Any]:
    """Read ``manifest.json`` of a run.

    Raises:
        RunNotFound: there is none.
    """
    try:
        return dict(json.loads((path / "manifest.json").read_text(encoding="utf-8")))
    except OSError:
        hint = "it does not exist" if not path.exists() else "it has no manifest.json"
        raise RunNotFound(f"{path} is not a run: {hint}. Make one with: sandbox run SCENARIO --out {path}") from None
    except ValueError as error:
        raise RunNotFound(f"{path}/manifest.json is not JSON: {error}") from None


def check_version(path: Path) -> None:
    """Refuse a run of another schema.

    Raises:
        RunNotFound: the folder is not a run.
        RunVersion: it is, of another schema.
    """
    found = read_manifest(path).get("schema")
    if found != SCHEMA:
        raise RunVersion(
            f"{path} was written under schema {found}; this version reads schema {SCHEMA}. "
            "Read it with the version named in its manifest"
        )
