"""Curves over rounds with their intervals, and limits of their axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from visualize.drawing.style import LabelStyle

# Longer curves show their intervals as a band.
MAX_POINTS_WITH_BARS = 20


def draw_curve(
    ax: Axes, rows: pd.DataFrame, name: str, style: LabelStyle, *, hollow: bool = False, shift: float = 0.0
) -> None:
    """Draw a line with error bars, or with a band where there are many rounds.

    Args:
        ax: Axes to draw on.
        rows: Columns round, mean, low, high; NaN where there is no value.
        name: Entry of the legend.
        style: Style of the line.
        hollow: Draw empty markers.
        shift: Offset to the right, in rounds, so that bars of two lines do not overlap.
    """
    x, y, low, high = (rows[c].to_numpy(dtype=float) for c in ("round", "mean", "low", "high"))
    line = {"color": style.colour, "linestyle": style.linestyle, "marker": style.marker, "label": name}
    line |= {"markerfacecolor": "none" if hollow else style.colour}
    if len(x) > MAX_POINTS_WITH_BARS:
        ax.fill_between(x, low, high, color=style.colour, alpha=0.18, linewidth=0)
        ax.plot(x, y, **line, markersize=2.5)
    else:
        # Without an interval the bar has length 0. Both bounds of a skewed measure may lie on one side of its value, which
        # errorbar refuses; so the ends of the bars are set directly.
        _, _, (bars,) = ax.errorbar(x + shift, y, yerr=np.zeros_like(y), **line, elinewidth=1)
        ends = np.stack([np.where(np.isnan(low), y, low), np.where(np.isnan(high), y, high)], axis=1)  # [rounds, 2]
        bars.set_segments([[(at, bottom), (at, top)] for at, (bottom, top) in zip(x + shift, ends, strict=True)])
        ax.update_datalim(np.stack([np.repeat(x + shift, 2), ends.ravel()], axis=1)[~np.isnan(ends.ravel())])


def set_round_axis(ax: Axes, rows: pd.DataFrame) -> None:
    """Set up the horizontal axis for the rounds in ``rows``, with margins for shifted bars. Rounds are labelled from 1."""
    ax.set_xlim(rows["round"].min() - 0.3, rows["round"].max() + 0.3)
    ax.set_xlabel("round")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.xaxis.set_major_formatter(lambda x, _: f"{x + 1:.0f}")
    ax.grid(axis="y")


def y_limits(rows: pd.DataFrame, lowest: float, highest: float, least: float) -> tuple[float, float]:
    """Limits that contain all intervals, at least ``least`` apart, and barely beyond lowest..highest."""
    drawn = rows[["mean", "low", "high"]].to_numpy(dtype=float)
    if np.isnan(drawn).all():
        return lowest, highest
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    margin = max(least / 10, (least - (high - low)) / 2)
    edge = least / 15
    return max(low - margin, lowest - edge), min(high + margin, highest + edge)


def share_limits(axes: Iterable[Axes], axis: Literal["x", "y"]) -> None:
    """Give panels of one kind the same limits, those that contain the limits of all, so that they can be compared."""
    panels = list(axes)
    limits = [ax.get_xlim() if axis == "x" else ax.get_ylim() for ax in panels]
    for ax in panels:
        ax.set(**{f"{axis}lim": (min(low for low, _ in limits), max(high for _, high in limits))})
