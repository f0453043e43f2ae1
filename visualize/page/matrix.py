"""Who speaks to whom in a large society, as a matrix of groups that the dashboard draws. Knows no page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import networkx as nx
import pandas as pd

from sandbox.records import Interaction
from sandbox.store.run import Run
from visualize.drawing.agent_groups import COMMUNITY, choose_groups, group_agents, group_table
from visualize.drawing.style import contrast_colour, one_line
from visualize.page.colours import gradient, rating_palette

# Of more agents, no communities are found, as that takes too long for a page.
_COMMUNITY_AGENTS = 2_500


class GroupMatrix:
    """The groups of a society, and what they say to each other in a round.

    Args:
        run: The run, of more agents than a graph can show.

    Attributes:
        kind: What groups agents, ``label`` or ``community``; empty where no groups can be shown.
    """

    def __init__(self, run: Run) -> None:
        agents = run.agents()
        kind = choose_groups(run, "auto")
        self.kind = "" if kind == COMMUNITY and len(agents) > _COMMUNITY_AGENTS else kind
        self._group: pd.Series[Any] | None = None
        if self.kind:
            graph = run.social_graph() if kind == COMMUNITY else _graph(agents["agent"], ())
            self._group = group_agents(run, graph, kind)

    def cells(self, interactions: Iterable[Interaction], dimension: str, scale: int) -> dict[str, Any] | None:
        """The matrix of a round; None where no groups can be shown, or nobody speaks.

        Args:
            interactions: Those of the round.
            dimension: What reviewers rate.
            scale: The highest rating.

        Returns:
            ``title``; ``names`` of the groups, with ``sizes`` (numbers of agents); ``bar`` (title, low, high, gradient); and
            ``cells``, row by row of speakers: ``colour`` and ``ink`` (None where nothing is known), ``text`` (share of what the
            speaker says) and ``tip``.
        """
        if self._group is None:
            return None
        graph = _graph(self._group.index, interactions)
        table = group_table(graph, self._group)
        if not table["reviews"].sum():
            return None
        is_rated = bool(table["rating"].notna().any())
        most = float(table["share"].max())
        values = (table["rating"] - 1) / (scale - 1) if is_rated else table["share"] / most
        said = "reviews" if is_rated else "messages"
        title = f"{dimension} as reviewers rate it, mean (1 to {scale})" if is_rated else f"share of the row's {said}"
        ends = ("1", str(scale)) if is_rated else ("0%", f"{100 * most:.0f}%")
        names = [str(name) for name in self._group.cat.categories]
        return {
            "title": f"who speaks to whom, by {self.kind}: shares of each row's {said}",
            "names": [one_line(name.removeprefix("community "), 18) for name in names],
            "sizes": [int(n) for n in self._group.value_counts(sort=False)],
            "bar": {"title": title, "low": ends[0], "high": ends[1], "gradient": gradient()},
            "cells": [_cell(row, value) for row, value in zip(table.to_dict("records"), values, strict=True)],
        }


def _cell(row: dict[Any, Any], value: float) -> dict[str, Any]:
    colour = None if pd.isna(value) else rating_palette()[int(min(max(value, 0.0), 1.0) * 255)]
    share = "–" if pd.isna(row["share"]) else f"{100 * row['share']:.0f}%"
    rated = "" if pd.isna(row["rating"]) else f", rating {row['rating']:.1f} on average"
    return {
        "colour": colour,
        "ink": None if colour is None else contrast_colour(colour),
        "text": share,
        "tip": f"{row['speaker']} to {row['listener']}: {row['reviews']:,}, {share} of all by {row['speaker']}{rated}",
    }


def _graph(agents: Iterable[int], interactions: Iterable[Interaction]) -> nx.DiGraph[int]:
    """The agents, with an edge for what one said to another: ``count``, and ``rating`` (mean of the readable ones, or None)."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(int(agent) for agent in agents)
    given: dict[tuple[int, int], list[float | None]] = {}
    for it in interactions:
        for review in it.feedback:
            given.setdefault((review.reviewer, it.agent), []).append(review.rating.value)
    for (reviewer, author), ratings in given.items():
        known = [value for value in ratings if value is not None]
        graph.add_edge(reviewer, author, count=len(ratings), rating=sum(known) / len(known) if known else None)
    return graph
