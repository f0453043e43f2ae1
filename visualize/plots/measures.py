"""A scenario's own measures over the rounds, each in a panel that is titled by its own words."""

from __future__ import annotations

import math
import textwrap

import pandas as pd
from matplotlib.figure import Figure

from visualize.drawing.curves import curve, over_rounds
from visualize.drawing.inputs import NO_ROUND, Source, as_run
from visualize.drawing.style import LOOKS, PAGE_IN, Theme, empty_figure, finished, plain, themed

NO_MEASURES = "the scenario has no measures of its own"


def data(source: Source) -> pd.DataFrame:
    """The numbers behind the curves: one row a complete round and measure.

    Args:
        source: A run or its folder.

    Returns:
        Columns round, measure, value (NaN where there is nothing to say).
    """
    run = as_run(source)
    rows = [
        {"round": r, "measure": name, "value": metrics.get(name)}
        for name in run.own_measures
        for r, metrics in enumerate(run.metrics())
    ]
    return pd.DataFrame(rows, columns=["round", "measure", "value"]).astype({"value": "float64"})


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """The scenario's own measures over the rounds, one panel each.

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
            return empty_figure(NO_ROUND if run.own_measures else NO_MEASURES)
        across = min(len(run.own_measures), 3)
        down = math.ceil(len(run.own_measures) / across)
        figure = Figure(figsize=(PAGE_IN, 2.2 * down + 0.2), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for ax, (name, words) in zip(axes, run.own_measures.items(), strict=False):
            panel = table[table["measure"] == name].rename(columns={"value": "mean"})
            curve(ax, panel.assign(low=math.nan, high=math.nan), name, LOOKS[0])
            ax.set_title(plain(name))
            # What it is, in its author's words; a docstring's full stop is not one of an axis.
            ax.set_ylabel("\n".join(textwrap.wrap(words.rstrip("."), 32)))
            over_rounds(ax, panel)
            if panel["mean"].isna().all():
                ax.text(0.5, 0.5, "nothing to say", ha="center", transform=ax.transAxes)
        for ax in axes[len(run.own_measures) :]:
            ax.set_axis_off()
        return finished(figure)
