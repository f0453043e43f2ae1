"""Ratings over the rounds, before and after the feedback."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from sandbox.metrics.intervals import mean_interval
from visualize.drawing.curves import draw_curve, set_round_axis, share_limits, y_limits
from visualize.drawing.inputs import NO_ROUND, Source, as_run, finished_rounds, unfinished_note
from visualize.drawing.legends import fit_legend
from visualize.drawing.style import (
    DRAFT,
    REVISION,
    LabelStyle,
    Theme,
    empty_figure,
    fix_ticks,
    make_panels,
    one_line,
    use_theme,
)

_KINDS = (
    ("draft", "before", LabelStyle(DRAFT, "s", "--", "")),
    ("revision", "after", LabelStyle(REVISION, "o", "-", "")),
)


def data(source: Source) -> pd.DataFrame:
    """The data of the plot: one row per round, dimension and kind of answer.

    Returns:
        Columns round, dimension, answer (``draft`` or ``revision``), mean, low, high (95% Student's t interval over
        the round's answers; NaN for fewer than two) and n, the number of rated answers.
    """
    run = as_run(source)
    frame = finished_rounds(run)
    rows = []
    for round_, chosen in frame.groupby("round"):
        for dimension in run.dimensions:
            for answer, when, _ in _KINDS:
                interval = mean_interval(chosen[f"{dimension}_{when}"].dropna().tolist())
                rows.append({"round": round_, "dimension": dimension, "answer": answer, **interval._asdict()})
    return pd.DataFrame(rows, columns=["round", "dimension", "answer", "mean", "low", "high", "n"])


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """Mean ratings of drafts and revisions over the rounds, with 95% intervals, one panel per dimension.

    Args:
        source: A run or its folder.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: the theme is unknown.
    """
    run = as_run(source)
    with use_theme(theme):
        table = data(run)
        if table.empty:
            return empty_figure(NO_ROUND)
        figure, axes = make_panels(len(run.dimensions), 2.4, extra_in=0.2)
        for ax, dimension in zip(axes, run.dimensions, strict=True):
            panel = table[table["dimension"] == dimension]
            for (answer, _, style), shift in zip(_KINDS, (-0.04, 0.04), strict=True):
                draw_curve(ax, panel[panel["answer"] == answer], answer, style, hollow=answer == "draft", shift=shift)
            ax.set_title(one_line(dimension) + unfinished_note(run))
            ax.set(ylabel=f"mean rating (1 to {run.scale})", ylim=y_limits(panel, 1.0, float(run.scale), 1.5))
            set_round_axis(ax, panel)
            if panel["mean"].isna().all():
                ax.text(0.5, 0.5, "no answer was rated", ha="center", transform=ax.transAxes)
        share_limits(axes, "y")
        fit_legend(figure, axes[0].get_legend_handles_labels()[0])
        return fix_ticks(figure)
