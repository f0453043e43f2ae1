"""Paints a network of agents: its links, with arrows where they have a direction, and a marker for each agent at its node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize, to_hex
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from sandbox.store.run import Run
from visualize.drawing.graph_layout import READABLE_NODES
from visualize.drawing.style import LabelStyle, Theme, background, contrast_colour, foreground, one_line

# Maximum numbers of links with arrowheads, and of agents with names and numbers, that remain readable.
MAX_ARROWS, MAX_NAMED = 300, 36
# Maximum number of nodes on a terminal, and the rows and columns that they are spread over.
MAX_IN_CELLS, CELLS_SIDE = 250, 20
_LINK = "#8a929b"


def drawn_network(run: Run) -> nx.Graph[int] | None:
    """The network of a run, with ``x`` (to the right) and ``y`` (upwards) of each node in [-1, 1].

    None on a grid, of runs that were recorded before networks were kept, and of networks of more than 1,000 nodes.
    """
    graph = run.network()
    if graph is None or len(graph) > READABLE_NODES:
        return None
    alone = list(nx.isolates(graph))
    linked: Any = nx.Graph(graph.edges())
    found = nx.spring_layout(linked, k=3.0 / math.sqrt(len(graph)), seed=0, iterations=300) if len(linked) else {}
    points = np.array([found[node] for node in linked]).reshape(len(linked), 2)
    reach = np.maximum(points.max(axis=0) - points.min(axis=0), 1e-9) if len(linked) else 1.0
    points = 2 * (points - points.min(axis=0, initial=np.inf)) / reach - 1 if len(linked) else points
    # Nodes without links stand in a row above the others.
    row = [((2 * i + 1) / len(alone) - 1, 1.15) for i in range(len(alone))]
    for node, (x, y) in zip((*linked, *alone), (*points, *row), strict=True):
        graph.nodes[node].update(x=float(x), y=float(y))
    return graph


def cells_of_network(graph: nx.Graph[int]) -> dict[int, tuple[int, int]]:
    """The row and column of each node on a terminal, near where the map of :func:`drawn_network` has it; one node a cell.

    Args:
        graph: The network, of :func:`drawn_network`, of at most 250 nodes.
    """
    last = CELLS_SIDE - 1
    free = {(row, column) for row in range(CELLS_SIDE) for column in range(CELLS_SIDE)}
    found = {}
    for node, at in graph.nodes(data=True):
        row, column = (1 - at["y"]) / 2 * last, (at["x"] + 1) / 2 * last
        cell = min(free, key=lambda one: ((one[0] - row) ** 2 + (one[1] - column) ** 2, one))
        free.remove(cell)
        found[node] = cell
    return found


def network_side(graph: nx.Graph[int]) -> int:
    """Number of nodes in a row of positions: node n is at row n // side, column n % side."""
    return max(1, math.ceil(math.sqrt(graph.graph.get("founders", len(graph)))))


def place_at_nodes(table: pd.DataFrame, graph: nx.Graph[int]) -> pd.DataFrame:
    """A table of agents with the columns node, x and y: where each is drawn. Agents at the same node are spread around it."""
    node = table["row"] * network_side(graph) + table["column"]
    nth = table.assign(node=node).groupby(["panel", "node"]).cumcount().to_numpy()
    shared = node.groupby([table["panel"], node]).transform("size").to_numpy() > 1
    turn, reach = nth * 2.399963, np.where(shared, 0.35 / math.sqrt(len(graph)), 0.0)  # the golden angle, in radians
    at = np.array([[graph.nodes[n]["x"], graph.nodes[n]["y"]] for n in node], dtype=float).reshape(len(node), 2)
    return table.assign(node=node, x=at[:, 0] + reach * np.cos(turn), y=at[:, 1] + reach * np.sin(turn))


@dataclass(frozen=True)
class NetworkPainter:
    """How a network is painted.

    Attributes:
        graph: The network, of :func:`drawn_network`.
        has_arrows: Whether links are drawn as arrows, from their source to their target.
        colours: Colour map of values.
        norm: Maps values to the colour map.
        form: Format of numbers; empty for no numbers.
        label_styles: Style of each label, whose marker its agents have.
        theme: ``light`` or ``dark``.
    """

    graph: nx.Graph[int]
    has_arrows: bool
    colours: Colormap
    norm: Normalize
    form: str
    label_styles: Mapping[str, LabelStyle]
    theme: Theme

    def paint(self, ax: Axes, agents: pd.DataFrame, values: NDArray[np.float64], width_in: float) -> None:
        """Paint one network.

        Args:
            ax: Axes to paint on.
            agents: Columns name, label, node, x and y; one row per agent.
            values: One for each row of ``agents``; NaN is hatched.
            width_in: Width of the axes, in inches.
        """
        side_pt = float(np.clip(72 * width_in / (3.2 * math.sqrt(len(self.graph))), 3.0, 18.0))
        self._links(ax, side_pt)
        empty = sorted(set(self.graph) - set(agents["node"]))
        if empty:
            at = np.array([[self.graph.nodes[n]["x"], self.graph.nodes[n]["y"]] for n in empty])
            ax.scatter(at[:, 0], at[:, 1], s=(side_pt / 4) ** 2, color=_LINK, zorder=2)
        self._agents(ax, agents, values, side_pt)
        if len(agents) <= MAX_NAMED:
            self._words(ax, agents, values, side_pt)
        ax.set(xlim=(-1.2, 1.2), ylim=(-1.25, 1.25), aspect="equal")
        ax.set_axis_off()

    def _links(self, ax: Axes, side_pt: float) -> None:
        links = list(self.graph.edges(data="weight"))  # type: ignore[call-overload]
        if not links:
            return
        ends = [[(self.graph.nodes[n]["x"], self.graph.nodes[n]["y"]) for n in (a, b)] for a, b, _ in links]
        weights = np.abs(np.array([1.0 if weight is None else weight for _, _, weight in links], dtype=float))
        widest = float(np.clip(30 / math.sqrt(len(links)), 0.4, 2.5))
        widths = np.maximum(widest * np.sqrt(weights / max(float(weights.max()), 1e-9)), 0.25)
        if weights.min() == weights.max():
            widths = np.full(len(links), min(widest, 1.0))
        if not self.has_arrows or len(links) > MAX_ARROWS:
            ax.add_collection(LineCollection(ends, colors=_LINK, linewidths=widths, alpha=0.6, zorder=1))
            return
        for (source, target), width in zip(ends, widths, strict=True):
            # Curved, so that two links between the same nodes are two arrows.
            ax.add_patch(
                FancyArrowPatch(
                    source, target, connectionstyle="arc3,rad=0.1", arrowstyle="-|>", mutation_scale=5 + 2 * float(width),
                    linewidth=float(width), color=_LINK, shrinkA=side_pt / 2, shrinkB=side_pt / 2 + 1, zorder=1,
                )
            )  # fmt: skip

    def _agents(self, ax: Axes, agents: pd.DataFrame, values: NDArray[np.float64], side_pt: float) -> None:
        faces = self.colours(self.norm(np.nan_to_num(values)))
        for label, style in self.label_styles.items():
            for is_known in (True, False):
                some = (agents["label"] == label).to_numpy() & (~np.isnan(values) if is_known else np.isnan(values))
                if some.any():
                    ax.scatter(
                        agents["x"][some], agents["y"][some], s=side_pt**2, marker=style.marker, linewidths=0.8,
                        facecolors=faces[some] if is_known else background(self.theme), edgecolors=foreground(self.theme),
                        hatch=None if is_known else "/////", label=one_line(label), zorder=3,
                    )  # fmt: skip

    def _words(self, ax: Axes, agents: pd.DataFrame, values: NDArray[np.float64], side_pt: float) -> None:
        has_names = not agents["name"].str.fullmatch(r"Agent \d+").all()
        for name, x, y, value in zip(agents["name"], agents["x"], agents["y"], values, strict=True):
            if self.form and side_pt >= 13 and not np.isnan(value):
                colour = contrast_colour(to_hex(self.colours(self.norm(value))))
                ax.text(
                    x, y, self.form.format(value), ha="center", va="center", size=side_pt * 0.36, color=colour, zorder=4
                )
            if has_names:
                ax.annotate(
                    one_line(name), (x, y), (0, -side_pt / 2 - 1), textcoords="offset points", ha="center", va="top", size=6,
                    zorder=4,
                )  # fmt: skip
