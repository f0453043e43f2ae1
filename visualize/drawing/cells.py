"""Paints squares on a map: colours, marks of labels, numbers, and a hatch where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize, to_hex

from visualize.drawing.style import Look, Theme, ground, text_on

# The least side of a square, in points, at which a thing in it can still be read.
NUMBER_PT, MARK_PT, LINE_PT = 17.0, 4.0, 3.0


@dataclass(frozen=True)
class Squares:
    """How squares are painted.

    Attributes:
        colours: Of values.
        norm: Where a value lies on them.
        form: How a number is written, as ``"{:.1f}"``; empty for no numbers.
        label_looks: A mark for each label; none is drawn where there is only one.
        theme: ``light`` or ``dark``.
    """

    colours: Colormap
    norm: Normalize
    form: str
    label_looks: Mapping[str, Look]
    theme: Theme

    def paint(
        self, ax: Axes, places: pd.DataFrame, values: Sequence[float], shape: tuple[int, int], side_pt: float
    ) -> None:
        """Paint one map.

        Args:
            ax: Where.
            places: Columns row, column, label; one row an agent, no two in one square.
            values: One for each row of ``places``; NaN is hatched.
            shape: Rows and columns of the map.
            side_pt: A square's side, in points.
        """
        rows, columns = places["row"].to_numpy(), places["column"].to_numpy()
        height, width = shape
        cells = np.full(shape, np.nan)
        cells[rows, columns] = values
        ax.imshow(cells, cmap=self.colours, norm=self.norm, interpolation="none")
        unknown = np.isnan(np.asarray(values, dtype=float))
        if unknown.any():
            self._hatch(ax, rows[unknown], columns[unknown])
        if side_pt >= LINE_PT:
            thin = {"colors": ground(self.theme), "linewidth": 1.2 if side_pt >= 10 else 0.4}
            ax.hlines(np.arange(0.5, height - 1), -0.5, width - 0.5, **thin)
            ax.vlines(np.arange(0.5, width - 1), -0.5, height - 0.5, **thin)
        numbers = bool(self.form) and side_pt >= NUMBER_PT
        marks = len(self.label_looks) > 1 and side_pt >= MARK_PT
        if marks:
            self._marks(ax, places, values, side_pt * (0.28 if numbers else 0.36), up=0.24 if numbers else 0.0)
        if numbers:
            self._numbers(ax, places, values, side_pt, down=0.2 if marks else 0.0)
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)

    def ink_on(self, value: float) -> str:
        """What is read on the square of ``value``."""
        if np.isnan(value):
            return "#e6e9ec" if self.theme == "dark" else "#1b1f24"
        return text_on(to_hex(self.colours(self.norm(value))))

    def _hatch(self, ax: Axes, rows: Sequence[int], columns: Sequence[int]) -> None:
        corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        centres = np.stack([columns, rows], axis=1)
        edge = "#6b737d" if self.theme == "dark" else "#a8b0b9"
        hatched = PolyCollection(
            list(centres[:, None, :] + corners),
            facecolor=ground(self.theme),
            edgecolor=edge,
            hatch="/////",
            linewidth=0,
        )
        hatched.set_label("no rating")
        ax.add_collection(hatched)

    def _marks(self, ax: Axes, places: pd.DataFrame, values: Sequence[float], size_pt: float, *, up: float) -> None:
        edges = np.array([self.ink_on(v) for v in values], dtype=object)
        for label, look in self.label_looks.items():
            mine = (places["label"] == label).to_numpy()
            if mine.any():
                ax.scatter(
                    places["column"][mine], places["row"][mine] - up, s=min(size_pt, 9.0) ** 2, marker=look.marker,
                    facecolors="none", edgecolors=list(edges[mine]), linewidths=min(1.1, size_pt / 5), label=label,
                )  # fmt: skip

    def _numbers(self, ax: Axes, places: pd.DataFrame, values: Sequence[float], side_pt: float, *, down: float) -> None:
        size = min(9.0, side_pt * 0.3)
        for row, column, value in zip(places["row"], places["column"], values, strict=True):
            text = "–" if np.isnan(value) else self.form.format(round(value, 1) + 0.0)  # never "-0.0"
            ax.text(column, row + down, text, ha="center", va="center", size=size, color=self.ink_on(value))
