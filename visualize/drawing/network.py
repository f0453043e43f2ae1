"""Paints a network of agents: its links, with arrows where they have a direction, and a marker for each agent at its node."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize, to_hex
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from sandbox.store.run import Run
from visualize.drawing.agent_values import given_names
from visualize.drawing.graph_layout import READABLE_NODES, nearest_distance
from visualize.drawing.node_names import write_names
from visualize.drawing.style import GREY, LabelStyle, Theme, background, contrast_colour, foreground, one_line

if TYPE_CHECKING:
    import networkx as nx

# Maximum numbers of links with arrowheads, of agents with names and numbers, and of agents with the markers of their labels,
# that remain readable; and how many of the agents of a larger network are named: those with the most links.
MAX_ARROWS, MAX_NAMED, MAX_MARKED, NAMED_HUBS = 300, 36, 400, 8
# Names of more characters are cut where there are more than a few, or they would cover each other.
NAME_LENGTH, FEW = 18, 9
# What arrows mean, by the setting ``hears``; otherwise links have no direction.
DIRECTIONS = {"successors": "A → B: A hears B", "predecessors": "A → B: B hears A"}
# Half of the axes, across and along; nodes are in [-1, 1], those without links a little above.
_REACH = (1.2, 1.25)
# Maximum number of nodes on a terminal, and the rows and columns that they are spread over.
MAX_IN_CELLS, CELLS_SIDE = 250, 20


def drawn_network(run: Run) -> nx.Graph[int] | None:
    """The network of a run, with ``x`` (to the right) and ``y`` (upwards) of each node in [-1, 1].

    None on a grid, of runs that were recorded before networks were kept, and of networks of more than 1,000 nodes.
    """
    graph = run.network()
    if graph is None or len(graph) > READABLE_NODES:
        return None
    import networkx as nx

    alone = list(nx.isolates(graph))
    linked: Any = nx.Graph(graph.edges())
    found = (
        nx.spring_layout(linked, pos=_unfolded(linked), k=3.0 / math.sqrt(len(graph)), seed=0, iterations=300)
        if len(linked)
        else {}
    )
    points = np.array([found[node] for node in linked]).reshape(len(linked), 2)
    reach = np.maximum(points.max(axis=0) - points.min(axis=0), 1e-9) if len(linked) else 1.0
    points = 2 * (points - points.min(axis=0, initial=np.inf)) / reach - 1 if len(linked) else points
    # Nodes without links stand in a row above the others.
    row = [((2 * i + 1) / len(alone) - 1, 1.15) for i in range(len(alone))]
    for node, (x, y) in zip((*linked, *alone), (*points, *row), strict=True):
        graph.nodes[node].update(x=float(x), y=float(y))
    return graph


def _unfolded(graph: nx.Graph[int]) -> dict[int, NDArray[np.float64]] | None:
    """Where a spring layout starts, so that a ring becomes a ring and no knot: by the slowest vibrations of the network.

    These are the eigenvectors of its Laplacian with the two smallest positive eigenvalues. None for networks in several parts.
    """
    import networkx as nx

    if len(graph) < 4 or not nx.is_connected(graph):
        return None
    at = np.linalg.eigh(nx.laplacian_matrix(graph).toarray().astype(float))[1][:, 1:3]
    at = at / np.abs(at).max(axis=0)
    # Nodes with equal links, for example the leaves of a star, are at one point, which no spring would leave.
    at += np.random.default_rng(0).normal(scale=0.05, size=at.shape)
    return dict(zip(graph, at, strict=True))


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


def network_spacing(graph: nx.Graph[int]) -> float:
    """Median distance of a node of :func:`drawn_network` from the nearest other one."""
    return nearest_distance([(at["x"], at["y"]) for _, at in graph.nodes(data=True)])


def named_rows(names: Iterable[str], links: Sequence[int]) -> list[int]:
    """Rows of the agents to name on the map of a network, those with the most links first.

    They are all of a few that have names, or else those at nodes with at least 1.5 times as many links as the mean.

    Args:
        names: Name of each agent.
        links: Number of links of the node of each.
    """
    counts = np.array(links, dtype=float)
    most = [int(row) for row in np.argsort(-counts, kind="stable")]
    if len(most) <= MAX_NAMED and any(given_names(names)):
        return most
    return [row for row in most[:NAMED_HUBS] if counts[row] >= 1.5 * counts.mean()]


def homes_in_network(run: Run, agents: nx.DiGraph[int]) -> dict[int, tuple[float, float]] | None:
    """Where the map of a network has each agent of a social graph; None on a grid and for large networks.

    Args:
        run: The run.
        agents: Its social graph, or one of the same agents: ``x`` and ``y`` of each node are its row and column.
    """
    graph = drawn_network(run)
    if graph is None:
        return None
    side = network_side(graph)
    at = {agent: graph.nodes[int(d["x"]) * side + int(d["y"])] for agent, d in agents.nodes(data=True)}
    return {agent: (node["x"], node["y"]) for agent, node in at.items()}


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

    def paint(
        self, ax: Axes, agents: pd.DataFrame, values: NDArray[np.float64], width_in: float, removed: Iterable[int] = ()
    ) -> None:
        """Paint one network.

        Args:
            ax: Axes to paint on.
            agents: Columns name, label, node, x and y; one row per agent.
            values: One for each row of ``agents``; NaN is hatched.
            width_in: Width of the axes, in inches.
            removed: Nodes whose last agent was removed; they are crossed.
        """
        points_per_unit = 72 * width_in / (_REACH[0] * 2)
        spacing = points_per_unit * network_spacing(self.graph)
        side_pt = float(np.clip(min(72 * width_in / (3.2 * math.sqrt(len(self.graph))), 0.95 * spacing), 3.0, 18.0))
        self._links(ax, side_pt)
        crossed = set(removed)
        empty = set(self.graph) - set(agents["node"])
        for nodes, marker, size in ((empty - crossed, "o", side_pt / 4), (empty & crossed, "x", side_pt / 2)):
            if nodes:
                at = np.array([[self.graph.nodes[n]["x"], self.graph.nodes[n]["y"]] for n in sorted(nodes)])
                ax.scatter(at[:, 0], at[:, 1], s=size**2, marker=marker, color=GREY, linewidths=0.8, zorder=2)
        self._agents(ax, agents, values, side_pt)
        self._words(ax, agents, values, side_pt, points_per_unit)
        ax.set(xlim=(-_REACH[0], _REACH[0]), ylim=(-_REACH[1], _REACH[1]), aspect="equal")
        ax.set_axis_off()

    def draws_arrows(self) -> bool:
        """Whether links are drawn as arrows: their direction is used, and they are few enough to be told apart."""
        return self.has_arrows and 0 < self.graph.number_of_edges() <= MAX_ARROWS

    def has_marks(self) -> bool:
        """Whether agents have the markers of their labels."""
        return len(self.label_styles) > 1 and len(self.graph) <= MAX_MARKED

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
        if not self.draws_arrows():
            ax.add_collection(LineCollection(ends, colors=GREY, linewidths=widths, alpha=0.6, zorder=1))
            return
        for (source, target), width in zip(ends, widths, strict=True):
            # Curved, so that two links between the same nodes are two arrows.
            ax.add_patch(
                FancyArrowPatch(
                    source, target, connectionstyle="arc3,rad=0.1", arrowstyle="-|>", mutation_scale=5 + 2 * float(width),
                    linewidth=float(width), color=GREY, shrinkA=side_pt / 2, shrinkB=side_pt / 2 + 1, zorder=1,
                )
            )  # fmt: skip

    def _agents(self, ax: Axes, agents: pd.DataFrame, values: NDArray[np.float64], side_pt: float) -> None:
        faces = self.colours(self.norm(np.nan_to_num(values)))
        for label, style in self.label_styles.items():
            for is_known in (True, False):
                some = (agents["label"] == label).to_numpy() & (~np.isnan(values) if is_known else np.isnan(values))
                if some.any():
                    ax.scatter(
                        agents["x"][some], agents["y"][some], s=side_pt**2, linewidths=0.8 if side_pt > 6 else 0.3,
                        marker=style.marker if self.has_marks() else "o",
                        facecolors=faces[some] if is_known else background(self.theme), edgecolors=foreground(self.theme),
                        hatch=None if is_known else "/////", label=one_line(label), zorder=3,
                    )  # fmt: skip

    def _words(
        self, ax: Axes, agents: pd.DataFrame, values: NDArray[np.float64], side_pt: float, points_per_unit: float
    ) -> None:
        names = [one_line(str(name), NAME_LENGTH if len(agents) > FEW else 40) for name in agents["name"]]
        has_numbers = bool(self.form) and side_pt >= 13 and len(agents) <= MAX_NAMED
        for x, y, value in zip(agents["x"], agents["y"], values, strict=True):
            if has_numbers and not np.isnan(value):
                colour = contrast_colour(to_hex(self.colours(self.norm(value))))
                words = self.form.format(value)
                size = min(side_pt * 0.36, side_pt * 1.3 / len(words))
                ax.text(x, y, words, ha="center", va="center", size=size, color=colour, zorder=4)
        radii = np.full(len(agents), side_pt / 2)
        at = agents[["x", "y"]].to_numpy(dtype=float)
        write_names(ax, names, self._named(agents), at, radii, points_per_unit, 6.5, self.theme)

    def _named(self, agents: pd.DataFrame) -> list[int]:
        """Rows of the agents to name, see :func:`named_rows`."""
        return named_rows(agents["name"], [self.graph.degree(node) for node in agents["node"]])
