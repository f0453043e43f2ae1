"""Writes a run folder so that a killed process loses no finished work.

An interaction and its reviews are one transaction. A finished call is stored at once, so that it is never repeated. One process
writes a run and holds ``run.lock``; any number may read it.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import RunExists
from sandbox.folders import locked, refuse_link, write_json
from sandbox.records import Heard, Interaction
from sandbox.storage_errors import read_as_written
from sandbox.store.branching import INHERITED_CALLS, copy_rounds
from sandbox.store.budget import Prices, cost
from sandbox.store.memories import (
    MEMORIES,
    WORLD,
    heard_in,
    heard_rows,
    insert_heard,
    insert_notes,
    read_notes,
    read_world_heard,
)
from sandbox.store.network import NETWORK, insert_network
from sandbox.store.population import POPULATION, Change, insert_changes, read_changes
from sandbox.store.rewards import REWARDS, insert_utterances, replace_rewards
from sandbox.store.schema import (
    SCHEMA,
    STATES,
    TABLES,
    add_kinds,
    as_json,
    check_version,
    feedback_rows,
    interaction_row,
    read_interactions,
    read_manifest,
)

if TYPE_CHECKING:
    import networkx as nx

_OF_INTERACTIONS = ("feedback", "heard", "utterances", "rewards", "interactions")


class RunWriter:
    """Write access to a run, for one process at a time.

    Args:
        path: Run folder; created if missing.
        manifest: Content of ``manifest.json`` for a new run.
        resume: Resume the run in the folder, if there is one.
        branch: Start a new run with the first rounds of another: its folder, and their number.

    Attributes:
        manifest: Current content of the manifest; :meth:`save_manifest` writes it.

    Raises:
        RunExists: the folder contains a run and ``resume`` is False.
        RunLocked: another process is writing to it.
        RunVersion: the run has another schema version.
    """

    def __init__(self, path: str | Path, manifest: Mapping[str, Any], *, resume: bool = False,
        branch: tuple[Path, int] | None = None,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        database = self.path / "run.sqlite"
        for file in (database, *(self.path / f"{database.name}-{end}" for end in ("wal", "shm", "journal"))):
            refuse_link(file)
        is_new = not (self.path / "manifest.json").exists()
        if not (is_new or resume):
            raise RunExists(f"{self.path} already holds a run; add --resume to continue it, or choose another --out")
        self._lock = ExitStack()
        self._lock.enter_context(locked(self.path / "run.lock"))
        if is_new:
            # The manifest is written last: a folder without one is not a run, whatever else it contains.
            for leftover in self.path.glob("run.sqlite*"):
                leftover.unlink()
        else:
            check_version(self.path)
        self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        # Hashes of calls are spread over the whole index: write pages back rarely, many at a time.
        for setting in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=8192", "cache_size=-65536"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.executescript((TABLES if is_new else "") + STATES + MEMORIES + REWARDS + NETWORK + POPULATION)
        if is_new:
            if branch is not None:
                copy_rounds(self._db, *branch)
            self.manifest: dict[str, Any] = {"schema": SCHEMA, **manifest}
            self.save_manifest()
        else:
            self.manifest = read_manifest(self.path)
            add_kinds(self._db)

    def save_manifest(self) -> None:
        """Write ``self.manifest`` to ``manifest.json``, atomically."""
        write_json(self.path / "manifest.json", self.manifest)

    def add_agents(
        self,
        rows: Iterable[tuple[int, str, str, int, int]],
        models: Iterable[str | None] = itertools.repeat(None),
        personas: Iterable[Mapping[str, Any]] = itertools.repeat({}),
    ) -> None:
        """Record the agents; for agents that are already recorded, only their models.

        Args:
            rows: (agent, name, label, x, y).
            models: URI of the language model of each agent.
            personas: Persona of each agent.
        """
        self._db.execute("BEGIN")
        whole = zip(rows, models, personas, strict=False)
        self._db.executemany(
            "INSERT INTO agents VALUES (?,?,?,?,?,?,?) ON CONFLICT (agent) DO UPDATE SET model=excluded.model",
            ((*row, model, as_json(dict(persona))) for row, model, persona in whole),
        )
        self._db.execute("COMMIT")

    def add_network(self, graph: nx.Graph[int]) -> None:
        """Record the network, with the attributes of its nodes and the weights of its links, unless it is recorded."""
        insert_network(self._db, graph)

    def add_embeddings(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Store the embeddings of questions: (question, float32 bytes)."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO embeddings VALUES (?,?)", rows)
        self._db.execute("COMMIT")

    def call_counts(self, prices: Mapping[str, Prices | None] | None = None) -> dict[str, Any]:
        """Count the stored calls of this run, and their tokens, as in ``CallBudget.counts``.

        Args:
            prices: Prices of models by URI, in US dollars per million tokens. If there are any, ``usd`` is the cost of
                the calls.
        """
        rows = self._db.execute(
            "SELECT model, COUNT(*), SUM(json_extract(reply, '$.prompt_tokens')), SUM(json_extract(reply, "
            "'$.completion_tokens')), SUM(json_extract(reply, '$.cached_tokens')) FROM calls WHERE kind <> 'inherited' "
            "GROUP BY model"
        ).fetchall()
        calls, read, written, cached = (sum(row[i] or 0 for row in rows) for i in (1, 2, 3, 4))
        known = {model: price for model, price in (prices or {}).items() if price is not None}
        found: dict[str, Any] = {"calls": calls, "prompt": read, "completion": written}
        if cached:
            found["cached"] = cached
        if known:
            priced = [(known[row[0]], row) for row in rows if row[0] in known]
            found["usd"] = sum(cost(p, row[2] or 0, row[3] or 0, row[4] or 0) for p, row in priced)
        return found

    def has_calls(self) -> bool:
        """Whether any call is stored."""
        return self._db.execute("SELECT 1 FROM calls LIMIT 1").fetchone() is not None

    def recall_call(self, key: str, model: str) -> Any | None:
        """The stored reply of a call, or None."""
        row = self._db.execute("SELECT reply FROM calls WHERE key=? AND model=?", (key, model)).fetchone()
        return None if row is None else json.loads(row[0])

    def add_calls(
        self, rows: Iterable[tuple[str, str, str, str, str]], of_branch: Iterable[tuple[int, str, str, bool]] = ()
    ) -> None:
        """Store finished calls in one transaction.

        Args:
            rows: (key, model, kind, request, reply), the last two as JSON.
            of_branch: In a branch, the calls that were made or looked up: (round, key, model, whether its reply was known).
        """
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO calls VALUES (?,?,?,?,?)", rows)
        self._db.executemany("INSERT OR IGNORE INTO branch_calls VALUES (?,?,?,?)", of_branch)
        self._db.execute("COMMIT")

    def inherit_calls(self, source: Path) -> None:
        """Take over the finished calls of another run, so that equal requests are not repeated; they do not count as own."""
        self._db.execute("ATTACH DATABASE ? AS source", (str(source / "run.sqlite"),))
        self._db.execute(f"INSERT OR IGNORE INTO calls {INHERITED_CALLS}")
        self._db.execute("DETACH DATABASE source")

    def commit(self, *done: Interaction) -> None:
        """Store finished interactions with their reviews, in one transaction."""
        self._db.execute("BEGIN")
        self._insert(done)
        self._db.execute("COMMIT")

    def _insert(self, done: Sequence[Interaction]) -> None:
        self._db.executemany("INSERT INTO interactions VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", map(interaction_row, done))
        self._db.executemany(
            "INSERT INTO feedback VALUES (?,?,?,?,?,?,?,?,?)", itertools.chain.from_iterable(map(feedback_rows, done))
        )
        insert_heard(self._db, heard_in(done))
        insert_utterances(self._db, done)

    def finish_round(
        self,
        round_: int,
        memories: Iterable[tuple[int, str, str]],
        metrics: Mapping[str, Any],
        moves: Iterable[tuple[int, int, int]] = (),
        states: Iterable[tuple[int, str]] = (),
        heard: Sequence[Heard] = (),
        notes: Iterable[tuple[int, str, str | None, str | None]] = (),
        rewards: Mapping[int, Mapping[str, float]] | None = None,
        changes: Iterable[Change] = (),
    ) -> None:
        """Mark a round complete.

        Args:
            round_: The round.
            memories: New memories: (agent, question, answer).
            metrics: Metrics of the round.
            moves: Positions of the agents that moved after it: (agent, x, y).
            states: States after it: (agent, JSON).
            heard: What functions of the scenario said to agents at its end.
            notes: What memories wrote: (agent, kind of memory, text, error).
            rewards: Rewards of each agent by name.
            changes: Agents added and removed at its end.
        """
        self._db.execute("BEGIN")
        replace_rewards(self._db, round_, rewards or {})
        insert_changes(self._db, changes)
        insert_heard(self._db, heard_rows(round_, WORLD, heard))
        insert_notes(self._db, round_, notes)
        self._db.executemany("INSERT INTO moves VALUES (?,?,?,?)", [(round_, *move) for move in moves])
        self._db.executemany(
            "INSERT OR REPLACE INTO memories VALUES (?,?,?,?)", [(*memory, round_) for memory in memories]
        )
        self._insert_states(round_, states)
        self._db.execute("DELETE FROM barriers")
        self._db.execute("INSERT INTO rounds VALUES (?,?)", (round_, as_json(dict(metrics))))
        self._db.execute("COMMIT")

    def set_states(self, round_: int, states: Iterable[tuple[int, str]]) -> None:
        """Store the states after a round, or those that the run began with (round -1), in place of earlier ones."""
        self._db.execute("BEGIN")
        self._insert_states(round_, states)
        self._db.execute("COMMIT")

    def _insert_states(self, round_: int, states: Iterable[tuple[int, str]]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO states VALUES (?,?,?)", [(round_, agent, state) for agent, state in states]
        )

    def states(self, round_: int) -> list[tuple[int, str]]:
        """States after a round, or those that the run began with (round -1): (agent, JSON)."""
        rows = self._db.execute("SELECT agent, state FROM states WHERE round=? ORDER BY agent", (round_,))
        with read_as_written(f"the table of states of {self.path}"):
            return [(int(agent), json.dumps(dict(json.loads(text)))) for agent, text in rows]

    def add_barrier(
        self,
        round_: int,
        stage: int,
        said: Mapping[int, Interaction],
        states: Iterable[tuple[int, str]],
        events: Iterable[tuple[str, str]] = (), heard: Sequence[Heard] = (), changes: Iterable[Change] = (),
    ) -> None:  # fmt: skip
        """Store what the running round has passed, in one transaction; :meth:`finish_round` deletes it.

        Args:
            round_: The round.
            stage: Number of stages that have ended.
            said: Interactions of the stage that has just ended, by agent.
            states: States after it: (agent, JSON).
            events: Events before the round, which are kept: (name, description).
            heard: What functions of the scenario said to agents there, which is kept.
            changes: Agents added and removed there, which is kept.
        """
        held = dict(states)
        texts = {agent: json.dumps(it.as_dict(), ensure_ascii=False) for agent, it in said.items()}
        self._db.execute("BEGIN")
        insert_changes(self._db, changes)
        insert_heard(self._db, heard_rows(round_, WORLD, heard))
        self._db.executemany(
            "INSERT INTO barriers VALUES (?,?,?,?,?)",
            [(round_, stage, agent, texts.get(agent), held.get(agent)) for agent in sorted({*held, *texts})],
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO events VALUES (?,?,?,?)", [(round_, n, *event) for n, event in enumerate(events)]
        )
        self._db.execute("COMMIT")

    def barriers(self, round_: int) -> list[tuple[int, int, Interaction | None, str | None]]:
        """What a running round has passed: (number of ended stages, agent, its interaction, its state), in order."""
        rows = self._db.execute(
            "SELECT stage, agent, said, state FROM barriers WHERE round=? ORDER BY stage, agent", (round_,)
        )
        with read_as_written(f"what was said in round {round_} of {self.path}"):
            return [(s, a, said and Interaction.from_dict(json.loads(said)), state) for s, a, said, state in rows]

    def newest(self, before: int) -> list[Interaction]:
        """The newest interaction of each agent that did not fail, of rounds before ``before``."""
        good = "SELECT MAX(round), agent FROM interactions WHERE error IS NULL AND round < ? GROUP BY agent"
        return list(read_interactions(self._db, where=f"(round, agent) IN ({good})", values=(before,)))

    def incomplete(self) -> list[tuple[int, int]]:
        """Interactions that failed or lack a rating: (round, agent), in order."""
        missing = "EXISTS (SELECT 1 FROM json_each({}) WHERE json_extract(json_each.value, '$.value') IS NULL)"
        return self._db.execute(
            "SELECT round, agent FROM interactions i WHERE error IS NOT NULL "
            "OR EXISTS (SELECT 1 FROM feedback f WHERE f.round=i.round AND f.agent=i.agent AND f.rating IS NULL "
            "AND f.kind='rating') "
            f"OR {missing.format('before')} OR {missing.format('after')} ORDER BY round, agent"
        ).fetchall()

    def delete_interactions(self, round_: int, agents: Iterable[int]) -> None:
        """Delete interactions of a round, so that their conversations are repeated."""
        keys = [(round_, agent) for agent in agents]
        self._db.execute("BEGIN")
        for name in _OF_INTERACTIONS:
            self._db.executemany(f"DELETE FROM {name} WHERE round=? AND agent=?", keys)
        self._db.execute("COMMIT")

    def replace_interactions(self, better: Iterable[Interaction]) -> None:
        """Replace stored interactions of complete rounds, and the memories of them."""
        better = list(better)
        self._db.execute("BEGIN")
        for name in _OF_INTERACTIONS:
            self._db.executemany(
                f"DELETE FROM {name} WHERE round=? AND agent=?", [(it.round, it.agent) for it in better]
            )
        self._insert(better)
        # A memory is the last answer to a question.
        self._db.executemany(
            "INSERT INTO memories VALUES (?,?,?,?) ON CONFLICT (agent, question) DO UPDATE SET answer=excluded.answer, "
            "round=excluded.round WHERE excluded.round >= round",
            [(it.agent, it.question, it.final, it.round) for it in better if it.error is None and it.final is not None],
        )
        self._db.execute("COMMIT")

    def set_metrics(
        self, round_: int, metrics: Mapping[str, Any], rewards: Mapping[int, Mapping[str, float]] | None = None
    ) -> None:
        """Replace the metrics of a complete round, and its rewards of each agent by name."""
        self._db.execute("BEGIN")
        self._db.execute("UPDATE rounds SET metrics=? WHERE round=?", (as_json(dict(metrics)), round_))
        replace_rewards(self._db, round_, rewards or {})
        self._db.execute("COMMIT")

    def interactions(self, round_: int) -> list[Interaction]:
        """The stored interactions of a round, in the order of agents."""
        return list(read_interactions(self._db, round_))

    def moves(self) -> list[tuple[int, int, int]]:
        """All moves: (agent, x, y), in order."""
        return self._db.execute("SELECT agent, x, y FROM moves ORDER BY round").fetchall()

    def set_world_heard(self, round_: int, heard: Sequence[Heard]) -> None:
        """Replace what functions of the scenario said to agents in a complete round."""
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM heard WHERE round=? AND agent=?", (round_, WORLD))
        insert_heard(self._db, heard_rows(round_, WORLD, heard))
        self._db.execute("COMMIT")

    def world_heard(self, round_: int) -> list[Heard]:
        """What functions of the scenario said to agents in a round, in order."""
        return read_world_heard(self._db, round_)

    def notes(self) -> list[tuple[int, int, str, str | None, str | None]]:
        """What memories wrote: (round, agent, kind of memory, text, error), in order."""
        return read_notes(self._db)

    def memories(self) -> list[tuple[int, str, str, int]]:
        """Memories of the complete rounds: (agent, question, answer, round), in the order of rounds."""
        return self._db.execute("SELECT agent, question, answer, round FROM memories ORDER BY round, agent").fetchall()

    def changes(self) -> list[Change]:
        """Agents that were added and removed, in order."""
        return read_changes(self._db)

    def close(self) -> None:
        """Close the run and release the lock."""
        self._db.close()
        self._lock.close()
