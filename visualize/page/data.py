"""Data of the dashboard: agents and reviews of a round, and conversations, from the record.

Knows no page: all results are plain JSON types.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from typing import Any

import networkx as nx
from matplotlib.colors import to_hex

from sandbox.records import Interaction, Score
from sandbox.scenario.settings import recorded_shape
from sandbox.store.run import Run
from visualize.drawing.graph_layout import READABLE_NODES, node_positions
from visualize.drawing.style import label_order, rating_colormap

# Maximum number of reviews drawn per round; those of a chosen agent are always included.
REVIEWS = 4000
_MATCHES = 20

BY = ("rating", "gain", "label", "difference")


class PageData:
    """A run, and optionally a second one of the same agents, round by round.

    Args:
        run: The run.
        other: Run to compare with, for example the same society with another model.

    Attributes:
        labels: Labels, in the order used by all plots.
        scale: The highest rating.
        shape: Rows and columns of the grid, in cells; 1 and 1 for a network.
    """

    def __init__(self, run: Run, other: Run | None = None) -> None:
        self.run, self.other = run, other
        self.scale = run.scale
        self._read_agents()
        self.shape = recorded_shape(run.manifest)
        self._round = lru_cache(maxsize=4)(self._read_round)

    def _read_agents(self) -> None:
        """Read who ever lived; again where agents were added while the page is shown."""
        self._agents = {int(row["agent"]): row for row in self.run.agents().to_dict("records")}
        self._names = {agent: str(row["name"]) for agent, row in self._agents.items()}
        self.labels = label_order(str(row["label"]) for row in self._agents.values())
        self._places: dict[int, tuple[float, float]] | None = None

    @property
    def rounds(self) -> int:
        """Number of rounds that can be shown: the complete ones, or the first while it runs."""
        return max(1, self.run.rounds)

    def _read_round(self, round_: int, n_kept: int, which: Run) -> dict[int, Interaction]:
        return {it.agent: it for it in which.interactions(round_)}

    def round(self, round_: int, which: Run | None = None) -> dict[int, Interaction]:
        """The interactions of a round, by agent."""
        run = which or self.run
        # An incomplete round is read again as it grows.
        return self._round(round_, run.rounds if round_ < run.rounds else -len(run.interactions(round_)), run)

    def agents(self, round_: int, by: str = "rating", matching: Collection[int] | None = None) -> list[dict[str, Any]]:
        """One record per agent: its position on the map and in the graph, and its colour.

        Args:
            round_: The round.
            by: Meaning of colours, one of ``BY``.
            matching: The agents that are not dimmed; all by default.

        Returns:
            agent, row, column, x, y (in [-1, 1], upwards), kind (index of its label), colour (None without a value),
            text, dim.
        """
        positions = self.run.positions(round_)
        if not set(positions["agent"]) <= set(self._agents):
            self._read_agents()
        said, standing = self.round(round_), self.graph_positions()
        found = []
        for agent, row, column in positions.itertuples(index=False):
            kind = self.labels.index(self._agents[agent]["label"])
            value = self._value(said.get(agent), agent, round_, by)
            x, y = standing[agent]
            found.append(
                {
                    "agent": int(agent),
                    "row": int(row),
                    "column": int(column),
                    "x": x,
                    "y": y,
                    "kind": kind,
                    "colour": None if by == "label" else self._colour(value, by),
                    "text": "" if value is None else f"{value:.1f}" if by == "rating" else f"{value:+z.1f}",
                    "dim": matching is not None and agent not in matching,
                }
            )
        return found

    def _value(self, it: Interaction | None, agent: int, round_: int, by: str) -> float | None:
        dimension = self.run.dimensions[0]
        if it is None:
            return None
        if by == "gain":
            return _minus(it.after.value(dimension), it.before.value(dimension))
        if by == "difference":
            there = self.round(round_, self.other).get(agent) if self.other is not None else None
            return None if there is None else _minus(final(it, dimension), final(there, dimension))
        return final(it, dimension)

    def _colour(self, value: float | None, by: str) -> str | None:
        """A colour of :func:`visualize.drawing.style.rating_colormap`, from a table: each click needs hundreds."""
        if value is None:
            return None
        low, high = (1.0, float(self.scale)) if by == "rating" else (-(self.scale - 1) / 2, (self.scale - 1) / 2)
        share = (value - low) / (high - low)
        return _palette()[max(0, min(int(share * 256), 255))]

    def reviews(self, round_: int, chosen: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """The reviews of a round as arrows, and their total number.

        Args:
            round_: The round.
            chosen: An agent whose reviews are always included.

        Returns:
            Records of reviewer, author and colour (None for an unreadable rating).
        """
        found = [(f.reviewer, it.agent, f.rating.value) for it in self.round(round_).values() for f in it.feedback]
        if len(found) > REVIEWS:
            found.sort(key=lambda review: chosen in review[:2])
        kept = found[-REVIEWS:]
        colours = [self._colour(value, "rating") for _, _, value in kept]
        return [
            {"reviewer": a, "author": b, "colour": colour} for (a, b, _), colour in zip(kept, colours, strict=True)
        ], len(found)

    def graph_positions(self) -> dict[int, tuple[float, float]]:
        """Positions of agents in the graph, the same for all rounds; in a large society those of the map."""
        if self._places is None:
            graph: nx.DiGraph[int] = nx.DiGraph()
            for agent, row in self._agents.items():
                graph.add_node(agent, x=row["x"], y=row["y"])
            small = len(graph) <= READABLE_NODES
            if small:
                counts = self.run.feedback().groupby(["reviewer", "agent"]).size().reset_index(name="count")
                for reviewer, author, count in counts.itertuples(index=False):
                    graph.add_edge(int(reviewer), int(author), count=int(count))
            found = node_positions(graph, "spring" if small else "grid")
            self._places = {agent: (round(float(x), 4), round(float(y), 4)) for agent, (x, y) in found.items()}
        return self._places

    def about(self, agent: int) -> dict[str, Any]:
        """An agent: its name, label, model and memory."""
        row = self._agents[agent]
        return {
            "name": row["name"],
            "label": row["label"],
            "model": row["model"] or "",
            "memories": [{"question": q, "answer": a} for q, a in self.run.memories(agent)],
        }

    def conversations(self, agent: int) -> list[dict[str, Any]]:
        """The conversations around an agent, latest first, each with that of the same agent in the other run."""
        others = {} if self.other is None else {it.round: it for it in self.other.interactions(agent=agent)}
        return [self._conversation(it, others.get(it.round)) for it in reversed(self.run.interactions(agent=agent))]

    def reviews_between(self, reviewer: int, author: int) -> list[dict[str, Any]]:
        """The conversations in which one agent reviewed another, latest first, with only that review."""
        found = []
        for it in reversed(self.run.interactions(agent=author)):
            told = self._conversation(it, None)
            told["feedback"] = [f for f in told["feedback"] if f["reviewer"] == reviewer]
            if told["feedback"]:
                found.append(told)
        return found

    def filter_agents(
        self, round_: int, labels: Collection[str] = (), low: float | None = None, high: float | None = None,
        text: str = "",
    ) -> set[int] | None:  # fmt: skip
        """The agents of a round that pass a filter; None without a filter.

        Args:
            round_: The round.
            labels: Labels to include; all if empty.
            low: Minimum rating of the final answer.
            high: Maximum rating of the final answer.
            text: Text that the conversation contains, ignoring case.
        """
        if not labels and low is None and high is None and not text.strip():
            return None
        dimension, wanted, passed = self.run.dimensions[0], text.strip().casefold(), set()
        for agent, it in self.round(round_).items():
            value = final(it, dimension)
            rated = (low is None or (value is not None and value >= low)) and (
                high is None or (value is not None and value <= high)
            )
            if rated and (not labels or it.label in labels) and (not wanted or wanted in _words(it)):
                passed.add(agent)
        return passed

    def conversations_of(self, round_: int, agents: Collection[int]) -> list[dict[str, Any]]:
        """The conversations of a round around some agents, at most twenty."""
        said = self.round(round_)
        return [self._conversation(said[agent], None) for agent in sorted(agents)[:_MATCHES]]

    def _conversation(self, it: Interaction, other: Interaction | None) -> dict[str, Any]:
        names = self._names
        return {
            "agent": it.agent,
            "name": names.get(it.agent, f"Agent {it.agent + 1}"),
            "round": it.round,
            "label": it.label,
            "question": it.question,
            "recalled": list(it.recalled) if it.recalled else None,
            "draft": it.draft,
            "before": self._scores(it.before),
            "feedback": [
                {
                    "reviewer": f.reviewer,
                    "name": names.get(f.reviewer, f"Agent {f.reviewer + 1}"),
                    "rating": "–" if f.rating.value is None else f"{f.rating.value:.1f}",
                    "said": f.rating.reason or f.rating.raw,
                    "kind": f.kind,
                }
                for f in it.feedback
            ],
            "heard": [
                {"agent": names.get(h.agent, f"Agent {h.agent + 1}"), "name": h.name, "text": h.text} for h in it.heard
            ],
            "revision": it.revision,
            "after": self._scores(it.after),
            "error": it.error,
            "other": None
            if other is None or self.other is None
            else {
                "name": self.other.name,
                "question": other.question,
                "final": other.final,
                "scores": self._scores(other.after if other.revision is not None else other.before),
            },
        }

    def _scores(self, score: Score) -> str:
        known: Mapping[str, float | None] = {d: score.value(d) for d in self.run.dimensions}
        return ", ".join(f"{d} {'–' if value is None else f'{value:.2f}'}" for d, value in known.items())


@cache
def _palette() -> list[str]:
    return [to_hex(rating_colormap()(step)) for step in range(256)]


def final(it: Interaction, dimension: str) -> float | None:
    """Observers' rating of the final answer (the revision, else the draft); None if neither was rated."""
    after = it.after.value(dimension)
    return after if after is not None else it.before.value(dimension)


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _words(it: Interaction) -> str:
    said = [
        it.question,
        it.draft,
        it.revision,
        it.error,
        *(f.rating.reason for f in it.feedback),
        *(h.text for h in it.heard),
    ]
    return "\n".join(text for text in said if text).casefold()
