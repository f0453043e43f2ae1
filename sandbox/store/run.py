"""Read access to a run folder: ``manifest.json`` and ``run.sqlite``.

Gives frozen records, stored replies and memories. :mod:`sandbox.store.schema` describes the contents of the folder;
:mod:`sandbox.store.writer` writes it. Knows no language models, agents or trainers.
"""

from __future__ import annotations

import json
import operator
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox import registry
from sandbox.folders import write_json
from sandbox.models.base import Request
from sandbox.records import Heard, Interaction, Rating
from sandbox.storage_errors import read_as_written
from sandbox.store.drawing import Plottable
from sandbox.store.frames import extra_frame, interactions_frame
from sandbox.store.memories import heard_frame, read_notes, read_world_heard
from sandbox.store.network import read_recorded_network
from sandbox.store.population import Change, lives_in, population_frame, read_changes
from sandbox.store.ratings import recorded_rating, unreadable_ratings
from sandbox.store.rewards import check_reward, credits_of
from sandbox.store.schema import (
    check_version,
    connect_to_read,
    has_table,
    kind_of_feedback,
    read_interactions,
    read_manifest,
)

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

# What is said of a failed call beside its cause: the end of the request, and the conversation.
_WHERE = re.compile(r"; the request ends | \(protocol '| \(\d+ tr(?:y|ies) in ")


class Run(Plottable):
    """A run folder, opened for reading; safe while another process writes to it.

    Attributes:
        path: The folder.
        manifest: Content of ``manifest.json``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_version(self.path)
        self.manifest = read_manifest(self.path)
        self._db = connect_to_read(self.path / "run.sqlite")

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
        """Names of the dimensions that observers score; neighbours rate the first."""
        return list(self.manifest["rubric"]["dimensions"])

    @property
    def scale(self) -> int:
        """The highest rating; the lowest is 1."""
        return int(self.manifest["rubric"]["scale"])

    def interactions(self, round_: int | None = None, *, agent: int | None = None) -> list[Interaction]:
        """All interactions, or those of one round or agent, in the order of rounds and agents."""
        return list(read_interactions(self._db, round_, agent))

    @property
    def own_measures(self) -> dict[str, str]:
        """The scenario's own measures: name and description."""
        return dict(self.manifest.get("measures", {}))

    @property
    def measure_axes(self) -> dict[str, dict[str, Any]]:
        """How the scenario's own measures are drawn: ``unit``, ``limits`` and ``panel`` by name, as far as they are given."""
        return dict(self.manifest.get("measure_axes", {}))

    @property
    def rewards(self) -> dict[str, dict[str, Any]]:
        """The scenario's rewards by name: ``description``, ``discount`` and ``unit``."""
        return dict(self.manifest.get("rewards", {}))

    def credits(self, name: str) -> dict[tuple[int, int], float]:
        """Credits for a reward by round and agent; see :func:`sandbox.store.rewards.credits_of`.

        Raises:
            SettingsError: the run has no such reward.
        """
        return credits_of(self.interactions(), name, check_reward(self.rewards, name, str(self.path))["discount"])

    @property
    def ended(self) -> bool:
        """Whether the stop condition of the scenario ended the run."""
        return self.manifest.get("ended") is not None

    def agents(self) -> pd.DataFrame:
        """All agents that ever lived: columns agent, name, label, x (row), y (column; where each began), model.

        Then the columns of the personas, if any; a column that contains only numbers is numeric.
        """
        import pandas as pd

        columns = ["agent", "name", "label", "x", "y", "model"]
        rows = self._db.execute("SELECT agent, name, label, x, y, model FROM agents ORDER BY agent").fetchall()
        with read_as_written(f"the table of agents of {self.path}"):
            for agent, name, label, x, y, _ in rows:
                if not isinstance(name, str) or not isinstance(label, str):
                    raise TypeError(f"agent {agent} has the name {name!r} and the label {label!r}")
                for place in (x, y):
                    operator.index(place)
        frame = pd.DataFrame(rows, columns=columns)
        people = pd.DataFrame(list(self.personas()))
        for column in people.columns.difference(columns, sort=False):
            numbers = pd.to_numeric(people[column], errors="coerce")
            frame[column] = people[column] if numbers.isna().any() else numbers
        return frame

    def personas(self) -> list[dict[str, Any]]:
        """The persona of each agent, in the order of agents; empty if the scenario has none."""
        with read_as_written(f"the table of agents of {self.path}"):
            return [dict(json.loads(row[0])) for row in self._db.execute("SELECT persona FROM agents ORDER BY agent")]

    def positions(self, round_: int) -> pd.DataFrame:
        """Positions of the agents that live in a round, during it: columns agent, x (row), y (column)."""
        import pandas as pd

        condition, values = lives_in(self._db, round_)
        query = (
            "SELECT a.agent, COALESCE(m.x, a.x), COALESCE(m.y, a.y) FROM agents a LEFT JOIN moves m "
            "ON m.agent=a.agent AND m.round=(SELECT MAX(round) FROM moves WHERE agent=a.agent AND round<?) "
            f"WHERE {condition} ORDER BY a.agent"
        )
        return pd.DataFrame(self._db.execute(query, (round_, *values)).fetchall(), columns=["agent", "x", "y"])

    def population(self) -> pd.DataFrame:
        """Who lived when, one row per agent: columns agent, name, label, added and removed.

        ``added`` is the first round that it lives in (0 for those that the run began with), ``removed`` the first round
        without it (missing while it lives).
        """
        return population_frame(self._db)

    def changes(self) -> list[Change]:
        """Agents that were added and removed, in order."""
        return read_changes(self._db)

    def rating(self, question: str, answer: str, *, reviewer: int | None, dimension: str) -> Rating | None:
        """The recorded rating of an answer, or None; see :func:`sandbox.store.ratings.recorded_rating`."""
        return recorded_rating(self._db, question, answer, reviewer=reviewer, dimension=dimension)

    def embedding(self, question: str) -> bytes | None:
        """The stored embedding of a question as float32 bytes, or None."""
        row = self._db.execute("SELECT vector FROM embeddings WHERE question=?", (question,)).fetchone()
        return None if row is None else bytes(row[0])

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics of each complete round, in order."""
        rows = self._db.execute("SELECT metrics FROM rounds ORDER BY round").fetchall()
        with read_as_written(f"the table of rounds of {self.path}"):
            return [dict(json.loads(row[0])) for row in rows]

    def memories(self, agent: int) -> list[tuple[str, str]]:
        """The memory of an agent beyond its upbringing: (question, its last answer)."""
        query = "SELECT question, answer FROM memories WHERE agent=? ORDER BY round"
        return self._db.execute(query, (agent,)).fetchall()

    def heard(self) -> pd.DataFrame:
        """What was said to agents without a rating, one row each; see :func:`sandbox.store.memories.heard_frame`."""
        return heard_frame(self._db)

    def world_heard(self, round_: int) -> list[Heard]:
        """What functions of the scenario said to agents in a round, in order."""
        return read_world_heard(self._db, round_)

    def notes(self) -> list[tuple[int, int, str, str | None, str | None]]:
        """What memories wrote after rounds: (round, agent, kind of memory, text, error), one of the last two None."""
        return read_notes(self._db)

    def call(self, key: str) -> Any | None:
        """The stored reply of any model to the request with this key, or None."""
        row = self._db.execute("SELECT reply FROM calls WHERE key=? ORDER BY model LIMIT 1", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def request(self, key: str) -> Request | None:
        """The request with this key, or None."""
        row = self._db.execute("SELECT request FROM calls WHERE key=? ORDER BY model LIMIT 1", (key,)).fetchone()
        return None if row is None else Request.from_content(row[0])

    def branch_calls(self) -> list[dict[str, int]]:
        """Calls of the rounds that a branch ran itself: ``round``, ``calls``, and those of them ``reused`` from the record."""
        query = "SELECT round, COUNT(*), SUM(reused) FROM branch_calls GROUP BY round ORDER BY round"
        rows = self._db.execute(query) if has_table(self._db, "branch_calls") else ()
        return [{"round": round_, "calls": calls, "reused": reused} for round_, calls, reused in rows]

    def frame(self, *, extra: bool = False) -> pd.DataFrame:
        """One row per interaction: its texts, its mean rating, and each score before and after.

        Args:
            extra: Add the protocol's further results, as columns ``extra.KEY``, and ``extra.KEY.KEY`` for nested ones.

        Returns:
            Columns round, agent, label, question, draft, revision, rating (mean of the neighbours' ratings), n_ratings,
            error, for each dimension D of the rubric D_before and D_after, and for each reward R ``reward.R`` and, if it
            has a discount, ``credit.R``. Missing ratings and rewards are NaN.
        """
        return interactions_frame(self, extra=extra)

    def extra(self) -> pd.DataFrame:
        """The columns round, agent and ``extra.KEY`` of :meth:`frame`, read without what was said."""
        return extra_frame(self._db)

    def feedback(self) -> pd.DataFrame:
        """One row per review: round, agent (the author), reviewer, rating (NaN when unreadable), reason, kind.

        The kind ``said`` is of what was said without a rating, which is its reason.
        """
        import pandas as pd

        rows = self._db.execute(
            f"SELECT round, agent, reviewer, rating, reason, {kind_of_feedback(self._db)} FROM feedback "
            "ORDER BY round, agent, position"
        ).fetchall()
        frame = pd.DataFrame(rows, columns=["round", "agent", "reviewer", "rating", "reason", "kind"])
        return frame.astype({"rating": "float64"})

    def failures(self) -> list[tuple[str, int]]:
        """Errors of failed interactions with their numbers, the most frequent first.

        Where and for which request an error arose is left out, so that the same ones are counted together.
        """
        errors = self._db.execute("SELECT error FROM interactions WHERE error IS NOT NULL ORDER BY round, agent")
        return Counter(_WHERE.split(str(error), maxsplit=1)[0] for (error,) in errors).most_common()

    def states(self) -> pd.DataFrame:
        """States of the agents: one row per number of complete rounds and agent, with a column for each key.

        Columns ``rounds`` (0 for what the run began with) and ``agent`` come first; keys of these names are ``state.rounds``
        and ``state.agent``. Without states there are no rows.
        """
        return self._states("agent >= 0")

    def world_states(self) -> pd.DataFrame:
        """States of the world: one row per number of complete rounds, with a column for each key."""
        return self._states("agent < 0").drop(columns="agent")

    def has_states(self, rounds: int | None = None) -> bool:
        """Whether states are recorded within the given number of rounds; of the whole run where None."""
        query, at_most = "SELECT 1 FROM states WHERE round < ? LIMIT 1", self.rounds if rounds is None else rounds
        return has_table(self._db, "states") and self._db.execute(query, (at_most,)).fetchone() is not None

    def _states(self, which: str) -> pd.DataFrame:
        import pandas as pd

        found: list[dict[str, Any]] = []
        if has_table(self._db, "states"):
            rows = self._db.execute(f"SELECT round + 1, agent, state FROM states WHERE {which} ORDER BY round, agent")
            with read_as_written(f"the table of states of {self.path}"):
                for rounds, agent, text in rows:
                    own = {f"state.{k}" if k in ("rounds", "agent") else k: v for k, v in json.loads(text).items()}
                    found.append({"rounds": rounds, "agent": agent, **own})
        return pd.DataFrame(found, columns=None if found else ["rounds", "agent"])

    def state(self, agent: int | None = None) -> dict[str, Any]:
        """State of an agent, or of the world, after the last complete round; empty if there is none."""
        if not has_table(self._db, "states"):
            return {}
        row = self._db.execute(
            "SELECT state FROM states WHERE agent=? ORDER BY round DESC LIMIT 1", (-1 if agent is None else agent,)
        ).fetchone()
        with read_as_written(f"the table of states of {self.path}"):
            return {} if row is None else dict(json.loads(row[0]))

    def events(self) -> pd.DataFrame:
        """The scenario's events that took place: columns round (before which), event, description."""
        import pandas as pd

        query = "SELECT round, event, description FROM events ORDER BY round, position"
        rows = self._db.execute(query).fetchall() if has_table(self._db, "events") else []
        return pd.DataFrame(rows, columns=["round", "event", "description"])

    def unreadable(self) -> dict[str, Any]:
        """Ratings that could not be parsed; see :func:`sandbox.store.ratings.unreadable_ratings`."""
        return unreadable_ratings(self._db)

    def summary(self) -> dict[str, Any]:
        """The output of ``sandbox run --json``: counts, and the means of the rubric's dimensions over all final answers.

        The scenario's own measures have their last value; ``ended`` is whether its stop condition ended the run.
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
            "failures": [{"error": error, "n": n} for error, n in self.failures()[:3]],
            "unreadable": self.unreadable(),
            "recalled": self._db.execute("SELECT count(recalled) FROM interactions").fetchone()[0],
            "rounds": self.rounds,
            "calls": tokens["calls"],
            **({"reused": sum(one["reused"] for one in self.branch_calls())} if "from" in self.manifest else {}),
            **({"cached_tokens": tokens["cached"]} if "cached" in tokens else {}),
            **({"usd": tokens["usd"]} if "usd" in tokens else {}),
            **means,
            **own,
            "ended": self.ended,
            **{name: self.manifest[name] for name in ("stages", "groups") if name in self.manifest},
        }

    def measures(self, **settings: Any) -> dict[str, Any]:
        """The metrics of the complete rounds with intervals; see :func:`sandbox.metrics.run_metrics.run_measures`."""
        from sandbox.metrics.run_metrics import run_measures

        return run_measures(self, **settings)

    def survey(self, questions: Any, *, at: Any = "last", **settings: Any) -> pd.DataFrame:
        """Let every agent, as it was after some of the rounds, answer questions; the run stays as it is.

        Args:
            questions: A table of questions, or a list; see :func:`sandbox.survey.questions.read_survey`.
            at: Numbers of complete rounds after which they are asked, such as ``"0,last"``.
            **settings: As for :func:`sandbox.survey.run_survey.survey_run`: ``model``, ``scenario``, ``out`` and others.

        Returns:
            One row per round, agent and question; see :func:`sandbox.survey.table.survey_table`.
        """
        asked: pd.DataFrame = registry.load_object("sandbox.survey.run_survey:survey_run", "survey")(
            self, questions, at=at, **settings
        )
        return asked

    def network(self) -> nx.Graph[int] | None:
        """The network of the society: nodes with the attributes of its file, links with ``weight`` where it has weights.

        Directed where the file's links have a direction. Node ``n`` is where agents at row ``n // side``, column ``n % side``
        are, ``side`` being the square root of the number of nodes, rounded up. None on a grid, and of runs that were
        recorded before networks were kept.
        """
        return read_recorded_network(self._db, self)

    def social_graph(self) -> nx.DiGraph[int]:
        """The social graph of the run; see :func:`sandbox.metrics.social_graph.social_graph`."""
        from sandbox.metrics.social_graph import social_graph

        return social_graph(self)


def open_run(path: str | Path) -> Run:
    """Open a run folder for reading.

    Raises:
        RunNotFound: the folder is not a run.
        RunVersion: the run has another schema version.
    """
    return Run(path)


def is_run(path: str | Path) -> bool:
    """Whether a folder contains a run."""
    return (Path(path) / "manifest.json").is_file() and (Path(path) / "run.sqlite").is_file()


def write_measures(run: Run, **settings: Any) -> dict[str, Any]:
    """Compute the metrics of a run and write them to its folder as ``measures.json`` (schema 1).

    Args:
        run: The run.
        **settings: As for :func:`sandbox.metrics.run_metrics.run_measures`.

    Returns:
        The content of the file.
    """
    from sandbox.metrics.run_metrics import SCHEMA as MEASURES_SCHEMA

    found = {"schema": MEASURES_SCHEMA, **run.measures(**settings)}
    write_json(run.path / "measures.json", found)
    return found
