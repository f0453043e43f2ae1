"""Generations of a language model, rated by the raters of its society and by an independent judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from visualize.drawing.curves import draw_curve, share_limits
from visualize.drawing.inputs import interval_table, read_result
from visualize.drawing.legends import fit_legend
from visualize.drawing.style import (
    DRAFT,
    LABEL_STYLES,
    PAGE_IN,
    REVISION,
    LabelStyle,
    Theme,
    empty_figure,
    fix_ticks,
    foreground,
    one_line,
    use_theme,
)

COLUMNS = ("panel", "series", "generation", "mean", "low", "high", "n")


def data(source: Path | str) -> pd.DataFrame:
    """The data of the plot: one row per panel, series and generation.

    Args:
        source: The folder of an evolution.

    Returns:
        Columns panel (``held-out``, ``gain`` since generation 0, or ``society``), series (``raters`` or ``judge``;
        ``drafts`` or ``final answers``), generation, mean, low, high (95%: Student's t over questions, paired for gains;
        bootstrap over agents for the society) and n.

    Raises:
        DataFileError: the folder contains no ``evolve.json``.
    """
    return _table(read_result(source, "evolution"))


def _table(found: dict[str, Any]) -> pd.DataFrame:
    dimension = found["dimensions"][0]
    judges = {"raters": found["raters"], "judge": found["judge"]}
    rows = []
    for one in found["generations"]:
        for series, judge in judges.items():
            rows.append(("held-out", series, one["generation"], one["heldout"][judge][dimension]))
            nothing = {"mean": 0.0, "low": None, "high": None, "n": 0}
            since = nothing if one["since_first"] is None else one["since_first"][judge][dimension]
            rows.append(("gain", series, one["generation"], since))
        if one["society"] is not None:
            scores = one["society"]["scores"]
            rows.append(("society", "drafts", one["generation"], scores[f"{dimension}_draft"]))
            rows.append(("society", "final answers", one["generation"], scores[dimension]))
    keys = ("panel", "series", "generation")
    return interval_table(((dict(zip(keys, row, strict=False)), row[-1]) for row in rows), COLUMNS)


def draw(source: Path | str, *, theme: Theme = "light") -> Figure:
    """Ratings of held-out answers of each generation, their gain since generation 0, and the ratings in its society.

    The background is shaded where the society's raters and the independent judge disagree: lightly if only the means
    differ in direction, darker if the disagreement is significant.

    Args:
        source: The folder of an evolution.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder contains no ``evolve.json``.
        SettingsError: the theme is unknown.
    """
    found = read_result(source, "evolution")
    with use_theme(theme):
        table = _table(found)
        if table.empty or table["mean"].isna().all():
            return empty_figure("no generation is finished")
        dimension = one_line(found["dimensions"][0])
        figure = Figure(figsize=(PAGE_IN, 2.7), layout="constrained")
        axes = figure.subplots(1, 3)
        names = {
            "raters": (f"society's raters: {one_line(found['raters'], 24)}", LABEL_STYLES[1]),
            "judge": (f"judge: {one_line(found['judge'], 24)}", LABEL_STYLES[0]),
            "drafts": ("drafts", LABEL_STYLES[1]._replace(colour=DRAFT, marker="v")),
            "final answers": ("final answers", LABEL_STYLES[0]._replace(colour=REVISION, marker="^")),
        }
        titles = {
            "held-out": f"held-out {dimension}",
            "gain": f"gain in {dimension} since 0",
            "society": f"{dimension} in the society",
        }
        for ax, (panel, title) in zip(axes, titles.items(), strict=True):
            _panel(ax, table[table["panel"] == panel], names)
            ax.set_title(title)
            _shade(ax, found["generations"], foreground(theme))
            _generations(ax, found["generations"])
        axes[0].set_ylabel(f"mean rating (1 to {found['scale']})")
        axes[2].set_ylabel(f"mean rating (1 to {found['scale']})")
        share_limits((axes[0], axes[2]), "y")
        axes[1].set_ylabel("difference (points), paired")
        axes[1].axhline(0, color=foreground(theme), linewidth=0.8, linestyle=":")
        handles = [handle for ax in (axes[0], axes[2]) for handle in ax.get_legend_handles_labels()[0]]
        fit_legend(figure, handles, most=4)
        return fix_ticks(figure)


def _panel(ax: Axes, rows: pd.DataFrame, names: dict[str, tuple[str, LabelStyle]]) -> None:
    for number, (series, theirs) in enumerate(rows.groupby("series", sort=False)):
        name, style = names[str(series)]
        # Series are shifted slightly, so that their bars do not overlap.
        shift = 0.12 * (number - 0.5)
        draw_curve(ax, theirs.rename(columns={"generation": "round"}), name, style, shift=shift)


def _shade(ax: Axes, generations: list[dict[str, Any]], colour: str) -> None:
    for one in generations:
        if one["verdict"] is not None:
            at, strength = one["generation"], 0.18 if one["verdict"] == "fooled" else 0.07
            ax.axvspan(at - 0.35, at + 0.35, color=colour, alpha=strength, linewidth=0)


def _generations(ax: Axes, generations: list[dict[str, Any]]) -> None:
    numbers = np.array([one["generation"] for one in generations])
    ax.set_xlim(numbers.min() - 0.4, numbers.max() + 0.4)
    ax.set_xlabel("generation")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(axis="y")
