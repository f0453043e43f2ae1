"""Contents of a run folder: tables, manifest, and the conversion between rows and records.

What the tables and their columns mean is in :mod:`sandbox.store.table_words`; what the keys of the manifest mean, in
:mod:`sandbox.store.manifest`.
"""

from __future__ import annotations

import json
import operator
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from sandbox.errors import DamagedFile, RunNotFound, RunVersion
from sandbox.records import Feedback, Heard, Interaction, Rating, Score
from sandbox.storage_errors import read_as_written
from sandbox.store.memories import read_heard
from sandbox.store.rewards import read_rewarded
from sandbox.text_cleaning import without_surrogates

SCHEMA = 2

# Rows of some kilobytes are in tables with a rowid, in insertion order: sorted by key they would take twice the space.
TABLES = """
CREATE TABLE interactions (
  round INTEGER, agent INTEGER, label TEXT, protocol TEXT, question TEXT, draft TEXT, revision TEXT,
  recalled TEXT, before TEXT, after TEXT, extra TEXT, error TEXT, PRIMARY KEY (round, agent)
);
CREATE TABLE feedback (
  round INTEGER, agent INTEGER, position INTEGER, reviewer INTEGER, rating REAL, distribution TEXT, reason TEXT,
  raw TEXT, kind TEXT, PRIMARY KEY (round, agent, position)
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
# Runs of schema 2 that were recorded before there were states, or calls of branches were counted, lack these.
STATES = """
CREATE TABLE IF NOT EXISTS states (round INTEGER, agent INTEGER, state TEXT, PRIMARY KEY (round, agent)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (round INTEGER, position INTEGER, event TEXT, description TEXT,
  PRIMARY KEY (round, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS barriers (round INTEGER, stage INTEGER, agent INTEGER, said TEXT, state TEXT,
  PRIMARY KEY (round, stage, agent));
CREATE TABLE IF NOT EXISTS branch_calls (round INTEGER, key TEXT, model TEXT, reused INTEGER, PRIMARY KEY (round, key, model))
  WITHOUT ROWID;
"""


# Runs of schema 2 that were recorded before feedback had kinds; there, what was said without a rating has no raw text.
_KIND_BEFORE = "CASE WHEN rating IS NULL AND raw = '' AND reason <> '' THEN 'said' ELSE 'rating' END"


def kind_of_feedback(db: sqlite3.Connection, database: str = "main") -> str:
    """The kind of a row of the table ``feedback``, in SQL."""
    columns = db.execute(f"PRAGMA {database}.table_info(feedback)")
    return "kind" if any(row[1] == "kind" for row in columns) else _KIND_BEFORE


def add_kinds(db: sqlite3.Connection) -> None:
    """Give a run that was recorded before feedback had kinds the column ``kind``."""
    if kind_of_feedback(db) != "kind":
        db.execute("BEGIN")
        db.execute("ALTER TABLE feedback ADD COLUMN kind TEXT")
        db.execute(f"UPDATE feedback SET kind = {_KIND_BEFORE}")
        db.execute("COMMIT")


def has_table(db: sqlite3.Connection, name: str, database: str = "main") -> bool:
    """Whether a database has a table."""
    return db.execute(f"SELECT 1 FROM {database}.sqlite_master WHERE name=?", (name,)).fetchone() is not None


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def as_json(value: Any) -> str:
    """A value as compact JSON; equal values give equal text."""
    return _COMPACT.encode(value)


def _quick_json(value: Any) -> str:
    """As :func:`as_json`, many times faster, for values without NaN and special types."""
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
    """A rating of a score, from the columns ``before`` and ``after``."""
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
        None if done.error is None else without_surrogates(done.error),
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
            said.kind,
        )
        for position, said in enumerate(done.feedback)
    ]


def read_interactions(
    db: sqlite3.Connection,
    round_: int | None = None,
    agent: int | None = None,
    *,
    where: str = "",
    values: tuple[int, ...] = (),
) -> Iterator[Interaction]:
    """All interactions, or those of one round or agent, in the order of rounds and agents.

    Args:
        db: The database.
        round_: The round.
        agent: The agent.
        where: A further condition on round and agent, in SQL.
        values: Its values.
    """
    asked = {"round": round_, "agent": agent}
    terms = [f"{name}=?" for name, value in asked.items() if value is not None] + ([where] if where else [])
    values = (*(value for value in asked.values() if value is not None), *values)
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    heard = read_heard(db, where, values)
    rewards, utterances = read_rewarded(db, where, values)
    said: dict[tuple[int, int], list[Feedback]] = {}
    for r, a, reviewer, value, distribution, reason, raw, kind in db.execute(
        f"SELECT round, agent, reviewer, rating, distribution, reason, raw, {kind_of_feedback(db)} FROM feedback {where} "
        "ORDER BY round, agent, position",
        values,
    ):
        with read_as_written(f"the feedback of agent {a} in round {r}"):
            _check_texts(reason, raw)
            operator.index(reviewer)
            if kind not in ("rating", "said"):
                raise TypeError(f"{kind!r} is not a kind of feedback")
            spread = None if distribution is None else tuple(json.loads(distribution))
            rating = Rating(None if value is None else float(value), spread, reason or "", raw)
        said.setdefault((r, a), []).append(Feedback(reviewer, rating, kind))
    rows: Sequence[Any] = db.execute(
        "SELECT round, agent, label, protocol, question, draft, revision, recalled, before, after, extra, error "
        f"FROM interactions {where} ORDER BY round, agent",
        values,
    ).fetchall()
    for row in rows:
        with read_as_written(f"the interaction of agent {row[1]} in round {row[0]}"):
            read = _read_interaction(row, said, heard.get((row[0], row[1]), ()))
        of = (read.round, read.agent)
        if of in rewards or of in utterances:
            read = replace(read, rewards=rewards.get(of, {}), utterances=tuple(utterances.get(of, ())))
        yield read


def _read_interaction(
    row: Sequence[Any], said: Mapping[tuple[int, int], Sequence[Feedback]], heard: Sequence[Heard]
) -> Interaction:
    r, a, label, protocol, question, draft, revision, recalled, before, after, extra, error = row
    _check_texts(label, protocol, question, draft, revision, error)
    operator.index(r), operator.index(a)
    return Interaction(
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
        extra=dict(json.loads(extra)),
        error=error,
        heard=tuple(heard),
    )


def _check_texts(*values: Any) -> None:
    for value in values:
        if not isinstance(value, str | None):
            raise TypeError(f"{value!r} is not a text")


def read_manifest(path: Path) -> dict[str, Any]:
    """Read ``manifest.json`` of a run.

    Raises:
        RunNotFound: the folder has none.
    """
    try:
        found = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except OSError:
        hint = "it does not exist" if not path.exists() else "it has no manifest.json"
        raise RunNotFound(f"{path} is not a run: {hint}. Make one with: sandbox run SCENARIO --out {path}") from None
    except (ValueError, RecursionError) as error:
        raise RunNotFound(f"{path}/manifest.json is not JSON: {error}") from None
    faults = _manifest_faults(found)
    if faults:
        raise RunNotFound(f"{path}/manifest.json is not that of a run: {'; '.join(faults)}")
    return dict(found)


# Type of what readers use of a manifest; keys that are missing in old runs are not checked.
_MANIFEST: dict[str, type | tuple[type, ...]] = {
    "scenario": str, "rubric": dict, "settings": dict, "models": dict, "raters": dict, "tokens": dict, "measures": dict,
    "measure_axes": dict, "notes": list, "population": (str, dict), "event": (dict, type(None)),
}  # fmt: skip


def _manifest_faults(found: Any) -> list[str]:
    """Fields of a manifest that have another type than the program writes."""
    if not isinstance(found, dict):
        return [f"it holds a {type(found).__name__}, expected an object"]
    if found.get("schema") != SCHEMA:
        return []  # refused for its version
    faults = [
        f"{name} is a {type(found[name]).__name__}"
        for name, kind in _MANIFEST.items()
        if name in found and not isinstance(found[name], kind)
    ]
    shares = found.get("population")
    if isinstance(shares, dict) and not all(isinstance(share, int | float) for share in shares.values()):
        faults.append("population has shares that are not numbers")
    rubric = found.get("rubric")
    if isinstance(rubric, dict):
        if not isinstance(rubric.get("dimensions", {}), list | dict):
            faults.append("rubric.dimensions is not a list")
        if not isinstance(rubric.get("scale", 7), int):
            faults.append("rubric.scale is not a number")
    return faults


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the database of a run for reading, also in a folder that cannot be written.

    Raises:
        RunNotFound: there is no database.
        DamagedFile: the file is not a database, or is damaged.
    """
    if not path.is_file():
        raise RunNotFound(f"{path.parent} is not a whole run: it has no {path.name}")
    uri = f"{path.absolute().as_uri()}?mode="
    # Readers of a database in WAL mode write a file beside it; where that is refused nobody writes to the database either.
    for mode in ("rw", "ro", "ro&immutable=1"):
        db = sqlite3.connect(uri + mode, uri=True, check_same_thread=False)
        try:
            db.execute("PRAGMA query_only=ON")
            db.execute("SELECT COUNT(*) FROM rounds").fetchone()
        except sqlite3.DatabaseError as error:
            db.close()
            if (
                not mode.endswith("immutable=1")
                and "malformed" not in str(error)
                and "not a database" not in str(error)
            ):
                continue
            raise DamagedFile(
                f"{path} is damaged: {error}. Use a copy of the folder, or run again to another --out"
            ) from error
        return db
    raise AssertionError("the last mode returns or raises")


def check_version(path: Path) -> None:
    """Refuse a run of another schema version.

    Raises:
        RunNotFound: the folder is not a run.
        RunVersion: the run has another schema version.
    """
    found = read_manifest(path).get("schema")
    if found != SCHEMA:
        raise RunVersion(
            f"{path} has schema {found}; this version reads schema {SCHEMA}. "
            "Read it with the version named in its manifest"
        )
