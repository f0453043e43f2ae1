"""A scenario's own measures over the rounds: one panel each, or one for those that share a panel."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sandbox.store.run import Run
from visualize.drawing.curves import draw_curve, set_round_axis
from visualize.drawing.inputs import NO_ROUND, Source, as_run
from visualize.drawing.style import Theme, empty_figure, fix_ticks, label_styles, make_panels, one_line, use_theme

NO_MEASURES = "the scenario has no measures of its own"
# Share of an axis that is left free beyond its limits, so that a line on a limit is not cut.
_EDGE = 0.03


def data(source: Source) -> pd.DataFrame:
    """The data of the plot: one row per complete round and measure.

    Args:
        source: A run or its folder.

    Returns:
        Columns round, measure, value (NaN if undefined), unit and panel (the measure itself where it shares none).
    """
    run = as_run(source)
    rows = [
        {"round": r, "measure": name, "value": metrics.get(name), "unit": axis_of(run, name)["unit"], "panel": panel}
        for panel, names in panels(run).items()
        for name in names
        for r, metrics in enumerate(run.metrics())
    ]
    return pd.DataFrame(rows, columns=["round", "measure", "value", "unit", "panel"]).astype({"value": "float64"})


def axis_of(run: Run, measure: str) -> Mapping[str, Any]:
    """Unit (text), limits (lowest and highest, None for an open end) and panel of a measure of a run, from its manifest."""
    return {"unit": "", "limits": [None, None], "panel": measure, **run.measure_axes.get(measure, {})}


def panels(run: Run) -> dict[str, list[str]]:
    """The measures of each panel, by the title of the panel, in the order of the scenario."""
    found: dict[str, list[str]] = {}
    for name in run.own_measures:
        found.setdefault(axis_of(run, name)["panel"], []).append(name)
    return found


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """The scenario's own measures over the rounds; measures of the same panel share an axis.

    Axes are titled with the unit of :class:`~sandbox.scenario.measure.Measure`, or else with the description of the measure,
    and end at its limits, if there are any.

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
        shown = panels(run)
        longest = max(map(len, shown.values()))
        figure, axes = make_panels(len(shown), 2.2 + 0.16 * (longest if longest > 1 else 0), extra_in=0.2)
        for ax, (title, names) in zip(axes, shown.items(), strict=True):
            draw_panel(ax, run, table, title, names)
        return fix_ticks(figure)


def draw_panel(ax: Axes, run: Run, table: pd.DataFrame, title: str, names: list[str]) -> None:
    """Draw the measures of one panel.

    Args:
        ax: Axes to draw on.
        run: The run.
        table: Rows of :func:`data`.
        title: Title of the panel.
        names: Its measures.
    """
    rows = table[table["measure"].isin(names)].rename(columns={"value": "mean"}).assign(low=math.nan, high=math.nan)
    styles = label_styles(names)
    for name, style in styles.items():
        draw_curve(ax, rows[rows["measure"] == name], one_line(name), style)
    ax.set_title(one_line(title))
    # Without a unit the first line of the docstring, without its full stop.
    words = run.own_measures[names[0]].rstrip(".") if len(names) == 1 else ""
    ax.set_ylabel("\n".join(textwrap.wrap(axis_of(run, names[0])["unit"] or words, 32)))
    set_round_axis(ax, table)
    if rows["mean"].isna().all():
        ax.text(0.5, 0.5, "no value in any round", ha="center", transform=ax.transAxes)
    low, high = axis_limits(run, names, rows["mean"])
    ax.set_ylim(low, high)
    if len(names) > 1:
        # Below the axis, where it covers no curve.
        lines = [
            Line2D([], [], color=style.colour, marker=style.marker, linestyle=style.linestyle, label=one_line(name))
            for name, style in styles.items()
        ]
        ax.legend(handles=lines, loc="upper left", bbox_to_anchor=(0.0, -0.22), borderaxespad=0.0)


def axis_limits(run: Run, names: Iterable[str], values: Iterable[float]) -> tuple[float | None, float | None]:
    """The ends of an axis: the limits of all measures on it, and all values; None for an end without a limit."""
    limits = [axis_of(run, name)["limits"] for name in names]
    known = np.array([value for value in values if not math.isnan(value)])
    ends: list[float | None] = []
    for end, furthest in ((0, min), (1, max)):
        given = [one[end] for one in limits]
        ends.append(None if None in given else float(furthest([*given, *known])))
    low, high = ends
    reach = [end for end in (low, high, *known) if end is not None]
    edge = _EDGE * ((max(reach) - min(reach)) or 1.0) if reach else 0.0
    if len(known) and (low is None) != (high is None):
        # An axis that is extended to one limit needs room at its open end as well, or the outermost point is cut.
        low, high = (float(known.min()) if low is None else low), (float(known.max()) if high is None else high)
    return None if low is None else low - edge, None if high is None else high + edge
