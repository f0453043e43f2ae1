"""Data of the dashboard: agents and reviews of a round, and conversations, from the record.

Knows no page: all results are plain JSON types.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import networkx as nx
import pandas as pd

from sandbox.counterfactual.divergence import find_divergences
from sandbox.records import Interaction, Score
from sandbox.scenario.settings import recorded_shape
from sandbox.seeding import keyed_rng
from sandbox.store.call_index import CallIndex
from sandbox.store.run import Run
from visualize.drawing.agent_values import shown_labels
from visualize.drawing.graph_layout import GRAPH_AGENTS, READABLE_NODES, nearest_distance, node_positions
from visualize.drawing.network import (
    DIRECTIONS,
    MAX_ARROWS,
    drawn_network,
    homes_in_network,
    named_rows,
    network_side,
    network_spacing,
)
from visualize.drawing.style import label_order
from visualize.page.calls import show_calls
from visualize.page.colours import AgentColours, final
from visualize.page.matrix import GroupMatrix

# Maximum number of reviews drawn per round; those of a chosen agent are always included.
REVIEWS = 4000
_MATCHES = 20


class PageData:
    """A run, and optionally a second one of the same agents, round by round.

    Args:
        run: The run.
        other: Run to compare with, for example the same society with another model.

    Attributes:
        labels: Labels, in the order used by all plots; one empty text where they mean nothing.
        colours: What agents can be coloured by.
        scale: The highest rating.
        shape: Rows and columns of the grid, in cells; 1 and 1 for a network.
    """

    def __init__(self, run: Run, other: Run | None = None) -> None:
        self.run, self.other = run, other
        self.scale = run.scale
        self._read_agents()
        self.shape = recorded_shape(run.manifest)
        self.colours = AgentColours(run, other)
        self._calls: dict[str, CallIndex] = {}
        self._matrix: tuple[int, GroupMatrix] | None = None
        self._round = lru_cache(maxsize=4)(self._read_round)

    def _read_agents(self) -> None:
        """Read who ever lived; again where agents were added while the page is shown."""
        self._agents = {int(row["agent"]): row for row in self.run.agents().to_dict("records")}
        self._names = {agent: str(row["name"]) for agent, row in self._agents.items()}
        given = pd.Series({agent: str(row["label"]) for agent, row in self._agents.items()}, dtype=object)
        # Labels that mean nothing are not shown, as on pictures.
        self._has_labels = shown_labels(self.run, given).equals(given)
        self.labels = label_order(given) if self._has_labels else [""]
        self._places: dict[int, tuple[float, float]] | None = None
        self._network: tuple[int, nx.Graph[int] | None] | None = None

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
            by: Meaning of colours, one of ``colours.known()``.
            matching: The agents that are not dimmed; all by default.

        Returns:
            agent, name, row, column, at (x and y of its node in the network, in [-1.2, 1.2], upwards; None on a grid), x, y
            (in the graph, in [-1, 1], upwards), kind (index of its label), colour (None without a value),
            text, dim.
        """
        positions = self.run.positions(round_)
        if not set(positions["agent"]) <= set(self._agents):
            self._read_agents()
        said, standing = self.round(round_), self.graph_positions()
        there = self.round(round_, self.other) if self.other is not None and by == "difference" else {}
        values, paint = self.colours.values(by, round_, said, there), self.colours.painter(by)
        graph, found = self.network(), []
        for agent, row, column in positions.itertuples(index=False):
            kind = self.labels.index(self._agents[agent]["label"]) if self._has_labels else 0
            value = values.get(agent)
            x, y = standing[agent]
            node = None if graph is None else graph.nodes[int(row) * network_side(graph) + int(column)]
            found.append(
                {
                    "agent": int(agent),
                    "name": self._names[agent],
                    "row": int(row),
                    "column": int(column),
                    "x": x,
                    "y": y,
                    "at": None if node is None else [round(node["x"], 3), round(node["y"], 3)],
                    "kind": kind,
                    "colour": paint(value),
                    "text": self.colours.text(by, value),
                    "dim": matching is not None and agent not in matching,
                }
            )
        return found

    @property
    def has_ratings(self) -> bool:
        """Whether the shown rounds have ratings by observers."""
        dimension = self.run.dimensions[0]
        return any(final(it, dimension) is not None for it in self.round(self.rounds - 1).values())

    def has_reviews(self) -> bool:
        """Whether an agent reviewed or addressed another in any round; while it runs, it still may."""
        is_running = not self.run.rounds
        return (
            is_running
            or any(it.feedback for it in self.round(self.rounds - 1).values())
            or len(self.run.feedback()) > 0
        )

    def reviews(self, round_: int, chosen: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """The reviews of a round as arrows, and their total number.

        Of more than ``REVIEWS`` a random sample is drawn, the same at every call.

        Args:
            round_: The round.
            chosen: An agent whose reviews are always included.

        Returns:
            Records of reviewer, author, colour (None for an unreadable rating) and text.
        """
        found = [
            (f.reviewer, it.agent, f.rating.value, f.kind) for it in self.round(round_).values() for f in it.feedback
        ]
        kept = found
        if len(found) > REVIEWS:
            own = [place for place, review in enumerate(found) if chosen in review[:2]]
            rest = sorted(set(range(len(found))) - set(own))
            drawn = keyed_rng("reviews", round_).sample(rest, max(0, min(REVIEWS - len(own), len(rest))))
            kept = [found[place] for place in sorted([*own, *drawn])]
        paint = self.colours.painter("rating")
        return [
            {"reviewer": a, "author": b, "colour": paint(value),
             "text": "said" if kind == "said" else "rates it –" if value is None else f"rates it {value:.1f}"}
            for a, b, value, kind in kept
        ], len(found)  # fmt: skip

    def matrix(self, round_: int) -> dict[str, Any] | None:
        """What groups say to each other in a round, see :meth:`~visualize.page.matrix.GroupMatrix.cells`.

        None of a society small enough for a graph.
        """
        if len(self._agents) <= GRAPH_AGENTS:
            return None
        if self._matrix is None or self._matrix[0] != len(self._agents):  # read again where agents were added
            self._matrix = len(self._agents), GroupMatrix(self.run)
        return self._matrix[1].cells(self.round(round_).values(), self.run.dimensions[0], self.scale)

    def network(self) -> nx.Graph[int] | None:
        """The network with the place of each node, as pictures have it; None on a grid. Read again where agents were added."""
        if self._network is None or self._network[0] != len(self._agents):
            self._network = (len(self._agents), drawn_network(self.run))
        return self._network[1]

    def links(self) -> list[list[float]]:
        """The links of the network: x and y of both ends, in [-1.2, 1.2], upwards; empty on a grid."""
        graph = self.network()
        if graph is None:
            return []
        return [[round(graph.nodes[node][axis], 3) for node in ends for axis in "xy"] for ends in graph.edges()]

    def hubs(self) -> list[int]:
        """The agents of a network to name on the map, by links: all of a few that have names, or else those with the most."""
        graph = self.network()
        if graph is None:
            return []
        side, agents = network_side(graph), list(self._agents)
        links = [graph.degree(int(row["x"]) * side + int(row["y"])) for row in self._agents.values()]
        return [agents[row] for row in named_rows(self._names.values(), links)]

    def direction(self) -> str:
        """What the arrows of links mean; empty where links have no direction, or are too many for arrows."""
        graph = self.network()
        is_few = graph is not None and graph.number_of_edges() <= MAX_ARROWS
        return DIRECTIONS.get(self.run.manifest["settings"].get("hears", "both"), "") if is_few else ""

    def rooms(self) -> list[float]:
        """Distances of a node from the nearest other one, on the map of a network and in the graph: medians, of at most 2."""
        graph = self.network()
        spacing = 2.0 if graph is None else network_spacing(graph)
        return [min(2.0, one) for one in (spacing, nearest_distance(list(self.graph_positions().values())))]

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
            homes = homes_in_network(self.run, graph) if small else None
            found = node_positions(graph, "spring" if small else "grid", homes)
            self._places = {agent: (round(float(x), 4), round(float(y), 4)) for agent, (x, y) in found.items()}
        return self._places

    def about(self, agent: int) -> dict[str, Any]:
        """An agent: its name, label, model and memory."""
        row = self._agents[agent]
        return {
            "name": row["name"],
            "label": row["label"] if self._has_labels else "",
            "model": row["model"] or "",
            "memories": [{"question": q, "answer": a} for q, a in self.run.memories(agent)],
        }

    def conversations(
        self, agent: int, low: float | None = None, high: float | None = None, text: str = ""
    ) -> list[dict[str, Any]]:
        """The conversations around an agent that pass a filter, latest first, each with that of the other run."""
        others = {} if self.other is None else {it.round: it for it in self.other.interactions(agent=agent)}
        kept = [it for it in reversed(self.run.interactions(agent=agent)) if self._passes(it, low, high, text)]
        return [self._conversation(it, others.get(it.round)) for it in kept]

    def reviews_between(
        self, reviewer: int, author: int, low: float | None = None, high: float | None = None, text: str = ""
    ) -> list[dict[str, Any]]:
        """The conversations in which one agent reviewed another, as :meth:`conversations`, with only that review."""
        found = []
        for it in reversed(self.run.interactions(agent=author)):
            if not self._passes(it, low, high, text):
                continue
            shown = self._conversation(it, None)
            shown["feedback"] = [f for f in shown["feedback"] if f["reviewer"] == reviewer]
            if shown["feedback"]:
                found.append(shown)
        return found

    def calls(self, round_: int, agent: int, run: str = "") -> dict[str, list[dict[str, Any]]]:
        """The calls to language models in an interaction, by the part that they gave; see :func:`show_calls`.

        Args:
            round_: The round.
            agent: Index of the agent.
            run: ``other`` for the run to compare with.
        """
        which = self.other if run and self.other is not None else self.run
        it = self.round(round_, which).get(agent)
        if it is None:
            return {}
        if run not in self._calls:
            self._calls[run] = CallIndex(which)
        return show_calls(self._calls[run].calls_of(it), self._names)

    def differing(self, round_: int) -> tuple[list[dict[str, Any]], int]:
        """The conversations of a round that differ from those of the other run, at most twenty, and how many there are.

        Drafts come before reviews, and these before revisions, so that what caused a difference comes first.
        """
        here, there = self.round(round_), self.round(round_, self.other) if self.other is not None else {}
        found = [one.agent for one in find_divergences(list(there.values()), list(here.values()))] if there else []
        both = [agent for agent in found if agent in here and agent in there]
        return [self._conversation(here[agent], there[agent]) for agent in both[:_MATCHES]], len(both)

    def _passes(self, it: Interaction, low: float | None, high: float | None, text: str) -> bool:
        """Whether the final answer is rated in a range, and the conversation contains a text."""
        wanted, value = text.strip().casefold(), final(it, self.run.dimensions[0])
        is_rated = (low is None or (value is not None and value >= low)) and (
            high is None or (value is not None and value <= high)
        )
        return is_rated and (not wanted or wanted in _words(it))

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
        return {
            agent
            for agent, it in self.round(round_).items()
            if (not labels or it.label in labels) and self._passes(it, low, high, text)
        }

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
            "label": it.label if self._has_labels else "",
            "question": it.question,
            "recalled": list(it.recalled) if it.recalled else None,
            "draft": it.draft,
            "before": self._scores(it.before),
            "feedback": [
                {
                    "part": f"review {place}",
                    "reviewer": f.reviewer,
                    "name": names.get(f.reviewer, f"Agent {f.reviewer + 1}"),
                    "rating": "–" if f.rating.value is None else f"{f.rating.value:.1f}",
                    "said": f.rating.reason or f.rating.raw,
                    "kind": f.kind,
                }
                for place, f in enumerate(it.feedback)
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
                "here": self.run.name,
                "conversation": self._conversation(other, None),
                "first": _first_difference(other, it),
            },
        }

    def _scores(self, score: Score) -> str:
        known: Mapping[str, float | None] = {d: score.value(d) for d in self.run.dimensions}
        if all(value is None for value in known.values()):
            return ""  # as in most games
        return ", ".join(f"{d} {'–' if value is None else f'{value:.2f}'}" for d, value in known.items())


def _first_difference(there: Interaction, here: Interaction) -> dict[str, str] | None:
    """The part that differs first, with the first sentence of it that differs in each; None where nothing does."""
    for one in find_divergences([there], [here]):
        return {"part": one.part, "there": one.first, "here": one.second}
    return None


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
