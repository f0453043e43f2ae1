"""Generations of a language model: ratings by the raters of its society and an independent judge, and rewards."""

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

_PANELS = ("outcome", "outcome gain", "held-out", "gain", "society")
COLUMNS = ("panel", "series", "generation", "mean", "low", "high", "n")


def data(source: Path | str) -> pd.DataFrame:
    """The data of the plot: one row per panel, series and generation.

    Args:
        source: The folder of an evolution.

    Returns:
        Columns panel (``held-out``, ``gain`` since generation 0, ``society``, and with a reward ``outcome`` and ``outcome
        gain``), series (``raters`` or ``judge``; ``drafts`` or ``final answers``; ``reward``), generation, mean, low, high
        (95%: Student's t over questions or held-out societies, paired for gains; bootstrap over agents for the society) and n.

    Raises:
        DataFileError: the folder contains no ``evolve.json``.
    """
    return _table(read_result(source, "evolution"))


def _table(found: dict[str, Any]) -> pd.DataFrame:
    dimension = found["dimensions"][0]
    judges = {"raters": found["raters"], "judge": found["judge"]}
    nothing = {"mean": 0.0, "low": None, "high": None, "n": 0}
    rows = []
    for one in found["generations"]:
        if one.get("outcome") is not None:
            rows.append(("outcome", "reward", one["generation"], one["outcome"]["reward"]))
            rows.append(("outcome gain", "reward", one["generation"], one["outcome_since_first"] or nothing))
        for series, judge in judges.items() if one["heldout"] is not None else ():
            rows.append(("held-out", series, one["generation"], one["heldout"][judge][dimension]))
            since = nothing if one["since_first"] is None else one["since_first"][judge][dimension]
            rows.append(("gain", series, one["generation"], since))
        if one["society"] is not None and one["heldout"] is not None:
            scores = one["society"]["scores"]
            rows.append(("society", "drafts", one["generation"], scores[f"{dimension}_draft"]))
            rows.append(("society", "final answers", one["generation"], scores[dimension]))
    keys = ("panel", "series", "generation")
    return interval_table(((dict(zip(keys, row, strict=False)), row[-1]) for row in rows), COLUMNS)


def draw(source: Path | str, *, theme: Theme = "light") -> Figure:
    """Ratings of held-out answers of each generation, their gain since generation 0, and the ratings in its society.

    With a reward, its mean in held-out societies and the gain in it come first; a scenario without held-out questions has these
    two panels alone.

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
        panels = [name for name in _PANELS if name in set(table["panel"])]
        figure = Figure(figsize=(PAGE_IN, 2.7 if len(panels) <= 3 else 5.0), layout="constrained")
        grid = figure.subplots(1 if len(panels) <= 3 else 2, len(panels) if len(panels) <= 3 else 3, squeeze=False)
        axes = dict(zip(panels, grid.flat, strict=False))
        for spare in list(grid.flat)[len(panels) :]:
            spare.set_axis_off()
        names = {
            "raters": (f"society's raters: {one_line(found['raters'], 24)}", LABEL_STYLES[1]),
            "judge": (f"judge: {one_line(found['judge'], 24)}", LABEL_STYLES[0]),
            "drafts": ("drafts", LABEL_STYLES[1]._replace(colour=DRAFT, marker="v")),
            "final answers": ("final answers", LABEL_STYLES[0]._replace(colour=REVISION, marker="^")),
            "reward": (f"reward {one_line(found.get('reward') or '', 24)}", LABEL_STYLES[2]),
        }
        for panel, ax in axes.items():
            _panel(ax, table[table["panel"] == panel], names)
            _shade(ax, found["generations"], foreground(theme))
            _generations(ax, found["generations"])
        _title(axes, found, foreground(theme))
        shown = [panel for panel in panels if "gain" not in panel]
        handles = [handle for panel in shown for handle in axes[panel].get_legend_handles_labels()[0]]
        fit_legend(figure, handles, most=4)
        return fix_ticks(figure)


def _title(axes: dict[str, Axes], found: dict[str, Any], colour: str) -> None:
    dimension, reward = one_line(found["dimensions"][0]), one_line(found.get("reward") or "")
    titles = {
        "outcome": (f"{reward}, held-out societies", "mean reward"),
        "outcome gain": (f"gain in {reward} since 0", "difference, paired by society"),
        "held-out": (f"held-out {dimension}", f"mean rating (1 to {found['scale']})"),
        "gain": (f"gain in {dimension} since 0", "difference (points), paired"),
        "society": (f"{dimension} in the society", f"mean rating (1 to {found['scale']})"),
    }
    for panel, ax in axes.items():
        title, label = titles[panel]
        ax.set_title(title)
        ax.set_ylabel(label)
        if "gain" in panel:
            ax.axhline(0, color=colour, linewidth=0.8, linestyle=":")
    if "held-out" in axes and "society" in axes:
        share_limits((axes["held-out"], axes["society"]), "y")


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
