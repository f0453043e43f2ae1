"""Layout of the social graph, and its reduction to blocks of agents where it is too large to read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import networkx as nx

Layout = Literal["spring", "grid"]
READABLE_NODES = 1000
# More agents are drawn as a matrix of groups.
GRAPH_AGENTS = 200
BLOCKS_PER_SIDE = 12


def merge_blocks(graph: nx.DiGraph[int]) -> nx.DiGraph[int]:
    """Merge agents of one label in one square block of the grid into one node.

    Returns:
        Nodes with ``label``, ``x`` and ``y`` (means), ``alignment`` (mean of the agents that have one, or None), ``members``
        (number of agents) and ``influence`` (sum; None where no uptake was measured). Edges have ``count`` (sum) and
        ``rating`` (mean over readable reviews, or None); reviews within a block become a loop.
    """
    import networkx as nx

    rows = [data["x"] for _, data in graph.nodes(data=True)]
    columns = [data["y"] for _, data in graph.nodes(data=True)]
    side = max(1, math.ceil((max(*rows, *columns) + 1) / BLOCKS_PER_SIDE))
    has_influence = any(data["influence"] is not None for _, data in graph.nodes(data=True))
    members: dict[tuple[int, int, str], list[int]] = {}
    for node, data in graph.nodes(data=True):
        members.setdefault((data["x"] // side, data["y"] // side, data["label"]), []).append(node)
    merged: nx.DiGraph[int] = nx.DiGraph()
    block_of: dict[int, int] = {}
    for index, ((_, _, label), inside) in enumerate(sorted(members.items())):
        block_of |= dict.fromkeys(inside, index)
        known = [a for n in inside if (a := graph.nodes[n]["alignment"]) is not None]
        merged.add_node(
            index,
            label=label,
            x=float(np.mean([graph.nodes[n]["x"] for n in inside])),
            y=float(np.mean([graph.nodes[n]["y"] for n in inside])),
            alignment=float(np.mean(known)) if known else None,
            members=len(inside),
            agents=inside,
            influence=sum(graph.nodes[n]["influence"] or 0.0 for n in inside) if has_influence else None,
        )
    for reviewer, author, data in graph.edges(data=True):
        ends = block_of[reviewer], block_of[author]
        if not merged.has_edge(*ends):
            merged.add_edge(*ends, count=0, rated=0, total=0.0)
        edge = merged.edges[ends]
        edge["count"] += data["count"]
        if data["rating"] is not None:
            edge["rated"] += data["count"]
            edge["total"] += data["count"] * data["rating"]
    for _, _, edge in merged.edges(data=True):
        rated, total = edge.pop("rated"), edge.pop("total")
        edge["rating"] = total / rated if rated else None
    return merged


def nearest_distance(points: Sequence[tuple[float, float]]) -> float:
    """Median distance of points from the nearest other one; infinite for fewer than two points, or too many to compare."""
    if not 2 <= len(points) <= READABLE_NODES:
        return math.inf
    at = np.array(points, dtype=float)
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


def node_positions(
    graph: nx.DiGraph[int], layout: Layout, homes: Mapping[int, tuple[float, float]] | None = None
) -> dict[int, NDArray[np.float64]]:
    """Position of each node, deterministic: x to the right and y upwards, in [-1, 1].

    Args:
        graph: Its nodes have ``x`` (row) and ``y`` (column).
        layout: ``grid`` for the agents' cells; ``spring`` starts there and attracts agents that review each other.
        homes: Where each agent lives, in the place of its cell: on a network, where the map has it.
    """
    cells = {node: (data["y"], -data["x"]) for node, data in graph.nodes(data=True)}
    rows = np.array([(homes or cells)[node] for node in graph], dtype=float)
    middle = (rows.max(axis=0) + rows.min(axis=0)) / 2
    home = (rows - middle) / max(float(np.abs(rows - middle).max()), 1.0)
    # Agents that share a cell are spread out: they would overlap, and the spring layout cannot separate equal points.
    _, slot = np.unique(home, axis=0, return_inverse=True)
    nth = np.array([int((slot[:i] == s).sum()) for i, s in enumerate(slot)]) if len(set(slot)) < len(slot) else 0
    turn = np.asarray(nth) * 2.399963  # the golden angle, in radians
    spread = 0.25 / math.sqrt(len(rows)) * np.sqrt(np.asarray(nth))
    home = home + np.stack([spread * np.cos(turn), spread * np.sin(turn)], axis=-1)
    start = {node: home[i] for i, node in enumerate(graph)}
    if layout == "grid" or not graph.number_of_edges():
        return start
    gap = 2.2 / math.sqrt(len(graph))
    import networkx as nx

    found = nx.spring_layout(graph.to_undirected(), pos=start, k=gap, weight="count", seed=0, iterations=60)
    points = np.array([found[node] for node in graph])
    points -= points.mean(axis=0)
    reach = np.abs(points).max(axis=1)
    # A few outliers would compress all other nodes; they are clipped to the edge instead.
    edge = max(1.15 * float(np.quantile(reach, 0.95)), 1e-9)
    points /= np.maximum(reach, edge)[:, None]
    return {node: points[i] for i, node in enumerate(graph)}
