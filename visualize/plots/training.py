"""How a training went: loss, preferences and distance from the base over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sandbox.store.run import Run
from visualize.drawing.inputs import Source, read_training
from visualize.drawing.style import PAGE_IN, Theme, empty_figure, finished, looks, plain, themed

# What a step may report, and what its axis is called.
_CURVES = {
    "loss": "loss",
    "reward_margin": "reward margin",
    "preference_accuracy": "preference accuracy",
    "heldout_accuracy": "held-out accuracy",
    "kl": "KL to the base (nats per token)",
}

_ABREAST = 3


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
    """Training curves over steps, of one training or several, in the words that all trainers report in.

    Each word that any of them reported has a panel: ``loss``, ``reward_margin``, ``preference_accuracy``,
    ``heldout_accuracy`` and ``kl``. Losses and margins are in each trainer's own unit.

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
        lines = -(-len(curves) // _ABREAST)
        figure = Figure(figsize=(PAGE_IN, 2.4 * lines), layout="constrained")
        axes = figure.subplots(lines, min(_ABREAST, len(curves)), squeeze=False).ravel()
        for unused in axes[len(curves) :]:
            unused.remove()
        look = looks(table["training"])
        for ax, name in zip(axes, curves, strict=False):
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
