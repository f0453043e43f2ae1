"""Consensus of a society: agreement of ratings of an answer, and distance between labels."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from visualize.drawing.agent_values import shown_labels
from visualize.drawing.curves import draw_curve, set_round_axis, y_limits
from visualize.drawing.inputs import NO_ROUND, Source, as_run
from visualize.drawing.legends import fit_legend
from visualize.drawing.style import COLUMN_IN, LABEL_STYLES, PAGE_IN, Theme, empty_figure, fix_ticks, use_theme

_BETWEEN = ("polarisation", "divergence", "assortativity")
MEASURES = ("consensus", *_BETWEEN)


def data(source: Source) -> pd.DataFrame:
    """The data of the plot: one row per complete round and metric, as recorded.

    Args:
        source: A run or its folder.

    Returns:
        Columns round, measure (named as in :mod:`sandbox.metrics.round_metrics`), mean, low, high (95% bootstrap interval);
        NaN if undefined.
    """
    rows = [
        {"round": r, "measure": name, "mean": m.get(name), "low": m.get(f"{name}_low"), "high": m.get(f"{name}_high")}
        for r, m in enumerate(as_run(source).metrics())
        for name in MEASURES
    ]
    numbers = dict.fromkeys(("mean", "low", "high"), "float64")
    return pd.DataFrame(rows, columns=["round", "measure", "mean", "low", "high"]).astype(numbers)


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """Agreement over the rounds: of reviewers on each answer, and between labels, with 95% intervals.

    Left, consensus: 1 if all reviewers of an answer gave the same rating. Right, three measures of distance between labels,
    0 for none: how much higher they rate themselves (polarisation), the share of the variance of final ratings between
    them (divergence), how much reviews stay within them (assortativity).

    Without labels that mean something (see :func:`visualize.drawing.agent_values.shown_labels`) there is only the left.

    Args:
        source: A run or its folder.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: the theme is unknown.
    """
    with use_theme(theme):
        table = data(source)
        if table.empty:
            return empty_figure(NO_ROUND)
        run = as_run(source)
        has_labels = shown_labels(run, run.agents()["label"]).nunique() > 1
        figure = Figure(
            figsize=(PAGE_IN if has_labels else COLUMN_IN, 2.6 if has_labels else 2.3), layout="constrained"
        )
        axes = figure.subplots(1, 1 + has_labels, squeeze=False)[0]
        agreed, left = table[table["measure"] == "consensus"], axes[0]
        draw_curve(left, agreed, "consensus", LABEL_STYLES[0])
        left.set(title="consensus on an answer", ylabel="agreement of its ratings (0 to 1)")
        left.set_ylim(y_limits(agreed, 0.0, 1.0, 0.4))
        set_round_axis(left, agreed)
        if agreed["mean"].isna().all():
            left.text(0.5, 0.5, "no answer was rated twice", ha="center", transform=left.transAxes)
        if not has_labels:
            return fix_ticks(figure)
        apart, right = table[table["measure"] != "consensus"], axes[1]
        for style, name, shift in zip(LABEL_STYLES[1:], _BETWEEN, (-0.06, 0.0, 0.06), strict=False):
            draw_curve(right, apart[apart["measure"] == name], name, style, shift=shift)
        right.axhline(0, color=right.spines["left"].get_edgecolor(), linewidth=0.8, linestyle=":")
        right.set(title="distance between labels", ylabel="none at 0, at most 1", ylim=y_limits(apart, -1.0, 1.0, 0.6))
        set_round_axis(right, apart)
        if apart["mean"].isna().all():
            right.text(0.5, 0.5, "nothing between labels", ha="center", transform=right.transAxes)
        fit_legend(figure, right.get_legend_handles_labels()[0], loc="outside lower right", most=3)
        return fix_ticks(figure)
