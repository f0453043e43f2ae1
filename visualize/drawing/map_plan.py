"""What the maps of a run share, in pictures and animations: positions, colours, legends, and the places of removed agents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sandbox.scenario.settings import recorded_shape
from sandbox.store.run import Run
from visualize.drawing.agent_values import colour_scale, colour_values, is_grouped, is_rated, shown_labels
from visualize.drawing.cells import CellPainter
from visualize.drawing.legends import arrow_handle, removed_handle, unknown_handle
from visualize.drawing.network import DIRECTIONS, NetworkPainter, drawn_network, network_side
from visualize.drawing.scenario_values import STATE, word_styles
from visualize.drawing.style import NO_VALUE, Theme, foreground, one_line

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class MapPlan:
    """The maps of a run.

    Attributes:
        run: The run.
        by: What is shown; ``label`` also for words, which are then the labels of the table.
        table: One row per panel and living agent, with its position in squares, or in the network.
        shape: Rows and columns of a map in squares; (1, 1) for a network.
        parts: Squares on a side of a cell.
        graph: The network; None for a map in squares.
        painter: Paints squares.
        on_links: Paints the network; None for a map in squares.
        is_state: Whether states are shown, which are those after a round.
        removed: Removed agents: columns row, column (last position in cells) and removed (complete rounds by then).
    """

    run: Run
    by: str
    table: pd.DataFrame
    shape: tuple[int, int]
    parts: int
    graph: nx.Graph[int] | None
    painter: CellPainter
    on_links: NetworkPainter | None
    is_state: bool
    removed: pd.DataFrame

    def paint(self, ax: Axes, panel: pd.DataFrame, side_in: float) -> None:
        """Paint the map of a panel.

        Args:
            ax: Axes to paint on.
            panel: Rows of :attr:`table`.
            side_in: Side of a square, or width of a network, in inches.
        """
        shown = panel["label"] if self.by == "label" else panel["shown_label"]
        agents = panel.assign(label=shown)
        values = colour_values(
            self.by, agents["label"], agents["rating" if self.by == "label" else self.by], self.painter.label_styles
        )
        gone = self.removed_by(int(panel["through"].max())) if len(panel) else self.removed[:0]
        if self.on_links is not None and self.graph is not None:
            nodes = gone["row"] * network_side(self.graph) + gone["column"]
            self.on_links.paint(ax, agents, values, side_in, nodes.tolist())
            return
        taken = set(zip(agents["row"] // self.parts, agents["column"] // self.parts, strict=True))
        homes = set(zip(gone["row"], gone["column"], strict=True)) - taken
        middle = (self.parts - 1) / 2
        places = [(row * self.parts + middle, column * self.parts + middle) for row, column in sorted(homes)]
        self.painter.paint(ax, agents, values.tolist(), self.shape, 72 * side_in, places)

    def removed_by(self, through: int) -> pd.DataFrame:
        """The removed agents that a map after so many rounds shows as such: states are those after the round."""
        late = 0 if self.is_state else 1
        return self.removed[self.removed["removed"] <= through - late]

    def legend(self, side_pt: float) -> list[Artist]:
        """The entries of the legend: labels, unknown values, removed agents and the direction of arrows.

        Args:
            side_pt: Side of a square, in points.
        """
        styles, theme, handles = self.painter.label_styles, self.painter.theme, list[Artist]()
        on_links = self.on_links
        has_marks = on_links.has_marks() if on_links is not None else self.painter.has_marks(self.shape, side_pt)
        if has_marks or self.by == "label":
            for label, style in styles.items():
                mark = {"marker": style.marker if has_marks else "s", "markeredgecolor": foreground(theme)}
                mark |= {"markerfacecolor": style.colour if self.by == "label" else "none"}
                handles.append(Line2D([], [], linestyle="none", label=one_line(label), **mark))
        if self.by != "label" and bool(self.table[self.by].isna().any()):
            handles.append(
                unknown_handle("no rating" if is_rated(self.by, self.run) or self.by == "gain" else "no value", theme)
            )
        if len(self.table) and len(self.removed_by(int(self.table["through"].max()))):
            handles.append(removed_handle())
        if on_links is not None and on_links.draws_arrows():
            handles.append(arrow_handle(DIRECTIONS[self.run.manifest["settings"]["hears"]]))
        return handles


def make_plan(run: Run, table: pd.DataFrame, by: str, theme: Theme, limits: Sequence[float] | None = None) -> MapPlan:
    """Plan the maps of a run.

    Args:
        run: The run.
        table: One row per panel and agent, as of :func:`visualize.plots.grid.data`.
        by: What is shown.
        theme: ``light`` or ``dark``.
        limits: Lowest and highest value of the colours.
    """
    table = table.assign(shown_label=shown_labels(run, table["label"]))
    removed, is_state = removed_places(run), by.startswith(STATE)
    if is_state:  # agents that were removed after a panel's last round have no state after it
        last = table["agent"].map(removed.set_index("agent")["removed"].astype("float64"))
        table = table[~((last <= table["through"]) & table[by].isna())]
    words_of = by
    if by != "label" and is_grouped(by, table[by]):
        table, by = table.assign(label=table[by].fillna(NO_VALUE)), "label"
    graph, shape, parts = drawn_network(run), (1, 1), 1
    if graph is None:
        table, shape, parts = place_in_cells(table, run)
    styles = word_styles(
        words_of if by == "label" else "label", run, table["label" if by == "label" else "shown_label"]
    )
    values = np.array([]) if by == "label" else table[by]
    painter = CellPainter(*colour_scale(by, run, values, styles, limits), styles, theme)
    on_links = None
    if graph is not None:
        has_arrows = run.manifest["settings"].get("hears", "both") in DIRECTIONS
        on_links = NetworkPainter(graph, has_arrows, painter.colours, painter.norm, painter.form, styles, theme)
    return MapPlan(run, by, table, shape, parts, graph, painter, on_links, is_state, removed)


def removed_places(run: Run) -> pd.DataFrame:
    """Where removed agents were last: columns agent, row, column and removed (number of complete rounds by then)."""
    everyone = run.population()
    gone = everyone[everyone["removed"].notna()]
    found = [
        run.positions(int(when) - 1).merge(rows[["agent", "removed"]], on="agent")
        for when, rows in gone.groupby("removed")
    ]
    columns = ["agent", "x", "y", "removed"]
    places = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns, dtype="int64")
    return places.rename(columns={"x": "row", "y": "column"})


def place_in_cells(table: pd.DataFrame, run: Run) -> tuple[pd.DataFrame, tuple[int, int], int]:
    """Divide cells into squares, one per agent; return the table, the shape of the map and the side of a cell in squares."""
    homes = ["panel", "row", "column"]
    most = int(table.groupby(homes)["agent"].size().max()) if len(table) else 1
    parts = math.ceil(math.sqrt(most))
    slot = table.groupby(homes).cumcount()
    # Empty cells at the edges of a grid are part of it; the nodes of a network are only laid out in rows.
    sides = zip(("row", "column"), recorded_shape(run.manifest), strict=True)
    shape = tuple(parts * max(side, int(table[axis].max()) + 1 if len(table) else 1) for axis, side in sides)
    apart = table.assign(row=table["row"] * parts + slot // parts, column=table["column"] * parts + slot % parts)
    return apart, (shape[0], shape[1]), parts
