"""How ratings go over the rounds, before the feedback and after it."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from sandbox.metrics.intervals import mean_interval
from visualize.drawing.curves import curve, over_rounds, window
from visualize.drawing.inputs import NO_ROUND, Source, as_run, settled, unfinished_note
from visualize.drawing.style import (
    COLUMN_IN,
    DRAFT,
    PAGE_IN,
    REVISION,
    Look,
    Theme,
    empty_figure,
    finished,
    plain,
    themed,
)

_KINDS = (("draft", "before", Look(DRAFT, "s", "--", "")), ("revision", "after", Look(REVISION, "o", "-", "")))


def data(source: Source) -> pd.DataFrame:
    """The numbers behind the curves: one row a round, dimension and kind of answer.

    Returns:
        Columns round, dimension, answer (``draft`` or ``revision``), mean, low, high (95% Student's t interval over
        the round's answers; NaN for fewer than two) and n, the answers that were rated.
    """
    run = as_run(source)
    frame = settled(run)
    rows = []
    for round_, chosen in frame.groupby("round"):
        for dimension in run.dimensions:
            for answer, when, _ in _KINDS:
                interval = mean_interval(chosen[f"{dimension}_{when}"].dropna().tolist())
                rows.append({"round": round_, "dimension": dimension, "answer": answer, **interval._asdict()})
    return pd.DataFrame(rows, columns=["round", "dimension", "answer", "mean", "low", "high", "n"])


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """Mean ratings of drafts and revisions over the rounds, with 95% intervals, one panel a dimension.

    Args:
        source: A run or its folder.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: there is no such theme.
    """
    run = as_run(source)
    with themed(theme):
        table = data(run)
        if table.empty:
            return empty_figure(NO_ROUND)
        n_panels = len(run.dimensions)
        across = min(n_panels, 3)
        down = math.ceil(n_panels / across)
        width = COLUMN_IN if across == 1 else PAGE_IN
        figure = Figure(figsize=(width, 2.4 * down + 0.2), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for ax, dimension in zip(axes, run.dimensions, strict=False):
            panel = table[table["dimension"] == dimension]
            for (answer, _, look), shift in zip(_KINDS, (-0.04, 0.04), strict=True):
                curve(ax, panel[panel["answer"] == answer], answer, look, hollow=answer == "draft", shift=shift)
            ax.set_title(plain(dimension) + unfinished_note(run))
            ax.set(ylabel=f"mean rating (1 to {run.scale})", ylim=window(panel, 1.0, float(run.scale), 1.5))
            over_rounds(ax, panel)
            if panel["mean"].isna().all():
                ax.text(0.5, 0.5, "no answer was rated", ha="center", transform=ax.transAxes)
        for ax in axes[n_panels:]:
            ax.set_axis_off()
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=2)
        return finished(figure)
