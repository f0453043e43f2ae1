"""Trainers against each other: what each has gained over the base they began with, measure by measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visualize.drawing.inputs import _read
from visualize.drawing.style import COLUMN_IN, PAGE_IN, Look, Theme, empty_figure, ink, looks, plain, themed

COLUMNS = ("measure", "trainer", "seed", "value", "mean", "low", "high", "n")


def data(source: Path | str) -> pd.DataFrame:
    """The numbers behind the picture: one row a measure, trainer and seed that is done.

    Args:
        source: The folder of a comparison.

    Returns:
        Columns measure, trainer, seed, value (that seed's mean difference to the base), and of all seeds: mean, low,
        high (95% interval over questions or pairs) and n.

    Raises:
        DataFileError: the folder holds no ``comparison.json``.
    """
    return _table(_found(source))


def _found(source: Path | str) -> dict[str, Any]:
    what = "a comparison of trainers; make one with: sandbox compare RUN --trainers a,b --out DIR"
    return _read(source, "comparison.json", what)


def _table(found: dict[str, Any]) -> pd.DataFrame:
    rows = [
        {"measure": measure, "trainer": entry["name"], "seed": seed, "value": value, **score["difference"]}
        for measure in found["measures"]
        for entry in found["trainers"]
        for score in [entry["scores"][measure]]
        for seed, value in zip(entry["done"], score["seeds"], strict=True)
    ]
    numbers = dict.fromkeys(("value", "mean", "low", "high"), "float64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(numbers)


def draw(source: Path | str, *, theme: Theme = "light") -> Figure:
    """Differences of trained models to their base, with 95% intervals, one panel a measure; dots are seeds.

    Trainers stand in the order in which they were named, the same in every panel; the line at 0 is the base.

    Args:
        source: The folder of a comparison.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder holds no ``comparison.json``.
        SettingsError: there is no such theme.
    """
    found = _found(source)
    with themed(theme):
        table = _table(found)
        if table.empty or table["mean"].isna().all():
            return empty_figure("no training is done")
        names = list(dict.fromkeys(table["trainer"]))
        measures = list(found["measures"])
        look = looks(names)
        across = min(len(measures), 3)
        down = -(-len(measures) // across)
        height = down * (0.8 + 0.22 * max(3, len(names)))
        figure = Figure(figsize=(COLUMN_IN if across == 1 else PAGE_IN, height), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
        for ax, measure in zip(axes, measures, strict=False):
            _panel(ax, table[table["measure"] == measure], names, look)
            ax.axvline(0, color=ink(theme), linewidth=0.8)
            own = found["base_scores"][measure]["mean"]
            ax.set_title(plain(measure) + ("" if own is None else f"\nbase {own:.2f}"))
            ax.set_xlabel("difference to the base")
            ax.grid(axis="x")
        axes[0].set_yticks(range(len(names)), [plain(name, 20) for name in names])
        axes[0].invert_yaxis()
        axes[0].margins(y=0.1)
        for ax in axes[len(measures) :]:
            ax.set_axis_off()
        return figure


def _panel(ax: Axes, rows: pd.DataFrame, names: list[str], look: dict[str, Look]) -> None:
    for place, name in enumerate(names):
        mine = rows[rows["trainer"] == name]
        if mine.empty:
            continue
        style, first = look[name], mine.iloc[0]
        # Dots beside the bar, which would hide them.
        ax.scatter(mine["value"], np.full(len(mine), place + 0.3), s=9, color=style.colour, alpha=0.5, linewidths=0)
        # A single question has no interval: its bar would be NaN long.
        error = np.nan_to_num([[first["mean"] - first["low"]], [first["high"] - first["mean"]]])
        ax.errorbar(first["mean"], place, xerr=error, color=style.colour, marker=style.marker, capsize=2)
