"""How a training went: loss and preferences over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sandbox.store import Run
from visualize.sources import Source, read_training
from visualize.style import PAGE_IN, Theme, empty_figure, finished, looks, plain, themed

# What a step may report, and what its axis is called.
_CURVES = {
    "loss": "loss (nats per token)",
    "margin": "margin of the best answer",
    "accuracy": "preference accuracy",
}


def data(source: Source | Sequence[Source]) -> pd.DataFrame:
    """The numbers behind the curves: one row a logged step.

    Args:
        source: The folder of a trained model, or several.

    Returns:
        Columns training (what its folder is called), step, and what the trainer reported of it.
    """
    folders = [source] if isinstance(source, str | Path | Run) else list(source)
    rows = [
        {"training": name, **step}
        for folder, name in zip(folders, _names(folders), strict=True)
        for step in read_training(folder)["history"]
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["training", "step"])


def _names(folders: Sequence[Source]) -> list[str]:
    """The folders' own names; with as many of those above them as tell apart two that are called alike."""
    paths = [(folder.path if isinstance(folder, Run) else Path(folder)).resolve() for folder in folders]
    for depth in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return [plain(name) for name in names]


def draw(source: Source | Sequence[Source], *, theme: Theme = "light") -> Figure:
    """Training curves: loss, margin and preference accuracy over steps, of one training or several.

    Args:
        source: The folder of a trained model, or several.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: a folder holds no ``training.json``.
    """
    table = data(source)
    curves = [name for name in _CURVES if name in table and table[name].notna().any()]
    with themed(theme):
        if not curves:
            return empty_figure("no step was logged")
        figure = Figure(figsize=(PAGE_IN, 2.4), layout="constrained")
        axes = figure.subplots(1, len(curves), squeeze=False)[0]
        look = looks(table["training"])
        for ax, name in zip(axes, curves, strict=True):
            for training, rows in table.groupby("training", sort=False):
                kept = rows[["step", name]].dropna()
                style = look[str(training)]
                ax.plot(
                    kept["step"], kept[name], color=style.colour, linestyle=style.linestyle, label=str(training),
                    marker=style.marker if len(kept) <= 30 else "",
                )  # fmt: skip
            ax.set(xlabel="step", ylabel=_CURVES[name])
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
            ax.grid(axis="y")
        if len(look) > 1:
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=min(4, len(look)))
        return finished(figure)
