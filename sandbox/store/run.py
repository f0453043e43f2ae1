"""A run folder, read: ``manifest.json`` and ``run.sqlite``.

The store knows nothing about language models, agents or trainers: it gives back frozen records, the replies that were
paid for, and what agents remember. What the folder holds is said in :mod:`sandbox.store.schema`;
:mod:`sandbox.store.writer` writes it.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.folders import write_json
from sandbox.records import Interaction, Rating
from sandbox.store.schema import check_version, load_rating, read_interactions, read_manifest

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd


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
        return list(read_interactions(self._db, round_, agent))

    @property
    def own_measures(self) -> dict[str, str]:
        """The scenario's own measures, by name, with what each is in words."""
        return dict(self.manifest.get("measures", {}))

    @property
    def ended(self) -> bool:
        """Whether the scenario's own stop condition has ended the run."""
        return self.manifest.get("ended") is not None

    def agents(self) -> pd.DataFrame:
        """Who lives where when the run begins: columns agent, name, label, x (row), y (column), model.

        Then those of the personas, where there are some; a column that holds nothing but numbers is one of numbers.
        """
        import pandas as pd

        columns = ["agent", "name", "label", "x", "y", "model"]
        rows = self._db.execute("SELECT agent, name, label, x, y, model FROM agents ORDER BY agent").fetchall()
        frame = pd.DataFrame(rows, columns=columns)
        people = pd.DataFrame(list(self.personas()))
        for column in people.columns.difference(columns, sort=False):
            numbers = pd.to_numeric(people[column], errors="coerce")
            frame[column] = people[column] if numbers.isna().any() else numbers
        return frame

    def personas(self) -> list[dict[str, Any]]:
        """Each agent's row of the scenario's personas, by agent; empty where there are none."""
        return [json.loads(row[0]) for row in self._db.execute("SELECT persona FROM agents ORDER BY agent")]

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
                return load_rating(kept[dimension])
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

    def frame(self, *, extra: bool = False) -> pd.DataFrame:
        """One row an interaction: its texts, its mean rating, and each score before and after.

        Args:
            extra: Add what the protocol kept of its own, as columns ``extra.KEY`` and ``extra.KEY.KEY`` for what is nested.

        Returns:
            Columns round, agent, label, question, draft, revision, rating (mean of the neighbours who gave one), n_ratings,
            error, and for each dimension D of the rubric D_before and D_after. Missing ratings are NaN.
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
        frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, "float64"))
        if not extra:
            return frame
        own = pd.json_normalize([dict(it.extra) for it in self.interactions()]).add_prefix("extra.")
        return pd.concat([frame, own], axis=1)

    def feedback(self) -> pd.DataFrame:
        """One row a review: round, agent (the author), reviewer, rating (NaN when unreadable), reason."""
        import pandas as pd

        rows = self._db.execute(
            "SELECT round, agent, reviewer, rating, reason FROM feedback ORDER BY round, agent, position"
        ).fetchall()
        frame = pd.DataFrame(rows, columns=["round", "agent", "reviewer", "rating", "reason"])
        return frame.astype({"rating": "float64"})

    def summary(self) -> dict[str, Any]:
        """What ``sandbox run --json`` prints of a run; the rubric's dimensions are means over all final answers.

        The scenario's own measures are the last there are; ``ended`` says whether its own stop condition has come to hold.
        """
        frame = self.frame()
        means = {
            d: float(v) if (v := frame[f"{d}_after"].fillna(frame[f"{d}_before"]).mean()) == v else None
            for d in self.dimensions
        }
        metrics, tokens = self.metrics(), self.manifest["tokens"]
        own = {
            name: next((m[name] for m in reversed(metrics) if m.get(name) is not None), None)
            for name in self.own_measures
        }
        return {
            "run": str(self.path),
            "interactions": len(frame),
            "failed": int(frame["error"].notna().sum()),
            "rounds": self.rounds,
            "calls": tokens["calls"],
            **({"usd": tokens["usd"]} if "usd" in tokens else {}),
            **means,
            **own,
            "ended": self.ended,
        }

    def measures(self, **settings: Any) -> dict[str, Any]:
        """The measures of the complete rounds with intervals; see :func:`sandbox.metrics.run_metrics.run_measures`."""
        from sandbox.metrics.run_metrics import run_measures

        return run_measures(self, **settings)

    def social_graph(self) -> nx.DiGraph[int]:
        """Who reviewed whom, as :func:`sandbox.metrics.social_graph.social_graph` draws it from this record."""
        from sandbox.metrics.social_graph import social_graph

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


def write_measures(run: Run, **settings: Any) -> dict[str, Any]:
    """Measure a run and keep that in its folder as ``measures.json`` (schema 1).

    Args:
        run: To be measured.
        **settings: As for :func:`sandbox.metrics.run_metrics.run_measures`.

    Returns:
        What was written.
    """
    from sandbox.metrics.run_metrics import SCHEMA as MEASURES_SCHEMA

    found = {"schema": MEASURES_SCHEMA, **run.measures(**settings)}
    write_json(run.path / "measures.json", found)
    return found
