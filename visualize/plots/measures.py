"""A scenario's own measures over the rounds, one panel each, titled by their docstrings."""

from __future__ import annotations

import math
import textwrap

import pandas as pd
from matplotlib.figure import Figure

from visualize.drawing.curves import draw_curve, set_round_axis
from visualize.drawing.inputs import NO_ROUND, Source, as_run
from visualize.drawing.style import (
    LABEL_STYLES,
    PAGE_IN,
    Theme,
    empty_figure,
    fix_ticks,
    make_panels,
    one_line,
    use_theme,
)

NO_MEASURES = "the scenario has no measures of its own"


def data(source: Source) -> pd.DataFrame:
    """The data of the plot: one row per complete round and measure.

    Args:
        source: A run or its folder.

    Returns:
        Columns round, measure, value (NaN if undefined).
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
        SettingsError: the theme is unknown.
    """
    run = as_run(source)
    with use_theme(theme):
        table = data(run)
        if table.empty:
            return empty_figure(NO_ROUND if run.own_measures else NO_MEASURES)
        figure, axes = make_panels(len(run.own_measures), 2.2, extra_in=0.2, width_in=PAGE_IN)
        for ax, (name, words) in zip(axes, run.own_measures.items(), strict=True):
            panel = table[table["measure"] == name].rename(columns={"value": "mean"})
            draw_curve(ax, panel.assign(low=math.nan, high=math.nan), name, LABEL_STYLES[0])
            ax.set_title(one_line(name))
            # The first line of the docstring, without its full stop.
            ax.set_ylabel("\n".join(textwrap.wrap(words.rstrip("."), 32)))
            set_round_axis(ax, panel)
            if panel["mean"].isna().all():
                ax.text(0.5, 0.5, "nothing to say", ha="center", transform=ax.transAxes)
        return fix_ticks(figure)
