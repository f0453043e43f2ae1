"""Comparison of models on held-out questions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from visualize.drawing.inputs import Source, read_result
from visualize.drawing.legends import fit_legend
from visualize.drawing.style import (
    COLUMN_IN,
    PAGE_IN,
    Theme,
    empty_figure,
    fix_ticks,
    foreground,
    label_styles,
    one_line,
    use_theme,
)


def data(source: Source) -> pd.DataFrame:
    """The data of the plot.

    Args:
        source: The folder of an evaluation.

    Returns:
        Columns model, against (empty for a mean, else the model of the difference), dimension, mean,
        low, high (95% intervals over questions, paired for differences) and n.
    """
    found = read_result(source, "evaluation")
    rows = [
        {"model": m["name"], "against": "", "dimension": d, **m["scores"][d]}
        for m in found["models"]
        for d in found["dimensions"]
    ]
    rows += [
        {"model": m["model"], "against": m["against"], "dimension": d, **m["scores"][d]}
        for m in found["differences"]
        for d in found["dimensions"]
    ]
    columns = ["model", "against", "dimension", "mean", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).astype({"mean": "float64", "low": "float64", "high": "float64"})


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """Mean ratings of each model's answers, and paired differences to the first model, with 95% intervals.

    Args:
        source: The folder of an evaluation.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder contains no ``evaluation.json``.
    """
    table = data(source)
    found = read_result(source, "evaluation")
    with use_theme(theme):
        if table.empty or table["mean"].isna().all():
            return empty_figure("no answer was rated")
        dimensions = list(found["dimensions"])
        own = table[table["against"] == ""]
        paired = table[table["against"] != ""]
        styles = label_styles(own["model"])
        height = 1.4 + 0.28 * max(3, len(styles) * len(dimensions))
        figure = Figure(figsize=(COLUMN_IN if paired.empty else PAGE_IN, height), layout="constrained")
        panels = [(own, f"mean rating (1 to {found['scale']})")]
        if not paired.empty:
            panels.append((paired, f"difference to {one_line(found['models'][0]['name'])}, paired by question"))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (rows, title) in zip(axes, panels, strict=True):
            ticks, names = [], []
            for i, dimension in enumerate(dimensions):
                mine = rows[rows["dimension"] == dimension].reset_index(drop=True)
                for j, row in mine.iterrows():
                    y = i * (len(mine) + 1) + int(str(j))
                    style = styles[row["model"]]
                    error = np.nan_to_num([[row["mean"] - row["low"]], [row["high"] - row["mean"]]])
                    ax.errorbar(
                        row["mean"], y, xerr=error, color=style.colour, marker=style.marker, capsize=2,
                        label=one_line(row["model"]) if i == 0 else None,
                    )  # fmt: skip
                ticks.append(i * (len(mine) + 1) + (len(mine) - 1) / 2)
                names.append(one_line(dimension))
            ax.set_yticks(ticks, names)
            ax.invert_yaxis()
            ax.margins(y=0.15)
            ax.set_xlabel(title)
            ax.grid(axis="x")
        if not paired.empty:
            axes[1].axvline(0, color=foreground(theme), linewidth=0.8)
        fit_legend(figure, axes[0].get_legend_handles_labels()[0], most=4)
        return fix_ticks(figure)
