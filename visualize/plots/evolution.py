"""Generations of a society's language model: what its own raters think of it, and what a judge thinks whom it never met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from visualize.drawing.curves import curve
from visualize.drawing.inputs import read_evolution
from visualize.drawing.style import (
    DRAFT,
    LOOKS,
    PAGE_IN,
    REVISION,
    Look,
    Theme,
    empty_figure,
    finished,
    ink,
    plain,
    themed,
)

COLUMNS = ("panel", "series", "generation", "mean", "low", "high", "n")


def data(source: Path | str) -> pd.DataFrame:
    """The numbers behind the picture: one row a panel, series and generation.

    Args:
        source: The folder of an evolution.

    Returns:
        Columns panel (``held-out``, ``gain`` since generation 0, or ``society``), series (``raters`` or ``judge``;
        ``drafts`` or ``final answers``), generation, mean, low, high (95%: Student's t over questions, paired for gains;
        bootstrap over agents for the society) and n.

    Raises:
        DataFileError: the folder holds no ``evolve.json``.
    """
    return _table(read_evolution(source))


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
    table = [
        {"panel": panel, "series": series, "generation": generation, **{k: score[k] for k in COLUMNS[3:]}}
        for panel, series, generation, score in rows
    ]
    return pd.DataFrame(table, columns=list(COLUMNS)).astype(dict.fromkeys(("mean", "low", "high"), "float64"))


def draw(source: Path | str, *, theme: Theme = "light") -> Figure:
    """Held-out answers of each generation's model, their gain since generation 0, and the societies they came from.

    Where the society's raters and the judge it never met part ways, the generation stands on a shaded ground: lightly
    where only the means do, darker where it is beyond chance.

    Args:
        source: The folder of an evolution.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder holds no ``evolve.json``.
        SettingsError: there is no such theme.
    """
    found = read_evolution(source)
    with themed(theme):
        table = _table(found)
        if table.empty or table["mean"].isna().all():
            return empty_figure("no generation is done")
        dimension = plain(found["dimensions"][0])
        figure = Figure(figsize=(PAGE_IN, 2.7), layout="constrained")
        axes = figure.subplots(1, 3)
        names = {
            "raters": (f"its own raters ({plain(found['raters'], 24)})", LOOKS[1]),
            "judge": (f"a judge it never met ({plain(found['judge'], 24)})", LOOKS[0]),
            "drafts": ("drafts", LOOKS[1]._replace(colour=DRAFT, marker="v")),
            "final answers": ("final answers", LOOKS[0]._replace(colour=REVISION, marker="^")),
        }
        titles = {
            "held-out": f"held-out {dimension}",
            "gain": f"gain in {dimension} since 0",
            "society": f"{dimension} in the society",
        }
        for ax, (panel, title) in zip(axes, titles.items(), strict=True):
            _panel(ax, table[table["panel"] == panel], names)
            ax.set_title(title)
            _shade(ax, found["generations"], ink(theme))
            _generations(ax, found["generations"])
        axes[0].set_ylabel(f"mean rating (1 to {found['scale']})")
        axes[1].set_ylabel("difference, paired")
        axes[1].axhline(0, color=ink(theme), linewidth=0.8, linestyle=":")
        left, right = axes[0].get_legend_handles_labels(), axes[2].get_legend_handles_labels()
        handles, words = left[0] + right[0], left[1] + right[1]
        figure.legend(handles, words, loc="outside lower left", ncols=4)
        return finished(figure)


def _panel(ax: Axes, rows: pd.DataFrame, names: dict[str, tuple[str, Look]]) -> None:
    for number, (series, theirs) in enumerate(rows.groupby("series", sort=False)):
        name, look = names[str(series)]
        # Two series stand a little apart, so that their bars do not hide each other.
        shift = 0.12 * (number - 0.5)
        curve(ax, theirs.rename(columns={"generation": "round"}), name, look, shift=shift)


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
