"""Comparison of trainers: difference to the base, by measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visualize.drawing.inputs import interval_table, read_result
from visualize.drawing.style import (
    COLUMN_IN,
    PAGE_IN,
    LabelStyle,
    Theme,
    empty_figure,
    foreground,
    label_styles,
    one_line,
    use_theme,
)

COLUMNS = ("measure", "trainer", "seed", "value", "mean", "low", "high", "n")


def data(source: Path | str) -> pd.DataFrame:
    """The data of the plot: one row per measure, trainer and finished seed.

    Args:
        source: The folder of a comparison.

    Returns:
        Columns measure, trainer, seed, value (that seed's mean difference to the base), and of all seeds: mean, low,
        high (95% interval over questions or pairs) and n.

    Raises:
        DataFileError: the folder contains no ``comparison.json``.
    """
    return _table(read_result(source, "comparison"))


def _table(found: dict[str, Any]) -> pd.DataFrame:
    rows = (
        ({"measure": measure, "trainer": entry["name"], "seed": seed, "value": value}, score["difference"])
        for measure in found["measures"]
        for entry in found["trainers"]
        for score in [entry["scores"][measure]]
        for seed, value in zip(entry["done"], score["seeds"], strict=True)
    )
    return interval_table(rows, COLUMNS)


def draw(source: Path | str, *, theme: Theme = "light") -> Figure:
    """Differences of trained models to their base, with 95% intervals, one panel per measure; dots are seeds.

    Trainers are in the order given, the same in every panel; the line at 0 is the base.

    Args:
        source: The folder of a comparison.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder contains no ``comparison.json``.
        SettingsError: the theme is unknown.
    """
    found = read_result(source, "comparison")
    with use_theme(theme):
        table = _table(found)
        if table.empty or table["mean"].isna().all():
            return empty_figure("no training is finished")
        names = list(dict.fromkeys(table["trainer"]))
        measures = list(found["measures"])
        styles = label_styles(names)
        across = min(len(measures), 3)
        down = -(-len(measures) // across)
        height = down * (0.8 + 0.22 * max(3, len(names)))
        figure = Figure(figsize=(COLUMN_IN if across == 1 else PAGE_IN, height), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
        for ax, measure in zip(axes, measures, strict=False):
            _panel(ax, table[table["measure"] == measure], names, styles)
            ax.axvline(0, color=foreground(theme), linewidth=0.8)
            own = found["base_scores"][measure]["mean"]
            ax.set_title(one_line(measure) + ("" if own is None else f"\nbase {own:.2f}"))
            ax.set_xlabel("difference to the base")
            ax.grid(axis="x")
        axes[0].set_yticks(range(len(names)), [one_line(name, 20) for name in names])
        axes[0].invert_yaxis()
        axes[0].margins(y=0.1)
        for ax in axes[len(measures) :]:
            ax.set_axis_off()
        return figure


def _panel(ax: Axes, rows: pd.DataFrame, names: list[str], styles: dict[str, LabelStyle]) -> None:
    for place, name in enumerate(names):
        mine = rows[rows["trainer"] == name]
        if mine.empty:
            continue
        style, first = styles[name], mine.iloc[0]
        # Dots beside the bar, which would hide them.
        ax.scatter(mine["value"], np.full(len(mine), place + 0.3), s=9, color=style.colour, alpha=0.5, linewidths=0)
        # A single question has no interval: its bar would be NaN.
        error = np.nan_to_num([[first["mean"] - first["low"]], [first["high"] - first["mean"]]])
        ax.errorbar(first["mean"], place, xerr=error, color=style.colour, marker=style.marker, capsize=2)
