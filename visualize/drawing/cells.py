"""Paints the cells of a map: colours, markers of labels, numbers, and a hatch where there is no value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize, to_hex

from visualize.drawing.style import LabelStyle, Theme, background, contrast_colour

# The smallest side of a cell, in points, at which numbers, markers and grid lines are drawn.
NUMBER_PT, MARK_PT, LINE_PT = 17.0, 4.0, 3.0


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
        self, ax: Axes, agents: pd.DataFrame, values: Sequence[float], shape: tuple[int, int], side_pt: float
    ) -> None:
        """Paint one map.

        Args:
            ax: Axes to paint on.
            agents: Columns row, column and label; one row per agent, at most one agent per cell.
            values: One for each row of ``agents``; NaN is hatched.
            shape: Rows and columns of the map.
            side_pt: Side of a cell, in points.
        """
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
        numbers = bool(self.form) and side_pt >= NUMBER_PT
        marks = len(self.label_styles) > 1 and side_pt >= MARK_PT
        if marks:
            self._marks(ax, agents, values, side_pt * (0.28 if numbers else 0.36), up=0.24 if numbers else 0.0)
        if numbers:
            self._numbers(ax, agents, values, side_pt, down=0.2 if marks else 0.0)
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)

    def text_colour(self, value: float) -> str:
        """The colour of text and markers on a cell with this value."""
        if np.isnan(value):
            return "#e6e9ec" if self.theme == "dark" else "#1b1f24"
        return contrast_colour(to_hex(self.colours(self.norm(value))))

    def _hatch(self, ax: Axes, rows: Sequence[int], columns: Sequence[int]) -> None:
        corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        centres = np.stack([columns, rows], axis=1)
        edge = "#6b737d" if self.theme == "dark" else "#a8b0b9"
        hatched = PolyCollection(
            list(centres[:, None, :] + corners),
            facecolor=background(self.theme),
            edgecolor=edge,
            hatch="/////",
            linewidth=0,
        )
        hatched.set_label("no rating")
        ax.add_collection(hatched)

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
        size = min(9.0, side_pt * 0.3)
        for row, column, value in zip(agents["row"], agents["column"], values, strict=True):
            text = "–" if np.isnan(value) else self.form.format(round(value, 1) + 0.0)  # never "-0.0"
            ax.text(column, row + down, text, ha="center", va="center", size=size, color=self.text_colour(value))
