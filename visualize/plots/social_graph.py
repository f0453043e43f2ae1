"""The social graph: reviews between agents, their ratings, and influence."""

from __future__ import annotations

import math
from typing import get_args

import matplotlib
import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from visualize.drawing.agent_values import agent_values, bar_title, check_by, colour_scale, colour_values
from visualize.drawing.graph_layout import READABLE_NODES, Layout, merge_blocks, node_positions
from visualize.drawing.inputs import NO_ROUND, Source, as_run
from visualize.drawing.style import (
    PAGE_IN,
    Theme,
    background,
    check_choice,
    contrast_colour,
    empty_figure,
    fix_ticks,
    foreground,
    label_order,
    label_styles,
    one_line,
    rating_colormap,
    rating_norm,
    use_theme,
)

# Maximum numbers of edges with arrowheads, and of nodes with numbers, that remain readable.
MAX_ARROWS, MAX_NUMBERED_NODES = 300, 36


def data(source: Source, *, layout: Layout = "spring", by: str = "rating") -> pd.DataFrame:
    """The data of the plot: one row per node, then one row per edge.

    Args:
        source: A run or its folder.
        layout: Layout of nodes, ``spring`` or ``grid``.
        by: Colour of nodes.

    Returns:
        Columns kind (``node`` or ``edge``), reviewer and author (both the agent itself for a node; of a graph in
        blocks, numbers of blocks), label, x, y (position), influence (see
        :class:`sandbox.metrics.influence.Influence`; NaN if there is no uptake), alignment (mean of final
        answers), reviews (count) and rating (mean), the last two of edges only; then the
        number that ``by`` names, of nodes only, unless it is ``rating`` or ``label``.

    Raises:
        SettingsError: the layout is unknown, or the run has no such number.
    """
    check_choice("layout", layout, get_args(Layout))
    run = as_run(source)
    check_by(by, run)
    graph, _ = _graph(run)
    positions = node_positions(graph, layout) if len(graph) else {}
    nodes = [
        {
            "kind": "node",
            "reviewer": node,
            "author": node,
            "label": d["label"],
            "x": positions[node][0],
            "y": positions[node][1],
        }
        | {"influence": d["influence"], "alignment": d["alignment"]}
        for node, d in graph.nodes(data=True)
    ]
    edges = [
        {"kind": "edge", "reviewer": a, "author": b, "reviews": d["count"], "rating": d["rating"]}
        for a, b, d in graph.edges(data=True)
    ]
    columns = ["kind", "reviewer", "author", "label", "x", "y", "influence", "alignment", "reviews", "rating"]
    numbers = dict.fromkeys(columns[4:], "float64")
    table = pd.DataFrame(nodes + edges, columns=columns).astype(numbers)
    if by not in ("rating", "label"):
        table[by] = table["reviewer"].map(agent_values(by, run)).where(table["kind"] == "node").astype("float64")
    return table


def _graph(source: Source) -> tuple[nx.DiGraph[int], bool]:
    """The graph to draw, and whether it is reduced to blocks."""
    graph = as_run(source).social_graph()
    return (merge_blocks(graph), True) if len(graph) > READABLE_NODES else (graph, False)


def draw(source: Source, *, layout: Layout = "spring", by: str = "rating", theme: Theme = "light") -> Figure:
    """The social graph: reviews between agents, their ratings, and influence.

    An edge goes from reviewer to author; its width is the number of reviews, its colour their mean rating. A node is an
    agent; its size is its influence on others' revisions (equal if there is none), its colour what ``by`` says, by default
    the mean rating of its final answers, its shape its label. Beyond 1,000 agents a node is all agents of a label in one
    part of the grid.

    Args:
        source: A run or its folder.
        layout: ``spring`` attracts agents that review each other; ``grid`` is their positions.
        by: Colour of nodes: ``rating``, ``gain``, ``label``, ``state.KEY`` (after the last round) or ``extra.KEY`` (mean).
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: a setting is invalid.
    """
    run = as_run(source)
    with use_theme(theme):
        table = data(run, layout=layout, by=by)
        nodes, edges = table[table["kind"] == "node"], table[table["kind"] == "edge"]
        if edges.empty:
            return empty_figure(NO_ROUND if run.rounds == 0 else "no agent reviewed another")
        figure = Figure(figsize=(PAGE_IN * 0.75, PAGE_IN * 0.72), layout="constrained")
        ax = figure.add_subplot()
        sizes = _sizes(nodes)
        _edges(ax, nodes, edges, sizes, run.scale, theme)
        styles = label_styles(label_order(nodes["label"]))
        values = nodes["alignment" if by in ("rating", "label") else by]
        scale = colour_scale(by, run, values, styles)
        _nodes(ax, nodes, sizes, colour_values(by, nodes["label"], values, styles), scale, theme)
        ax.set_axis_off()
        ax.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12), aspect="equal")
        in_blocks = len(run.agents()) > READABLE_NODES
        ax.set_title("social graph in blocks: agents of a label, by part of the grid" if in_blocks else "social graph")
        name = one_line(run.dimensions[0])
        edges_title = f"mean rating: {name} of a node, reviews on an edge" if by == "rating" else "edge: mean rating"
        bars = [(ScalarMappable(rating_norm(run.scale), rating_colormap()), edges_title)]
        if by not in ("rating", "label"):
            bars.append((ScalarMappable(scale[1], scale[0]), f"node: {bar_title(by, run)}"))
        for colours, title in bars:
            bar = figure.colorbar(colours, ax=ax, shrink=0.6, pad=0.0 if len(bars) == 1 else 0.04, aspect=28)
            bar.set_label(title)
            bar.outline.set_linewidth(0)  # type: ignore[operator, union-attr]
        _legend(figure, nodes, edges, theme)
        return fix_ticks(figure)


def _sizes(nodes: pd.DataFrame) -> NDArray[np.float64]:
    """Areas in points², proportional to influence, with a total that does not depend on the number of nodes."""
    mean_area = min(260.0, 9000 / len(nodes))
    if nodes["influence"].isna().all():
        return np.full(len(nodes), mean_area)
    rank = nodes["influence"].fillna(0.0).to_numpy(dtype=float)  # agents without interactions have no influence
    return np.asarray(np.clip(mean_area * rank / rank.mean(), mean_area / 6, mean_area * 5))


def _widths(edges: pd.DataFrame) -> NDArray[np.float64]:
    """Line widths in points, proportional to the square root of reviews."""
    counts = edges["reviews"].to_numpy(dtype=float)
    widest = float(np.clip(45 / math.sqrt(len(edges)), 0.6, 4.0))
    return np.asarray(np.maximum(widest * np.sqrt(counts / counts.max()), 0.25))


def _edges(
    ax: Axes, nodes: pd.DataFrame, edges: pd.DataFrame, sizes: NDArray[np.float64], scale: int, theme: Theme
) -> None:
    order = np.argsort(edges["reviews"].to_numpy(), kind="stable")  # draw strong edges on top
    edges, widths = edges.iloc[order], _widths(edges)[order]
    positions = {n: (x, y) for n, x, y in zip(nodes["reviewer"], nodes["x"], nodes["y"], strict=True)}
    radius = dict(zip(nodes["reviewer"], np.sqrt(sizes) / 2, strict=True))
    colours = rating_colormap()(rating_norm(scale)(edges["rating"].to_numpy(dtype=float)))
    colours[edges["rating"].isna().to_numpy()] = matplotlib.colors.to_rgba("#8a929b")
    pairs = list(zip(edges["reviewer"], edges["author"], strict=True))
    if len(pairs) > MAX_ARROWS:
        alpha = float(np.clip(14 / math.sqrt(len(pairs)), 0.15, 0.7))
        lines = [(positions[a], positions[b]) for a, b in pairs]
        ax.add_collection(LineCollection(lines, colors=colours, linewidths=widths, alpha=alpha, zorder=1))
        return
    for (a, b), width, colour in zip(pairs, widths, colours, strict=True):
        if a == b:
            continue  # reviews within a block are not drawn
        # Curved, so that mutual reviews are two arrows.
        ax.add_patch(
            FancyArrowPatch(
                positions[a], positions[b], connectionstyle="arc3,rad=0.12", arrowstyle="-|>", mutation_scale=4 + 2.2 * width,
                linewidth=width, color=colour, alpha=0.9, shrinkA=radius[a], shrinkB=radius[b] + 1, zorder=1,
            )
        )  # fmt: skip


def _nodes(
    ax: Axes, nodes: pd.DataFrame, sizes: NDArray[np.float64], values: NDArray[np.float64],
    scale: tuple[Colormap, Normalize, str], theme: Theme,
) -> None:  # fmt: skip
    colours = scale[0](scale[1](values))
    colours[np.isnan(values)] = matplotlib.colors.to_rgba(background(theme))
    edge = 1.0 if len(nodes) <= 100 else 0.5
    for label, style in label_styles(label_order(nodes["label"])).items():
        has_label = (nodes["label"] == label).to_numpy()
        ax.scatter(
            nodes["x"][has_label], nodes["y"][has_label], s=sizes[has_label], marker=style.marker,
            facecolors=colours[has_label], edgecolors=foreground(theme), linewidths=edge, label=one_line(label), zorder=2,
        )  # fmt: skip
    if len(nodes) <= MAX_NUMBERED_NODES:
        for number, x, y, colour, area in zip(nodes["reviewer"], nodes["x"], nodes["y"], colours, sizes, strict=True):
            size = float(np.clip(math.sqrt(area) * 0.45, 4.5, 8))
            ax.text(
                x, y, str(number), ha="center", va="center", size=size, color=contrast_colour(tuple(colour)), zorder=3
            )


def _legend(figure: Figure, nodes: pd.DataFrame, edges: pd.DataFrame, theme: Theme) -> None:
    grey = {"color": foreground(theme), "markerfacecolor": "none", "linestyle": "none"}
    handles = [
        Line2D([], [], marker=style.marker, label=one_line(label), **grey)
        for label, style in label_styles(label_order(nodes["label"])).items()
    ]
    if nodes["influence"].notna().any():
        handles += [
            Line2D([], [], marker="o", markersize=size, label=words, **grey)
            for size, words in ((3.0, "little influence"), (7.0, "much influence"))
        ]
    counts, widths = edges["reviews"].to_numpy(), _widths(edges)
    for count in sorted({int(counts.min()), int(counts.max())}):
        width = float(widths[counts == count][0])
        words = f"{count} review{'s' if count > 1 else ''}"
        handles.append(Line2D([], [], color=foreground(theme), linewidth=width, label=words))
    if edges["rating"].isna().any():
        handles.append(Line2D([], [], color="#8a929b", label="rating not readable"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4)
