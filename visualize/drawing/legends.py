"""Legends below a figure, in as many columns as fit its width, and what they say of arrows and empty places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from visualize.drawing.style import GREY, Theme, background, missing_glyphs_ignored

Place = Literal["outside lower left", "outside lower right", "lower left"]
REMOVED = "removed (died or left)"


def fit_legend(
    figure: Figure, handles: Sequence[Artist | Container], *, loc: Place = "outside lower left", most: int = 6
) -> Legend | None:
    """Add a legend with as many columns as fit the width of the figure, so that no entry is cut.

    Args:
        figure: The figure.
        handles: Entries, each with its label.
        loc: Where the legend is.
        most: Maximum number of columns.

    Returns:
        The legend; None without entries.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    for columns in range(min(most, len(handles)), 0, -1):
        legend = figure.legend(handles=list(handles), loc=loc, ncols=columns)
        with missing_glyphs_ignored():
            width = legend.get_window_extent(renderer).width
        if columns == 1 or width <= 0.97 * figure.bbox.width:
            return legend
        legend.remove()
    return None


def arrow_handle(words: str) -> Line2D:
    """The entry of arrows: what it means that one goes from A to B."""
    return Line2D([], [], color=GREY, marker=">", markersize=5, linewidth=1.2, label=words)


def unknown_handle(words: str, theme: Theme) -> Patch:
    """The entry of hatched agents."""
    return Patch(facecolor=background(theme), edgecolor=GREY, hatch="/////", label=words)


def removed_handle() -> Line2D:
    """The entry of places whose last agent was removed."""
    return Line2D([], [], color=GREY, marker="x", linestyle="none", label=REMOVED)
