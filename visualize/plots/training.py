"""Training curves: loss, preference accuracy and KL to the base, over steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sandbox.store.run import Run
from visualize.drawing.inputs import Source, read_result
from visualize.drawing.legends import fit_legend
from visualize.drawing.style import PAGE_IN, Theme, empty_figure, fix_ticks, label_styles, one_line, use_theme

# Metric -> label of its axis.
_CURVES = {
    "loss": "loss",
    "reward_margin": "reward margin",
    "preference_accuracy": "preference accuracy",
    "heldout_accuracy": "held-out accuracy",
    "kl": "KL to the base (nats per token)",
}

_ABREAST = 3


def data(source: Source | Sequence[Source]) -> pd.DataFrame:
    """The data of the plot: one row per logged step.

    Args:
        source: The folder of a trained model, or several.

    Returns:
        Columns training (name of its folder), step, and the logged metrics.
    """
    folders = [source] if isinstance(source, str | Path | Run) else list(source)
    rows = [
        {"training": name, **step}
        for folder, name in zip(folders, _names(folders), strict=True)
        for step in read_result(folder, "training")["history"]
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["training", "step"])


def _names(folders: Sequence[Source]) -> list[str]:
    """Names of the folders, with as many parent folders as are needed to make them unique."""
    paths = [(folder.path if isinstance(folder, Run) else Path(folder)).resolve() for folder in folders]
    for depth in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return [one_line(name) for name in names]


def draw(source: Source | Sequence[Source], *, theme: Theme = "light") -> Figure:
    """Training curves over steps, of one or several trainings.

    Each metric that any of them logged has a panel: ``loss``, ``reward_margin``, ``preference_accuracy``,
    ``heldout_accuracy`` and ``kl``. Losses and margins are in the unit of each trainer.

    Args:
        source: The folder of a trained model, or several.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: a folder contains no ``training.json``.
    """
    table = data(source)
    curves = [name for name in _CURVES if name in table and table[name].notna().any()]
    with use_theme(theme):
        if not curves:
            return empty_figure("no step was logged")
        lines = -(-len(curves) // _ABREAST)
        figure = Figure(figsize=(PAGE_IN, 2.4 * lines), layout="constrained")
        axes = figure.subplots(lines, min(_ABREAST, len(curves)), squeeze=False).ravel()
        for unused in axes[len(curves) :]:
            unused.remove()
        styles = label_styles(table["training"])
        for ax, name in zip(axes, curves, strict=False):
            for training, rows in table.groupby("training", sort=False):
                kept = rows[["step", name]].dropna()
                style = styles[str(training)]
                ax.plot(
                    kept["step"], kept[name], color=style.colour, linestyle=style.linestyle, label=str(training),
                    marker=style.marker if len(kept) <= 30 else "",
                )  # fmt: skip
            ax.set(xlabel="step", ylabel=_CURVES[name])
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
            ax.grid(axis="y")
        if len(styles) > 1:
            fit_legend(figure, axes[0].get_legend_handles_labels()[0], most=4)
        return fix_ticks(figure)
