"""The social graph: reviews between agents, their ratings, and influence."""

from __future__ import annotations

import math
import textwrap
from typing import Literal, get_args

import matplotlib
import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from sandbox.errors import SettingsError
from sandbox.store.run import Run
from visualize.drawing.agent_groups import COMMUNITY, LABEL, choose_groups, group_agents, group_table
from visualize.drawing.agent_values import (
    agent_values,
    bar_ends,
    bar_title,
    check_limits,
    colour_scale,
    colour_values,
    default_by,
    find_by,
    given_names,
    is_grouped,
    shown_labels,
    values_title,
)
from visualize.drawing.graph_layout import GRAPH_AGENTS, READABLE_NODES, Layout, merge_blocks, node_positions
from visualize.drawing.group_matrix import draw_matrices
from visualize.drawing.inputs import NO_ROUND, Source, as_run
from visualize.drawing.legends import arrow_handle, fit_legend, unknown_handle
from visualize.drawing.network import homes_in_network
from visualize.drawing.node_names import write_names
from visualize.drawing.persona_columns import PERSONA
from visualize.drawing.scenario_values import EXTRA, STATE, word_styles
from visualize.drawing.style import (
    GREY,
    NO_VALUE,
    PAGE_IN,
    LabelStyle,
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

# Maximum numbers of edges with arrowheads, of nodes with names or numbers and of nodes with the markers of their labels, that
# remain readable; and of the nodes of a larger graph that are named.
MAX_ARROWS, MAX_NUMBERED_NODES, MAX_MARKED, NAMED_HUBS = 300, 36, 400, 8
# Names of more characters are cut where there are more than a few, or they would cover each other.
NAME_LENGTH, FEW = 18, 9
# Points per data unit of the axes, a little less than they have beside one colour bar.
_POINTS_PER_UNIT = 72 * 0.8 * PAGE_IN * 0.75 / 2.24

View = Literal["auto", "graph", "matrix"]


def data(
    source: Source, *, layout: Layout = "spring", by: str = "rating", view: View = "auto", groups: str = "auto"
) -> pd.DataFrame:
    """The data of the plot: one row per node, then one row per edge; of a matrix, one row per ordered pair of groups.

    Args:
        source: A run or its folder.
        layout: Layout of nodes, ``spring`` or ``grid``.
        by: Colour of nodes.
        view: What is drawn: see :func:`draw`.
        groups: Groups of a matrix.

    Returns:
        Of a graph, columns kind (``node`` or ``edge``), reviewer and author (both the agent itself for a node; of a graph in
        blocks, numbers of blocks), name, label, x, y (position), influence (see
        :class:`sandbox.metrics.influence.Influence`; NaN if there is no uptake), alignment (mean of final
        answers), reviews (count) and rating (mean), the last two of edges only; then the
        number that ``by`` names, of nodes only, unless it is ``rating`` or ``label``. Of a matrix, see
        :func:`visualize.drawing.agent_groups.group_table`.

    Raises:
        SettingsError: a setting is invalid, or the run has no such number or column.
    """
    check_choice("layout", layout, get_args(Layout))
    run = as_run(source)
    by = find_by(by, run)
    if (kind := _groups(run, view, groups)) is not None:
        graph = run.social_graph()
        return group_table(graph, group_agents(run, graph, kind))
    graph, in_blocks = _graph(run, by)
    homes = None if in_blocks else homes_in_network(run, graph)
    positions = node_positions(graph, layout, homes) if len(graph) else {}
    nodes = [
        {"kind": "node", "reviewer": node, "author": node, "name": d.get("name", ""), "label": d["label"]}
        | {"x": positions[node][0], "y": positions[node][1], "influence": d["influence"], "alignment": d["alignment"]}
        for node, d in graph.nodes(data=True)
    ]
    edges = [
        {"kind": "edge", "reviewer": a, "author": b, "reviews": d["count"], "rating": d["rating"]}
        for a, b, d in graph.edges(data=True)
    ]
    columns = ["kind", "reviewer", "author", "name", "label", "x", "y", "influence", "alignment", "reviews", "rating"]
    numbers = dict.fromkeys(columns[5:], "float64")
    table = pd.DataFrame(nodes + edges, columns=columns).astype(numbers)
    if by not in ("rating", "label"):
        values = agent_values(by, run)
        if is_grouped(by, values):
            table[by] = table["label"]
        else:
            members = {node: d.get("agents", [node]) for node, d in graph.nodes(data=True)}
            means = {node: values.reindex(inside).mean() for node, inside in members.items()}
            table[by] = table["reviewer"].map(means).where(table["kind"] == "node").astype("float64")
    return table


def _groups(run: Run, view: View, groups: str) -> str | None:
    """What groups the agents of a matrix; None for a graph."""
    check_choice("view", view, get_args(View))
    kind = choose_groups(run, groups)
    if view == "graph" and groups != "auto":
        raise SettingsError(f"groups={groups!r} is of a matrix; use view=matrix, or leave groups out")
    is_matrix = view == "matrix" or (view == "auto" and (groups != "auto" or len(run.agents()) > GRAPH_AGENTS))
    return kind if is_matrix else None


def note(source: Source, *, view: View = "auto", groups: str = "auto") -> str:
    """What is to be said of the plot: that a large society is drawn as a matrix, and how to draw its graph; else empty."""
    run = as_run(source)
    n, kind = len(run.agents()), _groups(run, view, groups)
    if view != "auto" or groups != "auto" or kind is None:
        return ""
    words = "labels" if kind == LABEL else "communities"
    return (
        f"{n:,} agents are too many for a graph, so a matrix of {words} is drawn; --set view=graph draws the graph, "
        "--set groups=community, or a column of the personas, a matrix of other groups"
    )


def _graph(run: Run, by: str) -> tuple[nx.DiGraph[int], bool]:
    """The graph to draw, and whether it is reduced to blocks; labels are one where they mean nothing.

    Where words are shown, they are in the place of labels.
    """
    graph = run.social_graph()
    if by.startswith((PERSONA, STATE, EXTRA)) and is_grouped(by, groups := agent_values(by, run)):
        for node in graph:
            graph.nodes[node]["label"] = NO_VALUE if pd.isna(group := groups.get(node)) else group
    elif by != "label":
        labels = pd.Series([label for _, label in graph.nodes(data="label")], dtype=object)
        for node, label in zip(graph, shown_labels(run, labels), strict=True):
            graph.nodes[node]["label"] = label
    return (merge_blocks(graph), True) if len(graph) > READABLE_NODES else (graph, False)


def draw(
    source: Source,
    *,
    layout: Layout = "spring",
    by: str = "rating",
    view: View = "auto",
    groups: str = "auto",
    limits: tuple[float, ...] | None = None,
    theme: Theme = "light",
) -> Figure:
    """The social graph: reviews between agents, their ratings, and influence; of large societies, between groups of agents.

    An edge goes from reviewer to author; its width is the number of reviews, its colour their mean rating. A node is an
    agent; its size is its influence on others' revisions (equal if there is none), its colour what ``by`` says, by default
    the mean rating of its final answers, its shape its label. Beyond 1,000 agents a node is all agents of a label in one
    part of the grid.

    Beyond 200 agents two matrices of groups are drawn instead: to which groups each group speaks, as shares of what it
    says, and how it rates them.

    Args:
        source: A run or its folder.
        layout: ``spring`` attracts agents that review each other; ``grid`` is their positions.
        by: Colour of nodes: ``rating``, a dimension of the rubric, ``gain``, ``label``, a column of the personas,
            ``state.KEY`` (after the last round) or ``extra.KEY`` (mean).
        view: ``graph``, ``matrix``, or ``auto``: a matrix beyond 200 agents, and where ``groups`` are named.
        groups: Groups of a matrix: ``label``, ``community`` (those that speak among themselves; Louvain), a column of the
            personas, or ``auto``: labels where there are several, else communities.
        limits: Lowest and highest value of the colours; by default the scale of ratings, or the range of the values.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: a setting is invalid, or the run has no such column.
    """
    run = as_run(source)
    check_limits(limits, by := find_by(by, run))
    with use_theme(theme):
        table = data(run, layout=layout, by=by, view=view, groups=groups)
        if (kind := _groups(run, view, groups)) is not None:
            if not table["reviews"].sum():
                return empty_figure(_nothing(run))
            title = f"who speaks to whom, by {kind}" + (" (Louvain)" if kind == COMMUNITY else "")
            rating = f"mean rating given (1 to {run.scale})"
            words = "reviews" if _is_rated(run) else "messages"
            return fix_ticks(draw_matrices(table, title, words, rating, limits or (1, run.scale), theme))
        if by != (by := default_by(by, run, bool(table["alignment"].notna().any() or table["rating"].notna().any()))):
            table = table if by == "label" else data(run, layout=layout, by=by, view=view, groups=groups)
        title, words_of = values_title(by, run), by
        if by not in ("rating", "label"):
            by = "label" if is_grouped(by, table[by]) else by
            check_limits(limits, title, is_groups=by == "label")
        nodes, edges = table[table["kind"] == "node"], table[table["kind"] == "edge"]
        if edges.empty:
            return empty_figure(_nothing(run))
        figure = Figure(figsize=(PAGE_IN * 0.75, PAGE_IN * 0.72), layout="constrained")
        ax = figure.add_subplot()
        sizes = _sizes(nodes)
        norm = Normalize(*limits) if limits is not None and by == "rating" else rating_norm(run.scale)
        _edges(ax, nodes, edges, sizes, norm)
        styles = word_styles(words_of if by == "label" else "label", run, nodes["label"])
        values = nodes["alignment" if by in ("rating", "label") else by]
        scale = colour_scale(by, run, values, styles, limits)
        shown = colour_values(by, nodes["label"], values, styles)
        _nodes(ax, nodes, sizes, shown, scale, theme)
        _words(ax, nodes, edges, sizes, shown, scale, theme)
        ax.set_axis_off()
        ax.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12), aspect="equal")
        in_blocks = len(run.agents()) > READABLE_NODES
        words = "social graph in blocks: agents of a label, by part of the grid" if in_blocks else "social graph"
        ax.set_title(words if by != "label" or title == "labels" else f"{words}, by {title}")
        _bars(figure, ax, run, by, norm, nodes, edges, scale)
        fit_legend(figure, _legend(nodes, edges, by, theme, is_rated=_is_rated(run)), most=4)
        return fix_ticks(figure)


def _nothing(run: Run) -> str:
    return NO_ROUND if run.rounds == 0 else "no agent reviewed another"


def _is_rated(run: Run) -> bool:
    """Whether agents rate each other; in some games they only speak."""
    return bool((run.feedback()["kind"] != "said").any())


def _bars(
    figure: Figure, ax: Axes, run: Run, by: str, norm: Normalize, nodes: pd.DataFrame, edges: pd.DataFrame,
    scale: tuple[Colormap, Normalize, str],
) -> None:  # fmt: skip
    """Colour bars: of ratings, and of what else colours nodes."""
    name, reach = one_line(run.dimensions[0]), f"(1 to {run.scale})"
    both = pd.concat([nodes["alignment"], edges["rating"]]) if by == "rating" else edges["rating"]
    title = (
        f"mean rating {reach}: {name} of a node, reviews on an edge" if by == "rating" else f"edge: mean rating {reach}"
    )
    bars = [(ScalarMappable(norm, rating_colormap()), title, bar_ends(norm, both))] if both.notna().any() else []
    if by not in ("rating", "label"):
        bars.append((ScalarMappable(scale[1], scale[0]), f"node: {bar_title(by, run)}", bar_ends(scale[1], nodes[by])))
    for colours, words, ends in bars:
        pad = 0.0 if len(bars) == 1 else 0.04
        bar = figure.colorbar(colours, ax=ax, shrink=0.75, pad=pad, aspect=32, extend=ends)
        bar.set_label("\n".join(textwrap.wrap(words, 64)))
        bar.outline.set_linewidth(0)  # type: ignore[operator, union-attr]


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


def _edges(ax: Axes, nodes: pd.DataFrame, edges: pd.DataFrame, sizes: NDArray[np.float64], norm: Normalize) -> None:
    order = np.argsort(edges["reviews"].to_numpy(), kind="stable")  # draw strong edges on top
    edges, widths = edges.iloc[order], _widths(edges)[order]
    positions = {n: (x, y) for n, x, y in zip(nodes["reviewer"], nodes["x"], nodes["y"], strict=True)}
    radius = dict(zip(nodes["reviewer"], np.sqrt(sizes) / 2, strict=True))
    colours = rating_colormap()(norm(edges["rating"].to_numpy(dtype=float)))
    colours[edges["rating"].isna().to_numpy()] = matplotlib.colors.to_rgba(GREY)
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


def _marker(style: LabelStyle, n_nodes: int) -> str:
    return style.marker if n_nodes <= MAX_MARKED else "o"


def _nodes(
    ax: Axes, nodes: pd.DataFrame, sizes: NDArray[np.float64], values: NDArray[np.float64],
    scale: tuple[Colormap, Normalize, str], theme: Theme,
) -> None:  # fmt: skip
    colours = scale[0](scale[1](values))
    colours[np.isnan(values)] = matplotlib.colors.to_rgba(background(theme))
    edge = 1.0 if len(nodes) <= 100 else 0.5
    for label, style in label_styles(label_order(nodes["label"])).items():
        for is_known in (True, False):
            some = (nodes["label"] == label).to_numpy() & (np.isnan(values) != is_known)
            if some.any():
                ax.scatter(
                    nodes["x"][some], nodes["y"][some], s=sizes[some], marker=_marker(style, len(nodes)),
                    facecolors=colours[some], edgecolors=foreground(theme), linewidths=edge, label=one_line(label),
                    hatch=None if is_known else "/////", zorder=2,
                )  # fmt: skip


def _words(
    ax: Axes, nodes: pd.DataFrame, edges: pd.DataFrame, sizes: NDArray[np.float64], values: NDArray[np.float64],
    scale: tuple[Colormap, Normalize, str], theme: Theme,
) -> None:  # fmt: skip
    """Names beside nodes, where agents have names: of a few all, of more those with the most influence, or else reviews.

    Agents without names have their numbers inside.
    """
    names = given_names(nodes["name"], NAME_LENGTH if len(nodes) > FEW else 40)
    is_few = len(nodes) <= MAX_NUMBERED_NODES
    if any(names):
        reviews = edges.groupby("reviewer")["reviews"].sum().add(edges.groupby("author")["reviews"].sum(), fill_value=0)
        weight = nodes["influence"] if nodes["influence"].notna().any() else nodes["reviewer"].map(reviews)
        order = np.argsort(-weight.fillna(0.0).to_numpy(), kind="stable")[: None if is_few else NAMED_HUBS]
        at, radii = nodes[["x", "y"]].to_numpy(dtype=float), np.sqrt(sizes) / 2
        write_names(ax, names, order.tolist(), at, radii, _POINTS_PER_UNIT, 7, theme)
    for row, (number, x, y) in enumerate(zip(nodes["reviewer"], nodes["x"], nodes["y"], strict=True)):
        if is_few and not names[row]:
            face = background(theme) if np.isnan(values[row]) else scale[0](scale[1](values[row]))
            size = float(np.clip(math.sqrt(float(sizes[row])) * 0.45, 5, 8))
            ax.text(x, y, str(number + 1), ha="center", va="center", size=size, color=contrast_colour(face), zorder=3)


def _legend(nodes: pd.DataFrame, edges: pd.DataFrame, by: str, theme: Theme, *, is_rated: bool) -> list[Artist]:
    grey = {"color": foreground(theme), "markerfacecolor": "none", "linestyle": "none"}
    styles = label_styles(label_order(nodes["label"]))
    handles: list[Artist] = []
    if by == "label" or (len(styles) > 1 and len(nodes) <= MAX_MARKED):
        for label, style in styles.items():
            face = {"markerfacecolor": style.colour} if by == "label" else {}
            mark = {**grey, **face, "marker": _marker(style, len(nodes))}
            handles.append(Line2D([], [], label=one_line(label), **mark))
    if nodes["influence"].notna().any():
        handles += [
            Line2D([], [], marker="o", markersize=size, label=words, **grey)
            for size, words in ((3.0, "little influence"), (7.0, "much influence"))
        ]
    counts, widths = edges["reviews"].to_numpy(), _widths(edges)
    for count in sorted({int(counts.min()), int(counts.max())}):
        width = float(widths[counts == count][0])
        words = f"{count} {'review' if is_rated else 'message'}{'s' if count > 1 else ''}"
        handles.append(Line2D([], [], color=foreground(theme), linewidth=width, label=words))
    if len(edges) <= MAX_ARROWS:
        handles.append(arrow_handle(f"A → B: A {'reviewed' if is_rated else 'spoke to'} B"))
    if is_rated and edges["rating"].isna().any():
        handles.append(Line2D([], [], color=GREY, label="rating not readable"))
    if by != "label" and nodes["alignment" if by == "rating" else by].isna().any():
        handles.append(unknown_handle("no value" if by.startswith((STATE, EXTRA, PERSONA)) else "no rating", theme))
    return handles
