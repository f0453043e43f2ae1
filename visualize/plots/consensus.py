"""Whether a society comes to agree: how alike an answer is rated, and how far labels keep apart."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from visualize.drawing.curves import curve, over_rounds, window
from visualize.drawing.inputs import NO_ROUND, Source, as_run
from visualize.drawing.style import LOOKS, PAGE_IN, Theme, empty_figure, finished, themed

_BETWEEN = ("polarisation", "divergence", "assortativity")
MEASURES = ("consensus", *_BETWEEN)


def data(source: Source) -> pd.DataFrame:
    """The numbers behind the curves: one row a complete round and measure, as the run recorded them.

    Args:
        source: A run or its folder.

    Returns:
        Columns round, measure (as :mod:`sandbox.metrics.round_metrics` names them), mean, low, high (95% bootstrap interval);
        NaN where there is nothing to say.
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

    Left, consensus: 1 where all reviewers of an answer gave it one rating. Right, three ways in which labels may keep
    apart, 0 where they do not: how much better they rate their own kind (polarisation), how much of the variance of
    final ratings is between them (divergence), how much they review their own kind (assortativity).

    Args:
        source: A run or its folder.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: there is no such theme.
    """
    with themed(theme):
        table = data(source)
        if table.empty:
            return empty_figure(NO_ROUND)
        figure = Figure(figsize=(PAGE_IN, 2.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        agreed = table[table["measure"] == "consensus"]
        curve(left, agreed, "consensus", LOOKS[0])
        left.set(title="consensus on an answer", ylabel="agreement of its ratings (0 to 1)")
        left.set_ylim(window(agreed, 0.0, 1.0, 0.4))
        apart = table[table["measure"] != "consensus"]
        for look, name, shift in zip(LOOKS[1:], _BETWEEN, (-0.06, 0.0, 0.06), strict=False):
            curve(right, apart[apart["measure"] == name], name, look, shift=shift)
        right.axhline(0, color=right.spines["left"].get_edgecolor(), linewidth=0.8, linestyle=":")
        right.set(title="distance between labels", ylabel="none at 0, at most 1", ylim=window(apart, -1.0, 1.0, 0.6))
        for ax, rows, words in ((left, agreed, "no answer was rated twice"), (right, apart, "nothing between labels")):
            over_rounds(ax, rows)
            if rows["mean"].isna().all():
                ax.text(0.5, 0.5, words, ha="center", transform=ax.transAxes)
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3)
        return finished(figure)
