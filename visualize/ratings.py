"""How ratings go over the rounds, before the feedback and after it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sandbox.metrics import mean_interval
from visualize.sources import NO_ROUND, Source, as_run, settled, unfinished_note
from visualize.style import COLUMN_IN, DRAFT, PAGE_IN, REVISION, Theme, empty_figure, finished, plain, themed

# So many points still have room for bars; more get a band.
BARS_UP_TO = 20
_KINDS = (("draft", "before", DRAFT, "s", "--"), ("revision", "after", REVISION, "o", "-"))


def data(source: Source) -> pd.DataFrame:
    """The numbers behind the curves: one row a round, dimension and kind of answer.

    Returns:
        Columns round, dimension, answer (``draft`` or ``revision``), mean, low, high (95% Student's t interval over
        the round's answers; NaN for fewer than two) and n, the answers that were rated.
    """
    run = as_run(source)
    frame = settled(run)
    rows = []
    for round_, chosen in frame.groupby("round"):
        for dimension in run.dimensions:
            for answer, when, *_ in _KINDS:
                interval = mean_interval(chosen[f"{dimension}_{when}"].dropna().tolist())
                rows.append({"round": round_, "dimension": dimension, "answer": answer, **interval._asdict()})
    return pd.DataFrame(rows, columns=["round", "dimension", "answer", "mean", "low", "high", "n"])


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """Mean ratings of drafts and revisions over the rounds, with 95% intervals, one panel a dimension.

    Args:
        source: A run or its folder.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: there is no such theme.
    """
    run = as_run(source)
    with themed(theme):
        table = data(run)
        if table.empty:
            return empty_figure(NO_ROUND)
        n_panels = len(run.dimensions)
        across = min(n_panels, 3)
        down = math.ceil(n_panels / across)
        width = COLUMN_IN if across == 1 else PAGE_IN
        figure = Figure(figsize=(width, 2.4 * down + 0.2), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for ax, dimension in zip(axes, run.dimensions, strict=False):
            panel = table[table["dimension"] == dimension]
            for (answer, _, colour, marker, line), shift in zip(_KINDS, (-0.04, 0.04), strict=True):
                _curve(ax, panel[panel["answer"] == answer], answer, colour, marker, line, shift)
            ax.set_title(plain(dimension) + unfinished_note(run))
            ax.set(xlabel="round", ylabel=f"mean rating (1 to {run.scale})", ylim=_limits(panel, run.scale))
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            ax.grid(axis="y")
            if panel["mean"].isna().all():
                ax.text(0.5, 0.5, "no answer was rated", ha="center", transform=ax.transAxes)
        for ax in axes[n_panels:]:
            ax.set_axis_off()
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=2)
        return finished(figure)


def _curve(ax: Axes, rows: pd.DataFrame, answer: str, colour: str, marker: str, line: str, shift: float) -> None:
    """One line; bars stand a little apart, so that the two kinds do not hide each other."""
    x, y = rows["round"].to_numpy(dtype=float), rows["mean"].to_numpy(dtype=float)
    low, high = rows["low"].to_numpy(dtype=float), rows["high"].to_numpy(dtype=float)
    face = "none" if answer == "draft" else colour
    look = {"color": colour, "linestyle": line, "marker": marker, "markerfacecolor": face, "label": answer}
    if len(x) > BARS_UP_TO:
        ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(x, y, **look, markersize=2.5)
    else:
        # A lone answer has no interval: its bar would be NaN long.
        ax.errorbar(x + shift, y, yerr=np.nan_to_num(np.stack([y - low, high - y])), **look, elinewidth=1)


def _limits(panel: pd.DataFrame, scale: int) -> tuple[float, float]:
    """A window on 1..scale that holds all intervals, at least a point and a half tall."""
    drawn = panel[["mean", "low", "high"]].to_numpy(dtype=float)
    if np.isnan(drawn).all():
        return 1.0, float(scale)
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    margin = max(0.15, (1.5 - (high - low)) / 2)
    return max(low - margin, 0.9), min(high + margin, scale + 0.1)
