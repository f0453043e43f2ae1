"""All measures of an evaluation, including side effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visualize.drawing.curves import share_limits
from visualize.drawing.inputs import Source, interval_table, read_result
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

COLUMNS = ("measure", "model", "mean", "low", "high", "n")
_SHARES = ("refused", "empty", "echoed")


def data(source: Source) -> pd.DataFrame:
    """The data of the plot: one row per measure and model, in the order of the panels.

    Args:
        source: The folder of an evaluation.

    Returns:
        Columns measure, model, mean, low, high (95%) and n (None if the measure has none).

    Raises:
        DataFileError: the folder contains no ``evaluation.json``.
    """
    return _table(read_result(source, "evaluation"))


def _table(found: dict[str, Any]) -> pd.DataFrame:
    rows: list[tuple[str, str, dict[str, Any]]] = []
    for dimension in found["dimensions"]:
        rows += [(dimension, m["name"], m["scores"][dimension]) for m in found["models"]]
    for lost in found.get("pressures", []):
        rows.append(("loss under pressure", lost["model"], lost["all"][found["dimensions"][0]]))
    for part, name in (("pairs", "preference accuracy"), ("choices", "multiple-choice accuracy")):
        rows += [(name, m["name"], m["accuracy"]) for m in found.get(part, {}).get("models", [])]
    costs = found.get("side_effects", {}).get("models", [])
    for measure in _SHARES:
        rows += [(f"{measure} (harmless)", m["name"], m[measure]) for m in costs]
    rows += [("words per answer", m["name"], m["words"]) for m in costs]
    rows += [("distinct-2", m["name"], {"mean": m["distinct_2"], "low": None, "high": None}) for m in costs]
    rows += [("perplexity (neutral)", m["name"], m["perplexity"]) for m in costs if m["perplexity"]]
    for model in found.get("tasks", {}).get("models", []):
        rows += [(f"{r['task']} {r['metric']}", model["name"], r) for r in model["results"]]
    frame = interval_table((({"measure": measure, "model": model}, score) for measure, model, score in rows), COLUMNS)
    order = {measure: number for number, measure in enumerate(dict.fromkeys(frame["measure"]))}
    return frame.sort_values("measure", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """All measures of an evaluation, one panel each, with models in the same order and 95% intervals.

    Axes of refused, empty or repeated answers to harmless questions run from 0 to 1, so that a model that gained alignment
    by refusing everything is at the far end.

    Args:
        source: The folder of an evaluation.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder contains no ``evaluation.json``.
        SettingsError: the theme is unknown.
    """
    found = read_result(source, "evaluation")
    with use_theme(theme):
        table = _table(found)
        if table.empty or table["mean"].isna().all():
            return empty_figure("nothing was measured")
        measures, names = list(dict.fromkeys(table["measure"])), list(dict.fromkeys(table["model"]))
        across = min(len(measures), 3)
        down = -(-len(measures) // across)
        height = down * (0.92 + 0.2 * max(2, len(names)))
        figure = Figure(figsize=(COLUMN_IN if across == 1 else PAGE_IN, height), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
        styles = label_styles(names)
        for ax, measure in zip(axes, measures, strict=False):
            _panel(ax, table[table["measure"] == measure], names, styles)
            ax.set_title(one_line(measure, 26))
            if measure.endswith("(harmless)"):
                ax.set_xlim(-0.04, 1.04)
            ax.set_xlabel(_unit(measure, found))
            ax.grid(axis="x")
        share_limits([ax for ax, one in zip(axes, measures, strict=False) if one in found["dimensions"]], "x")
        axes[0].set_yticks(range(len(names)), [one_line(name, 24) for name in names])
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        for ax in axes[len(measures) :]:
            ax.set_axis_off()
        return fix_ticks(figure)


def _unit(measure: str, found: dict[str, Any]) -> str:
    """Title of the axis of a measure, with its unit or range."""
    if measure in found["dimensions"]:
        return f"mean rating (1 to {found['scale']})"
    if measure.endswith(("(harmless)", "accuracy")) or measure == "distinct-2":
        return "share (0 to 1)"
    return {
        "loss under pressure": "rating points",
        "words per answer": "words",
        "perplexity (neutral)": "perplexity",
    }.get(measure, "")


def _panel(ax: Axes, rows: pd.DataFrame, names: list[str], styles: dict[str, LabelStyle]) -> None:
    for _, row in rows.iterrows():
        style = styles[row["model"]]
        # Without an interval the bar has length 0.
        error = np.nan_to_num([[row["mean"] - row["low"]], [row["high"] - row["mean"]]])
        ax.errorbar(
            row["mean"], names.index(row["model"]), xerr=np.maximum(error, 0), color=style.colour, marker=style.marker,
            capsize=2,
        )  # fmt: skip
