"""The run folder: ``manifest.json`` and ``run.sqlite``, written so that a killed process loses nothing.

The store knows nothing about language models, agents or trainers: it keeps frozen records, the replies that
were paid for, and what agents remember. A run is written by one process, and read by any number.

Tables of ``run.sqlite`` (schema 1):

* ``interactions`` (round, agent, label, protocol, question, draft, revision, recalled, before, after, extra, error)
* ``feedback`` (round, agent, position, reviewer, rating, distribution, reason, raw)
* ``calls`` (key, model, kind, request, reply): every finished call by the hash of its content
* ``memories`` (agent, question, answer, round): what agents said last to each question
* ``agents`` (agent, name, label, x, y, model): who lives where when the run begins; x is the row of the grid
* ``moves`` (round, agent, x, y): where agents moved to after a round
* ``embeddings`` (question, vector): of the questions met, as float32 bytes
* ``rounds`` (round, metrics): rounds that are complete
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import RunExists, RunLocked, RunNotFound, RunVersion
from sandbox.records import Feedback, Interaction, Rating, Score

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

SCHEMA = 1

_TABLES = """
CREATE TABLE interactions (
  round INTEGER, agent INTEGER, label TEXT, protocol TEXT, question TEXT, draft TEXT, revision TEXT,
  recalled TEXT, before TEXT, after TEXT, extra TEXT, error TEXT, PRIMARY KEY (round, agent)
) WITHOUT ROWID;
CREATE TABLE feedback (
  round INTEGER, agent INTEGER, position INTEGER, reviewer INTEGER, rating REAL, distribution TEXT, reason TEXT,
  raw TEXT, PRIMARY KEY (round, agent, position)
) WITHOUT ROWID;
CREATE TABLE calls (key TEXT, model TEXT, kind TEXT, request TEXT, reply TEXT, PRIMARY KEY (key, model)) WITHOUT ROWID;
CREATE TABLE memories (agent INTEGER, question TEXT, answer TEXT, round INTEGER, PRIMARY KEY (agent, question))
  WITHOUT ROWID;
CREATE TABLE agents (agent INTEGER PRIMARY KEY, name TEXT, label TEXT, x INTEGER, y INTEGER, model TEXT);
CREATE TABLE moves (round INTEGER, agent INTEGER, x INTEGER, y INTEGER, PRIMARY KEY (round, agent)) WITHOUT ROWID;
CREATE TABLE embeddings (question TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID;
CREATE TABLE rounds (round INTEGER PRIMARY KEY, metrics TEXT);
"""


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _dump_rating(rating: Rating) -> dict[str, Any]:
    return {
        "value": rating.value,
        "distribution": rating.distribution,
        "reason": rating.reason,
        "raw": rating.raw,
    }


def _dump_score(score: Score) -> str:
    return _dump({name: _dump_rating(rating) for name, rating in score.ratings.items()})


def _load_rating(data: Mapping[str, Any]) -> Rating:
    distribution = data["distribution"]
    return Rating(data["value"], None if distribution is None else tuple(distribution), data["reason"], data["raw"])


class RunWriter:
    """The one process that writes a run.

    Args:
        path: The run's folder; made when missing.
        manifest: What to write into ``manifest.json`` when the run is new.
        resume: Go on with the run that is there, if any.

    Raises:
        RunExists: a run is there and ``resume`` is False.
        RunLocked: another process is writing to it.
        RunVersion: it was written under another schema.
    """

    def __init__(self, path: str | Path, manifest: Mapping[str, Any], *, resume: bool = False) -> None:
        from filelock import FileLock, Timeout

        self.path = Path(path)
        database = self.path / "run.sqlite"
        is_new = not (self.path / "manifest.json").exists()
        if not is_new and not resume:
            raise RunExists(f"{self.path} already holds a run; add --resume to go on with it, or choose another --out")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path / "run.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunLocked(
                f"another process is writing to {self.path}; wait for it, or choose another --out"
            ) from None
        if is_new:
            # The manifest is written last: a folder without one is not a run, whatever else a kill left there.
            for leftover in self.path.glob("run.sqlite*"):
                leftover.unlink()
        else:
            check_version(self.path)
        self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        if is_new:
            self._db.executescript(_TABLES)
            self.manifest: dict[str, Any] = {"schema": SCHEMA, **manifest}
            self.save_manifest()
        else:
            self.manifest = read_manifest(self.path)

    def save_manifest(self) -> None:
        """Write ``manifest.json`` as ``self.manifest`` stands, in one step."""
        target = self.path / "manifest.json"
        fresh = target.with_suffix(".json.new")
        fresh.write_text(json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        fresh.replace(target)

    def add_agents(
        self, rows: Iterable[tuple[int, str, str, int, int]], models: Iterable[str | None] = itertools.repeat(None)
    ) -> None:
        """Record who lives where, where they do not stand already.

        Args:
            rows: (agent, name, label, x, y).
            models: URI of the language model that each speaks through.
        """
        self._db.execute("BEGIN")
        pairs = zip(rows, models, strict=False)
        self._db.executemany(
            "INSERT OR IGNORE INTO agents VALUES (?,?,?,?,?,?)", ((*row, model) for row, model in pairs)
        )
        self._db.execute("COMMIT")

    def add_embeddings(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Keep the embeddings of questions: (question, float32 bytes)."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO embeddings VALUES (?,?)", rows)
        self._db.execute("COMMIT")

    def call_counts(self) -> dict[str, int]:
        """How many finished calls are kept, and how many tokens they read and wrote."""
        row = self._db.execute(
            "SELECT COUNT(*), SUM(json_extract(reply, '$.prompt_tokens')), SUM(json_extract(reply, "
            "'$.completion_tokens')) FROM calls"
        ).fetchone()
        return {"calls": row[0], "prompt": row[1] or 0, "completion": row[2] or 0}

    def has_calls(self) -> bool:
        """Whether any finished call is kept."""
        return self._db.execute("SELECT 1 FROM calls LIMIT 1").fetchone() is not None

    def recall_call(self, key: str, model: str) -> Any | None:
        """What a finished call returned, or None when it was never finished."""
        row = self._db.execute("SELECT reply FROM calls WHERE key=? AND model=?", (key, model)).fetchone()
        return None if row is None else json.loads(row[0])

    def add_calls(self, rows: Iterable[tuple[str, str, str, str, str]]) -> None:
        """Keep finished calls, (key, model, kind, request, reply) with the last two as JSON, in one transaction."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO calls VALUES (?,?,?,?,?)", rows)
        self._db.execute("COMMIT")

    def commit(self, done: Interaction) -> None:
        """Keep a finished interaction, whole, in one transaction."""
        key = (done.round, done.agent)
        self._db.execute("BEGIN")
        self._db.execute(
            "INSERT INTO interactions VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *key,
                done.label,
                done.protocol,
                done.question,
                done.draft,
                done.revision,
                None if done.recalled is None else _dump(done.recalled),
                _dump_score(done.before),
                _dump_score(done.after),
                _dump(dict(done.extra)),
                done.error,
            ),
        )
        self._db.executemany(
            "INSERT INTO feedback VALUES (?,?,?,?,?,?,?,?)",
            [
                (
                    *key,
                    position,
                    said.reviewer,
                    said.rating.value,
                    None if said.rating.distribution is None else _dump(said.rating.distribution),
                    said.rating.reason,
                    said.rating.raw,
                )
                for position, said in enumerate(done.feedback)
            ],
        )
        self._db.execute("COMMIT")

    def finish_round(
        self,
        round_: int,
        memories: Iterable[tuple[int, str, str]],
        metrics: Mapping[str, Any],
        moves: Iterable[tuple[int, int, int]] = (),
    ) -> None:
        """Mark a round complete.

        Args:
            round_: Which.
            memories: What agents remember of it: (agent, question, answer).
            metrics: Its measures.
            moves: Where agents went after it: (agent, x, y).
        """
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO moves VALUES (?,?,?,?)", [(round_, *move) for move in moves])
        self._db.executemany(
            "INSERT OR REPLACE INTO memories VALUES (?,?,?,?)", [(*memory, round_) for memory in memories]
        )
        self._db.execute("INSERT INTO rounds VALUES (?,?)", (round_, _dump(dict(metrics))))
        self._db.execute("COMMIT")

    def finished_rounds(self) -> int:
        """How many rounds are complete."""
        return int(self._db.execute("SELECT COUNT(*) FROM rounds").fetchone()[0])

    def interactions(self, round_: int) -> list[Interaction]:
        """What is kept of a round already, in the order of agents."""
        return list(_read_interactions(self._db, round_))

    def moves(self) -> list[tuple[int, int, int]]:
        """Where agents went: (agent, x, y), in the order of rounds."""
        return self._db.execute("SELECT agent, x, y FROM moves ORDER BY round").fetchall()

    def memories(self) -> list[tuple[int, str, str]]:
        """What agents remember of the complete rounds: (agent, question, answer), in the order it was learnt."""
        return self._db.execute("SELECT agent, question, answer FROM memories ORDER BY round, agent").fetchall()

    def branch(self, source: Path, rounds: int) -> None:
        """Begin with the first rounds of another run: its agents, interactions, calls and memories."""
        self._db.execute("ATTACH DATABASE ? AS source", (str(source / "run.sqlite"),))
        self._db.execute("BEGIN")
        for name in ("agents", "calls", "embeddings"):
            self._db.execute(f"INSERT INTO {name} SELECT * FROM source.{name}")
        for name in ("interactions", "feedback", "rounds", "moves"):
            self._db.execute(f"INSERT INTO {name} SELECT * FROM source.{name} WHERE round < ?", (rounds,))
        # What an agent remembers is its last answer to each question.
        self._db.execute(
            "INSERT OR REPLACE INTO memories SELECT agent, question, COALESCE(revision, draft), round "
            "FROM interactions WHERE error IS NULL AND COALESCE(revision, draft) IS NOT NULL ORDER BY round, agent"
        )
        self._db.execute("COMMIT")
        self._db.execute("DETACH DATABASE source")

    def close(self) -> None:
        """Let other processes write."""
        self._db.close()
        self._lock.release()


class Run:
    """A run folder, read. Safe while another process writes to it.

    Attributes:
        path: The folder.
        manifest: Content of ``manifest.json``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_version(self.path)
        self.manifest = read_manifest(self.path)
        self._db = sqlite3.connect(self.path / "run.sqlite", check_same_thread=False)
        self._db.execute("PRAGMA query_only=ON")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def rounds(self) -> int:
        """Complete rounds."""
        return int(self._db.execute("SELECT COUNT(*) FROM rounds").fetchone()[0])

    @property
    def dimensions(self) -> list[str]:
        """Names of what observers score; neighbours rate the first."""
        return list(self.manifest["rubric"]["dimensions"])

    @property
    def scale(self) -> int:
        """The highest rating; the lowest is 1."""
        return int(self.manifest["rubric"]["scale"])

    def interactions(self, round_: int | None = None, *, agent: int | None = None) -> list[Interaction]:
        """Every interaction, or those of one round or around one agent, in the order of rounds and agents."""
        return list(_read_interactions(self._db, round_, agent))

    def agents(self) -> pd.DataFrame:
        """Who lives where when the run begins: columns agent, name, label, x (row), y (column), model."""
        import pandas as pd

        rows = self._db.execute("SELECT agent, name, label, x, y, model FROM agents ORDER BY agent").fetchall()
        return pd.DataFrame(rows, columns=["agent", "name", "label", "x", "y", "model"])

    def positions(self, round_: int) -> pd.DataFrame:
        """Where agents live during a round: columns agent, x (row), y (column)."""
        import pandas as pd

        query = (
            "SELECT a.agent, COALESCE(m.x, a.x), COALESCE(m.y, a.y) FROM agents a LEFT JOIN moves m "
            "ON m.agent=a.agent AND m.round=(SELECT MAX(round) FROM moves WHERE agent=a.agent AND round<?) "
            "ORDER BY a.agent"
        )
        return pd.DataFrame(self._db.execute(query, (round_,)).fetchall(), columns=["agent", "x", "y"])

    def rating(self, question: str, answer: str, *, reviewer: int | None, dimension: str) -> Rating | None:
        """A rating that was given of an answer, or None where there was none.

        Args:
            question: What was asked.
            answer: The draft, or for observers also the revision.
            reviewer: Index of the neighbour; None for an observer.
            dimension: What an observer rated.
        """
        if reviewer is not None:
            row = self._db.execute(
                "SELECT f.rating, f.distribution, f.reason, f.raw FROM feedback f "
                "JOIN interactions i USING (round, agent) WHERE i.question=? AND i.draft=? AND f.reviewer=? LIMIT 1",
                (question, answer, reviewer),
            ).fetchone()
            return None if row is None else Rating(row[0], row[1] and tuple(json.loads(row[1])), row[2], row[3])
        for column, scores in (("draft", "before"), ("revision", "after")):
            row = self._db.execute(
                f"SELECT {scores} FROM interactions WHERE question=? AND {column}=? LIMIT 1", (question, answer)
            ).fetchone()
            if row is not None and dimension in (kept := json.loads(row[0])):
                return _load_rating(kept[dimension])
        return None

    def embedding(self, question: str) -> bytes | None:
        """The embedding of a question the run met, as float32 bytes, or None."""
        row = self._db.execute("SELECT vector FROM embeddings WHERE question=?", (question,)).fetchone()
        return None if row is None else bytes(row[0])

    def metrics(self) -> list[dict[str, Any]]:
        """The measures of each complete round, in order."""
        rows = self._db.execute("SELECT metrics FROM rounds ORDER BY round").fetchall()
        return [json.loads(row[0]) for row in rows]

    def memories(self, agent: int) -> list[tuple[str, str]]:
        """What an agent remembers beyond its upbringing: (question, its last answer)."""
        query = "SELECT question, answer FROM memories WHERE agent=? ORDER BY round"
        return self._db.execute(query, (agent,)).fetchall()

    def call(self, key: str) -> Any | None:
        """What any model answered to the request with this key, or None."""
        row = self._db.execute("SELECT reply FROM calls WHERE key=? ORDER BY model LIMIT 1", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def frame(self) -> pd.DataFrame:
        """One row an interaction: its texts, its mean rating, and each score before and after.

        Columns: round, agent, label, question, draft, revision, rating (mean of the neighbours who gave one),
        n_ratings, error, and for each dimension D of the rubric D_before and D_after. Missing ratings are NaN.
        """
        import pandas as pd

        rows = []
        for it in self.interactions():
            given = [f.rating.value for f in it.feedback if f.rating.value is not None]
            row: dict[str, Any] = {
                "round": it.round,
                "agent": it.agent,
                "label": it.label,
                "question": it.question,
                "draft": it.draft,
                "revision": it.revision,
                "rating": sum(given) / len(given) if given else None,
                "n_ratings": len(given),
                "error": it.error,
            }
            for dimension in self.dimensions:
                row[f"{dimension}_before"] = it.before.value(dimension)
                row[f"{dimension}_after"] = it.after.value(dimension)
            rows.append(row)
        numbers = ["rating", *(f"{d}_{when}" for d in self.dimensions for when in ("before", "after"))]
        columns = [
            "round", "agent", "label", "question", "draft", "revision", "rating", "n_ratings", "error", *numbers[1:]
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, "float64"))

    def feedback(self) -> pd.DataFrame:
        """One row a review: round, agent (the author), reviewer, rating (NaN when unreadable), reason."""
        import pandas as pd

        rows = self._db.execute(
            "SELECT round, agent, reviewer, rating, reason FROM feedback ORDER BY round, agent, position"
        ).fetchall()
        frame = pd.DataFrame(rows, columns=["round", "agent", "reviewer", "rating", "reason"])
        return frame.astype({"rating": "float64"})

    def social_graph(self) -> nx.DiGraph[int]:
        """Who reviewed whom, as :func:`sandbox.graph.social_graph` draws it from this record."""
        from sandbox.graph import social_graph

        return social_graph(self)


def open_run(path: str | Path) -> Run:
    """Open a run folder to read.

    Raises:
        RunNotFound: it is not one.
        RunVersion: it was written under another schema.
    """
    return Run(path)


def is_run(path: str | Path) -> bool:
    """Whether a folder holds a run of this program."""
    return (Path(path) / "manifest.json").is_file() and (Path(path) / "run.sqlite").is_file()


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


def _read_interactions(db: sqlite3.Connection, round_: int | None, agent: int | None = None) -> Iterator[Interaction]:
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
            before=Score({name: _load_rating(d) for name, d in json.loads(before).items()}),
            after=Score({name: _load_rating(d) for name, d in json.loads(after).items()}),
            feedback=tuple(said.get((r, a), ())),
            extra=json.loads(extra),
            error=error,
        )
