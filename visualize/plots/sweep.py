"""A sweep's societies side by side: what each setting does to the measures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visualize.drawing.inputs import Source, read_sweep
from visualize.drawing.style import COLUMN_IN, PAGE_IN, Look, Theme, empty_figure, finished, looks, plain, themed

COLUMNS = ("measure", "x", "series", "seed", "value", "mean", "low", "high", "n")


def data(source: Source) -> pd.DataFrame:
    """The numbers behind the picture: one row a run that is done, and measure.

    Args:
        source: The folder of a sweep.

    Returns:
        Columns measure (a dimension of the rubric, or D_gain of the first dimension D), x (the point's value of the
        first key of the grid with several values), series (its values of the other such keys), seed, value; and of all
        runs at the point: mean, low, high (95% Student's t interval over seeds; NaN for fewer than two) and n.

    Raises:
        DataFileError: the folder holds no ``sweep.json``.
    """
    return _table(read_sweep(source))


def _keys(found: dict[str, Any]) -> list[str]:
    """The keys of the grid that tell its points apart."""
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
            rows.append(
                {
                    "measure": measure,
                    "x": point.get(first, "all"),
                    "series": ", ".join(f"{key} {_word(point[key])}" for key in others if key),
                    "seed": run["seed"],
                    "value": value,
                    **means[names[tuple(point.items())]][measure],
                }
            )
    numbers = dict.fromkeys(("value", "mean", "low", "high"), "float64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(numbers)


def _word(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """Means over seeds at each point of a sweep's grid, with 95% intervals, one panel a measure; dots are runs.

    The first key of the grid with several values runs across, to scale if it is a number; the others make the series.

    Args:
        source: The folder of a sweep.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder holds no ``sweep.json``.
        SettingsError: there is no such theme.
    """
    found = read_sweep(source)
    with themed(theme):
        table = _table(found)
        if table.empty:
            return empty_figure("no run of the sweep is done")
        measures = _measures(found)
        places, ticks = _places(found)
        series = looks(table["series"])
        across = min(len(measures), 3)
        down = math.ceil(len(measures) / across)
        longest = max((len(plain(tick, 20)) for tick in ticks), default=0)
        is_slanted = longest * len(ticks) > 26
        height = 2.3 * down + (0.05 * longest if is_slanted else 0) + 0.18 * math.ceil(len(series) / 3)
        figure = Figure(figsize=(COLUMN_IN if across == 1 else PAGE_IN, height), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for ax, measure in zip(axes, measures, strict=False):
            _panel(ax, table[table["measure"] == measure], places, series, lines=not ticks)
            if ticks:
                ax.set_xticks(range(len(ticks)), [plain(tick, 20) for tick in ticks])
                ax.set_xlim(-0.5, len(ticks) - 0.5)
                if is_slanted:
                    ax.tick_params(axis="x", rotation=30)
                    for label in ax.get_xticklabels():
                        label.set(ha="right", rotation_mode="anchor")
            _words(ax, measure, found)
        for ax in axes[len(measures) :]:
            ax.set_axis_off()
        if len(series) > 1:
            handles, names = axes[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower left", ncols=3)
        return finished(figure)


def _places(found: dict[str, Any]) -> tuple[dict[Any, float], list[str]]:
    """Where each value stands across, and the words there; no words where values are numbers and stand to scale."""
    keys = _keys(found)
    values: list[Any] = found["grid"][keys[0]] if keys else ["all"]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {value: float(value) for value in values}, []
    return {value: float(place) for place, value in enumerate(values)}, [_word(value) for value in values]


def _panel(ax: Axes, rows: pd.DataFrame, places: dict[Any, float], series: dict[str, Look], *, lines: bool) -> None:
    gaps = np.diff(sorted(places.values()))
    step = float(gaps.min()) if len(gaps) else 1.0
    for number, (name, look) in enumerate(series.items()):
        theirs = rows[rows["series"] == name].assign(place=lambda frame: frame["x"].map(places))
        # Series stand a little apart, so that their bars do not hide each other.
        shift = (0.1 if lines else 0.5) * step * ((number + 0.5) / len(series) - 0.5)
        beside = theirs["place"] + shift - 0.06 * step  # or the bar would hide the dots
        ax.scatter(beside, theirs["value"], s=9, color=look.colour, alpha=0.5, linewidths=0)
        means = theirs.drop_duplicates("place").sort_values("place")
        x, y = means["place"].to_numpy(dtype=float), means["mean"].to_numpy(dtype=float)
        low, high = means["low"].to_numpy(dtype=float), means["high"].to_numpy(dtype=float)
        # A single run has no interval: its bar would be NaN long.
        bars = np.nan_to_num(np.stack([y - low, high - y]))
        ax.errorbar(
            x + shift, y, yerr=bars, color=look.colour, marker=look.marker, label=plain(name) or "all runs",
            linestyle=look.linestyle if lines else "none", elinewidth=1,
        )  # fmt: skip


def _words(ax: Axes, measure: str, found: dict[str, Any]) -> None:
    keys = _keys(found)
    gained = measure.removesuffix("_gain")
    if measure in found["dimensions"]:
        ax.set(title=plain(measure), ylabel=f"mean rating (1 to {found['scale']})")
    else:
        ax.set(title=f"gain in {plain(gained)}", ylabel="revision minus draft")
        ax.axhline(0, color=ax.spines["left"].get_edgecolor(), linewidth=0.8, linestyle=":")
    ax.set_xlabel(plain(keys[0].replace("_", " ")) if keys else "")
    ax.grid(axis="y")
