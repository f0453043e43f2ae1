"""Writes a run folder, so that a killed process loses nothing that was finished.

An interaction is kept whole or not at all: it and its reviews are one transaction. A finished call is kept as soon as it
is there, so that it is never paid for twice. One process writes a run, and holds ``run.lock`` while it does; any number
may read it meanwhile.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.errors import RunExists, RunLocked
from sandbox.folders import write_json
from sandbox.records import Interaction
from sandbox.store.schema import (
    SCHEMA,
    TABLES,
    as_json,
    check_version,
    feedback_rows,
    interaction_row,
    read_interactions,
    read_manifest,
)


class RunWriter:
    """The one process that writes a run.

    Args:
        path: The run's folder; made when missing.
        manifest: What to write into ``manifest.json`` when the run is new.
        resume: Go on with the run that is there, if any.
        branch: Begin a new run with the first rounds of another: its folder, and how many.

    Attributes:
        manifest: As it stands; :meth:`save_manifest` writes it.

    Raises:
        RunExists: a run is there and ``resume`` is False.
        RunLocked: another process is writing to it.
        RunVersion: it was written under another schema.
    """

    def __init__(self, path: str | Path, manifest: Mapping[str, Any], *, resume: bool = False,
        branch: tuple[Path, int] | None = None,
    ) -> None:  # fmt: skip
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
        # Calls are found by their hashes, which fall all over the index: pages are written back seldom, and many at a time.
        self._db.execute("PRAGMA wal_autocheckpoint=8192")
        self._db.execute("PRAGMA cache_size=-65536")
        if is_new:
            self._db.executescript(TABLES)
            if branch is not None:
                self._branch(*branch)
            self.manifest: dict[str, Any] = {"schema": SCHEMA, **manifest}
            self.save_manifest()
        else:
            self.manifest = read_manifest(self.path)

    def save_manifest(self) -> None:
        """Write ``manifest.json`` as ``self.manifest`` stands, in one step."""
        write_json(self.path / "manifest.json", self.manifest)

    def add_agents(
        self,
        rows: Iterable[tuple[int, str, str, int, int]],
        models: Iterable[str | None] = itertools.repeat(None),
        personas: Iterable[Mapping[str, Any]] = itertools.repeat({}),
    ) -> None:
        """Record who lives where; of agents that stand already, what they speak through.

        Args:
            rows: (agent, name, label, x, y).
            models: URI of the language model that each speaks through.
            personas: Who each is.
        """
        self._db.execute("BEGIN")
        whole = zip(rows, models, personas, strict=False)
        self._db.executemany(
            "INSERT INTO agents VALUES (?,?,?,?,?,?,?) ON CONFLICT (agent) DO UPDATE SET model=excluded.model",
            ((*row, model, as_json(dict(persona))) for row, model, persona in whole),
        )
        self._db.execute("COMMIT")

    def add_embeddings(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Keep the embeddings of questions: (question, float32 bytes)."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO embeddings VALUES (?,?)", rows)
        self._db.execute("COMMIT")

    def call_counts(self, prices: Mapping[str, tuple[float, float] | None] | None = None) -> dict[str, Any]:
        """How many finished calls of this run are kept, and how many tokens they read and wrote.

        Args:
            prices: Of models by URI: US dollars for a million tokens read, and written. Where any has one, ``usd``
                says what the calls cost.
        """
        rows = self._db.execute(
            "SELECT model, COUNT(*), SUM(json_extract(reply, '$.prompt_tokens')), SUM(json_extract(reply, "
            "'$.completion_tokens')) FROM calls WHERE kind <> 'inherited' GROUP BY model"
        ).fetchall()
        calls, read, written = (sum(row[i] or 0 for row in rows) for i in (1, 2, 3))
        known = {model: price for model, price in (prices or {}).items() if price is not None}
        found: dict[str, Any] = {"calls": calls, "prompt": read, "completion": written}
        if known:
            priced = [(known[row[0]], row) for row in rows if row[0] in known]
            found["usd"] = sum((p[0] * row[2] + p[1] * row[3]) / 1e6 for p, row in priced)
        return found

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

    def commit(self, *done: Interaction) -> None:
        """Keep finished interactions, each whole, in one transaction."""
        self._db.execute("BEGIN")
        self._insert(done)
        self._db.execute("COMMIT")

    def _insert(self, done: Sequence[Interaction]) -> None:
        self._db.executemany("INSERT INTO interactions VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", map(interaction_row, done))
        self._db.executemany(
            "INSERT INTO feedback VALUES (?,?,?,?,?,?,?,?)", itertools.chain.from_iterable(map(feedback_rows, done))
        )

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
        self._db.execute("INSERT INTO rounds VALUES (?,?)", (round_, as_json(dict(metrics))))
        self._db.execute("COMMIT")

    def incomplete(self) -> list[tuple[int, int]]:
        """Interactions that failed, or that lack a rating: (round, agent), in order."""
        missing = "EXISTS (SELECT 1 FROM json_each({}) WHERE json_extract(json_each.value, '$.value') IS NULL)"
        return self._db.execute(
            "SELECT round, agent FROM interactions i WHERE error IS NOT NULL "
            "OR EXISTS (SELECT 1 FROM feedback f WHERE f.round=i.round AND f.agent=i.agent AND f.rating IS NULL) "
            f"OR {missing.format('before')} OR {missing.format('after')} ORDER BY round, agent"
        ).fetchall()

    def forget(self, round_: int, agents: Iterable[int]) -> None:
        """Drop interactions of a round, so that they are held again."""
        keys = [(round_, agent) for agent in agents]
        self._db.execute("BEGIN")
        for name in ("feedback", "interactions"):
            self._db.executemany(f"DELETE FROM {name} WHERE round=? AND agent=?", keys)
        self._db.execute("COMMIT")

    def replace(self, better: Iterable[Interaction]) -> None:
        """Put interactions of complete rounds in the place of those that were kept, with what agents remember of them."""
        better = list(better)
        self._db.execute("BEGIN")
        for name in ("feedback", "interactions"):
            self._db.executemany(
                f"DELETE FROM {name} WHERE round=? AND agent=?", [(it.round, it.agent) for it in better]
            )
        self._insert(better)
        # An agent remembers its last answer to a question.
        self._db.executemany(
            "INSERT INTO memories VALUES (?,?,?,?) ON CONFLICT (agent, question) DO UPDATE SET answer=excluded.answer, "
            "round=excluded.round WHERE excluded.round >= round",
            [(it.agent, it.question, it.final, it.round) for it in better if it.error is None and it.final is not None],
        )
        self._db.execute("COMMIT")

    def set_metrics(self, round_: int, metrics: Mapping[str, Any]) -> None:
        """Replace the measures of a complete round."""
        self._db.execute("UPDATE rounds SET metrics=? WHERE round=?", (as_json(dict(metrics)), round_))

    def finished_rounds(self) -> int:
        """How many rounds are complete."""
        return int(self._db.execute("SELECT COUNT(*) FROM rounds").fetchone()[0])

    def interactions(self, round_: int) -> list[Interaction]:
        """What is kept of a round already, in the order of agents."""
        return list(read_interactions(self._db, round_))

    def moves(self) -> list[tuple[int, int, int]]:
        """Where agents went: (agent, x, y), in the order of rounds."""
        return self._db.execute("SELECT agent, x, y FROM moves ORDER BY round").fetchall()

    def memories(self) -> list[tuple[int, str, str]]:
        """What agents remember of the complete rounds: (agent, question, answer), in the order it was learnt."""
        return self._db.execute("SELECT agent, question, answer FROM memories ORDER BY round, agent").fetchall()

    def _branch(self, source: Path, rounds: int) -> None:
        """Take over the first rounds of another run: its agents, interactions, calls and memories."""
        self._db.execute("ATTACH DATABASE ? AS source", (str(source / "run.sqlite"),))
        self._db.execute("BEGIN")
        # Who speaks through what is the new run's own.
        self._db.execute("INSERT INTO agents SELECT agent, name, label, x, y, NULL, persona FROM source.agents")
        # Calls of all rounds, so that what is asked again is not paid for again; they do not count as this run's.
        self._db.execute("INSERT INTO calls SELECT key, model, 'inherited', request, reply FROM source.calls")
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
