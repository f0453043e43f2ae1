"""Curves over rounds with their intervals, and the window they are looked at through."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from visualize.drawing.style import Look

# So many points still have room for bars; more get a band.
BARS_UP_TO = 20


def curve(ax: Axes, rows: pd.DataFrame, name: str, look: Look, *, hollow: bool = False, shift: float = 0.0) -> None:
    """One line with bars, or with a band where there are many rounds.

    Args:
        ax: Where.
        rows: Columns round, mean, low, high; NaN where there is nothing.
        name: For the legend.
        look: Of the line.
        hollow: Leave markers empty.
        shift: To the right, in rounds, so that bars of two lines do not hide each other.
    """
    x, y, low, high = (rows[c].to_numpy(dtype=float) for c in ("round", "mean", "low", "high"))
    line = {"color": look.colour, "linestyle": look.linestyle, "marker": look.marker, "label": name}
    line |= {"markerfacecolor": "none" if hollow else look.colour}
    if len(x) > BARS_UP_TO:
        ax.fill_between(x, low, high, color=look.colour, alpha=0.18, linewidth=0)
        ax.plot(x, y, **line, markersize=2.5)
    else:
        # What has no interval has a bar of no length. The bounds of a skewed measure may both lie to one side of its
        # value, which bars given by their lengths cannot show; so their ends are set.
        _, _, (bars,) = ax.errorbar(x + shift, y, yerr=np.zeros_like(y), **line, elinewidth=1)
        ends = np.stack([np.where(np.isnan(low), y, low), np.where(np.isnan(high), y, high)], axis=1)  # [rounds, 2]
        bars.set_segments([[(at, bottom), (at, top)] for at, (bottom, top) in zip(x + shift, ends, strict=True)])
        ax.update_datalim(np.stack([np.repeat(x + shift, 2), ends.ravel()], axis=1)[~np.isnan(ends.ravel())])


def over_rounds(ax: Axes, rows: pd.DataFrame) -> None:
    """Make an axis one of the rounds in ``rows``, with room for what stands beside them."""
    ax.set_xlim(rows["round"].min() - 0.3, rows["round"].max() + 0.3)
    ax.set_xlabel("round")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(axis="y")


def window(rows: pd.DataFrame, lowest: float, highest: float, least: float) -> tuple[float, float]:
    """A window that holds all intervals, at least ``least`` tall, within a little more than lowest..highest."""
    drawn = rows[["mean", "low", "high"]].to_numpy(dtype=float)
    if np.isnan(drawn).all():
        return lowest, highest
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    margin = max(least / 10, (least - (high - low)) / 2)
    edge = least / 15
    return max(low - margin, lowest - edge), min(high + margin, highest + edge)
