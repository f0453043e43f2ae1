"""Effect of each setting of a sweep on the measures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visualize.drawing.curves import share_limits
from visualize.drawing.inputs import Source, interval_table, read_result
from visualize.drawing.legends import fit_legend
from visualize.drawing.style import (
    COLUMN_IN,
    PAGE_IN,
    LabelStyle,
    Theme,
    empty_figure,
    fix_ticks,
    label_styles,
    one_line,
    use_theme,
)

COLUMNS = ("measure", "x", "series", "seed", "value", "mean", "low", "high", "n")


def data(source: Source) -> pd.DataFrame:
    """The data of the plot: one row per finished run and measure.

    Args:
        source: The folder of a sweep.

    Returns:
        Columns measure (a dimension of the rubric, or D_gain of the first dimension D), x (the point's value of the
        first key of the grid with several values), series (its values of the other such keys), seed, value; and of all
        runs at the point: mean, low, high (95% Student's t interval over seeds; NaN for fewer than two) and n.

    Raises:
        DataFileError: the folder contains no ``sweep.json``.
    """
    return _table(read_result(source, "sweep"))


def _keys(found: dict[str, Any]) -> list[str]:
    """The keys of the grid with several values."""
    return [key for key, values in found["grid"].items() if len(values) > 1]


def _measures(found: dict[str, Any]) -> list[str]:
    return [*found["dimensions"], f"{found['dimensions'][0]}_gain"]


def _table(found: dict[str, Any]) -> pd.DataFrame:
    first, *others = [*_keys(found), ""]
    means = {point["name"]: point["scores"] for point in found["points"]}
    names = {tuple(point["point"].items()): point["name"] for point in found["points"]}
    rows = []
    for measure in _measures(found):
        for run in found["runs"]:
            value = run["scores"].get(measure)
            if run["status"] != "done" or value is None:
                continue
            point = run["point"]
            keys = {
                "measure": measure,
                "x": point.get(first, "all"),
                "series": ", ".join(f"{key} {_word(point[key])}" for key in others if key),
                "seed": run["seed"],
                "value": value,
            }
            rows.append((keys, means[names[tuple(point.items())]][measure]))
    return interval_table(rows, COLUMNS)


def _word(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """Means over seeds at each point of a sweep's grid, with 95% intervals, one panel per measure; dots are runs.

    The first key of the grid with several values is the horizontal axis, to scale for numbers; the others form series.

    Args:
        source: The folder of a sweep.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder contains no ``sweep.json``.
        SettingsError: the theme is unknown.
    """
    found = read_result(source, "sweep")
    with use_theme(theme):
        table = _table(found)
        if table.empty:
            return empty_figure("no run of the sweep is finished")
        measures = _measures(found)
        positions, ticks = _x_positions(found)
        series = label_styles(table["series"])
        across = min(len(measures), 3)
        down = math.ceil(len(measures) / across)
        longest = max((len(one_line(tick, 20)) for tick in ticks), default=0)
        is_slanted = longest * len(ticks) > 26
        height = 2.3 * down + (0.05 * longest if is_slanted else 0) + 0.18 * math.ceil(len(series) / 3)
        figure = Figure(figsize=(COLUMN_IN if across == 1 else PAGE_IN, height), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for ax, measure in zip(axes, measures, strict=False):
            _panel(ax, table[table["measure"] == measure], positions, series, lines=not ticks)
            if ticks:
                ax.set_xticks(range(len(ticks)), [one_line(tick, 20) for tick in ticks])
                ax.set_xlim(-0.5, len(ticks) - 0.5)
                if is_slanted:
                    ax.tick_params(axis="x", rotation=30)
                    for label in ax.get_xticklabels():
                        label.set(ha="right", rotation_mode="anchor")
            _words(ax, measure, found)
        for is_rating in (True, False):
            kind = [ax for ax, one in zip(axes, measures, strict=False) if (one in found["dimensions"]) == is_rating]
            share_limits(kind, "y")
        for ax in axes[len(measures) :]:
            ax.set_axis_off()
        if len(series) > 1:
            fit_legend(figure, axes[0].get_legend_handles_labels()[0], most=3)
        return fix_ticks(figure)


def _x_positions(found: dict[str, Any]) -> tuple[dict[Any, float], list[str]]:
    """Positions of values on the horizontal axis, and their tick labels; no labels for numbers, which are to scale."""
    keys = _keys(found)
    values: list[Any] = found["grid"][keys[0]] if keys else ["all"]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {value: float(value) for value in values}, []
    return {value: float(place) for place, value in enumerate(values)}, [_word(value) for value in values]


def _panel(
    ax: Axes, rows: pd.DataFrame, positions: dict[Any, float], series: dict[str, LabelStyle], *, lines: bool
) -> None:
    gaps = np.diff(sorted(positions.values()))
    step = float(gaps.min()) if len(gaps) else 1.0
    for number, (name, style) in enumerate(series.items()):
        own_rows = rows[rows["series"] == name].assign(place=lambda frame: frame["x"].map(positions))
        # Series are shifted slightly, so that their bars do not overlap.
        shift = (0.1 if lines else 0.5) * step * ((number + 0.5) / len(series) - 0.5)
        dots_x = own_rows["place"] + shift - 0.06 * step  # beside the bar, which would hide them
        ax.scatter(dots_x, own_rows["value"], s=9, color=style.colour, alpha=0.5, linewidths=0)
        means = own_rows.drop_duplicates("place").sort_values("place")
        x, y = means["place"].to_numpy(dtype=float), means["mean"].to_numpy(dtype=float)
        low, high = means["low"].to_numpy(dtype=float), means["high"].to_numpy(dtype=float)
        # A single run has no interval: its bar would be NaN.
        bars = np.nan_to_num(np.stack([y - low, high - y]))
        ax.errorbar(
            x + shift, y, yerr=bars, color=style.colour, marker=style.marker, label=one_line(name) or "all runs",
            linestyle=style.linestyle if lines else "none", elinewidth=1,
        )  # fmt: skip


def _words(ax: Axes, measure: str, found: dict[str, Any]) -> None:
    keys = _keys(found)
    gained = measure.removesuffix("_gain")
    if measure in found["dimensions"]:
        ax.set(title=one_line(measure), ylabel=f"mean rating (1 to {found['scale']})")
    else:
        ax.set(title=f"gain in {one_line(gained)}", ylabel="revision minus draft (points)")
        ax.axhline(0, color=ax.spines["left"].get_edgecolor(), linewidth=0.8, linestyle=":")
    ax.set_xlabel(one_line(keys[0].replace("_", " ")) if keys else "")
    ax.grid(axis="y")
