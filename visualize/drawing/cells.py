"""Paints the cells of a map: colours, markers of labels, numbers, names, hatches without a value, crosses of removed agents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize, to_hex
from matplotlib.font_manager import FontProperties

from visualize.drawing.agent_values import given_names
from visualize.drawing.style import GREY, LabelStyle, Theme, background, contrast_colour, missing_glyphs_ignored

# The smallest side of a cell, in points, at which names, numbers, markers and grid lines are drawn.
NAME_PT, NUMBER_PT, MARK_PT, LINE_PT = 24.0, 17.0, 4.0, 3.0
# The smallest letters of names, in points; names that are too long even so are cut.
_SMALLEST_PT = 5.5
# Maps with more cells on a side show colours alone; with at most so many, also names.
MARK_CELLS, NAME_CELLS = 20, 6


@dataclass(frozen=True)
class CellPainter:
    """How cells are painted.

    Attributes:
        colours: Colour map of values.
        norm: Maps values to the colour map.
        form: Format of numbers, for example ``"{:.1f}"``; empty for no numbers.
        label_styles: Style of each label, whose marker is drawn where there are several labels.
        theme: ``light`` or ``dark``.
    """

    colours: Colormap
    norm: Normalize
    form: str
    label_styles: Mapping[str, LabelStyle]
    theme: Theme

    def paint(
        self,
        ax: Axes,
        agents: pd.DataFrame,
        values: Sequence[float],
        shape: tuple[int, int],
        side_pt: float,
        removed: Iterable[tuple[float, float]] = (),
    ) -> None:
        """Paint one map.

        Args:
            ax: Axes to paint on.
            agents: Columns row, column, name and label; one row per agent, at most one agent per cell.
            values: One for each row of ``agents``; NaN is hatched.
            shape: Rows and columns of the map.
            side_pt: Side of a cell, in points.
            removed: Row and column of cells whose last agent was removed; they are crossed.
        """  # fmt: skip
        rows, columns = agents["row"].to_numpy(), agents["column"].to_numpy()
        height, width = shape
        grid = np.full(shape, np.nan)
        grid[rows, columns] = values
        ax.imshow(grid, cmap=self.colours, norm=self.norm, interpolation="none")
        unknown = np.isnan(np.asarray(values, dtype=float))
        if unknown.any():
            self._hatch(ax, rows[unknown], columns[unknown])
        if side_pt >= LINE_PT:
            thin = {"colors": background(self.theme), "linewidth": 1.2 if side_pt >= 10 else 0.4}
            ax.hlines(np.arange(0.5, height - 1), -0.5, width - 0.5, **thin)
            ax.vlines(np.arange(0.5, width - 1), -0.5, height - 0.5, **thin)
        numbers = bool(self.form) and side_pt >= NUMBER_PT and max(shape) <= MARK_CELLS
        marks = self.has_marks(shape, side_pt)
        names = given_names(agents["name"]) if max(shape) <= NAME_CELLS and side_pt >= NAME_PT else []
        names = names if any(names) else []
        up = (0.27 if names else 0.24) if numbers or names else 0.0
        if marks:
            self._marks(ax, agents, values, side_pt * (0.28 if numbers or names else 0.36), up=up)
        if numbers:
            down = (0.03 if names else 0.2) if marks else -0.12 if names else 0.0
            self._numbers(ax, agents, values, side_pt, down=down)
        if names:
            self._names(ax, agents, names, values, side_pt, down=0.33 if numbers else 0.25)
        if places := list(removed):
            rows_, columns_ = np.array(places, dtype=float).T
            size = float(np.clip(side_pt * 0.3, 1.5, 7.0))
            ax.scatter(columns_, rows_, s=size**2, marker="x", color=GREY, linewidths=min(1.0, size / 4))
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)

    def has_marks(self, shape: tuple[int, int], side_pt: float) -> bool:
        """Whether a map of this shape shows labels by their markers, with cells of this side, in points."""
        return len(self.label_styles) > 1 and side_pt >= MARK_PT and max(shape) <= MARK_CELLS

    def text_colour(self, value: float) -> str:
        """The colour of text and markers on a cell with this value."""
        if np.isnan(value):
            return "#e6e9ec" if self.theme == "dark" else "#1b1f24"
        return contrast_colour(to_hex(self.colours(self.norm(value))))

    def _hatch(self, ax: Axes, rows: Sequence[int], columns: Sequence[int]) -> None:
        corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        centres = np.stack([columns, rows], axis=1)
        edge = "#6b737d" if self.theme == "dark" else "#a8b0b9"
        corner = list(centres[:, None, :] + corners)
        ax.add_collection(
            PolyCollection(corner, facecolor=background(self.theme), edgecolor=edge, hatch="/////", linewidth=0)
        )

    def _marks(self, ax: Axes, agents: pd.DataFrame, values: Sequence[float], size_pt: float, *, up: float) -> None:
        edges = np.array([self.text_colour(v) for v in values], dtype=object)
        for label, style in self.label_styles.items():
            has_label = (agents["label"] == label).to_numpy()
            if has_label.any():
                ax.scatter(
                    agents["column"][has_label], agents["row"][has_label] - up, s=min(size_pt, 9.0) ** 2,
                    marker=style.marker, facecolors="none", edgecolors=list(edges[has_label]),
                    linewidths=min(1.1, size_pt / 5), label=label,
                )  # fmt: skip

    def _numbers(self, ax: Axes, agents: pd.DataFrame, values: Sequence[float], side_pt: float, *, down: float) -> None:
        size = min(9.0, side_pt * 0.32)
        for row, column, value in zip(agents["row"], agents["column"], values, strict=True):
            text = "–" if np.isnan(value) else self.form.format(round(value, 1) + 0.0)  # never "-0.0"
            ax.text(column, row + down, text, ha="center", va="center", size=size, color=self.text_colour(value))

    def _names(
        self,
        ax: Axes,
        agents: pd.DataFrame,
        names: Sequence[str],
        values: Sequence[float],
        side_pt: float,
        *,
        down: float,
    ) -> None:
        largest = float(np.clip(side_pt * 0.16, _SMALLEST_PT, 7.5))
        measure = FigureCanvasAgg(ax.get_figure(root=True)).get_renderer()  # type: ignore[no-untyped-call, arg-type]
        for row, column, name, value in zip(agents["row"], agents["column"], names, values, strict=True):
            short, size = fit_name(name, 0.9 * side_pt, largest, measure)
            ax.text(column, row + down, short, ha="center", va="center", size=size, color=self.text_colour(value))


def fit_name(name: str, room_pt: float, largest_pt: float, measure: RendererAgg) -> tuple[str, float]:
    """A name that fits into a cell, and the size of its letters: smaller ones first, then fewer with an ellipsis.

    Args:
        name: The name.
        room_pt: Room for it, in points.
        largest_pt: Largest size of letters, in points.
        measure: Renderer of the figure.
    """

    def width(text: str, size: float) -> float:
        with missing_glyphs_ignored():
            pixels = measure.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0]  # type: ignore[no-untyped-call]
        return float(pixels) * 72 / measure.dpi

    if (wide := width(name, largest_pt)) <= room_pt:
        return name, largest_pt
    if (size := math.floor(20 * largest_pt * room_pt / wide) / 20 - 0.05) >= _SMALLEST_PT:
        return name, size
    short = name
    while len(short) > 1 and width(short + "…", _SMALLEST_PT) > room_pt:
        short = short[:-1]
    return short.rstrip() + "…", _SMALLEST_PT
