"""Whether answers become better on one dimension at the cost of the other."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from sandbox.errors import SettingsError, nearest
from sandbox.metrics.pareto import pareto_front
from sandbox.store.run import Run
from visualize.drawing.inputs import NO_ROUND, Source, as_run, final_scores, settled, unfinished_note
from visualize.drawing.style import (
    PAGE_IN,
    Look,
    Theme,
    choice,
    empty_figure,
    finished,
    ground,
    ink,
    label_order,
    looks,
    plain,
    rating_map,
    themed,
)

By = Literal["label", "round"]


def data(source: Source, *, by: By = "label", x: str | None = None, y: str | None = None) -> pd.DataFrame:
    """The numbers behind the picture: one row an interaction that has a final score on both dimensions.

    Args:
        source: A run or its folder.
        by: What an arrow stands for; the numbers are the same for all.
        x: A dimension of the rubric; the first by default.
        y: Another; the second by default.

    Returns:
        Columns round, agent, label, draft_x, draft_y (NaN where the draft has no score), final_x, final_y and
        on_front: no other final answer is as good on both and better on one.

    Raises:
        SettingsError: ``by`` has no such value, or the rubric no such dimension.
    """
    choice("by", by, get_args(By))
    run = as_run(source)
    columns = ["round", "agent", "label", "draft_x", "draft_y", "final_x", "final_y"]
    axes = _dimensions(run, x, y)
    if axes is None:
        return pd.DataFrame(columns=[*columns, "on_front"])
    frame = settled(run)
    for axis, dimension in zip("xy", axes, strict=True):
        frame = frame.assign(
            **{f"draft_{axis}": frame[f"{dimension}_before"], f"final_{axis}": final_scores(frame, dimension)}
        )
    table = frame[columns].dropna(subset=["final_x", "final_y"]).reset_index(drop=True)
    best = pareto_front(table[["final_x", "final_y"]].to_numpy(dtype=float))
    return table.assign(on_front=np.isin(np.arange(len(table)), best))


def _dimensions(run: Run, x: str | None, y: str | None) -> tuple[str, str] | None:
    known = run.dimensions
    for setting, given in (("x", x), ("y", y)):
        if given is not None and given not in known:
            raise SettingsError(
                f"{setting}={given!r} is not a dimension of {run.path}.{nearest(given, known)} Dimensions: "
                f"{', '.join(known)}"
            )
    first = x or next((d for d in known if d != y), known[0])
    second = y or next((d for d in known if d != first), None)
    return None if second is None else (first, second)


def draw(
    source: Source, *, by: By = "label", x: str | None = None, y: str | None = None, theme: Theme = "light"
) -> Figure:
    """Alignment against engagement: final answers with their Pareto front, and an arrow from draft to final answer.

    Left, small points are final answers, larger where several have the same scores; the stepped line is the front of
    those that no other final answer beats. Right, closer, an arrow for each label or round goes from the mean draft to
    the mean final answer.

    Args:
        source: A run or its folder.
        by: What an arrow stands for: a ``label`` or a ``round``.
        x: The dimension across; the rubric's first by default.
        y: The dimension upwards; the rubric's second by default.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: a setting has no such value, or the rubric no such dimension.
    """
    run = as_run(source)
    with themed(theme):
        table = data(run, by=by, x=x, y=y)
        names = _dimensions(run, x, y)
        if names is None:
            return empty_figure("the rubric has one dimension;\na Pareto front needs two")
        if table.empty:
            return empty_figure(NO_ROUND if settled(run).empty else "no answer was rated on both dimensions")
        figure = Figure(figsize=(PAGE_IN, 3.6), layout="constrained")
        cloud, means = figure.subplots(1, 2)
        groups = _groups(table, by)
        _points(cloud, groups, len(table))
        _front(cloud, table, run.scale, theme)
        cloud.set_title(f"final answers{unfinished_note(run)}")
        cloud.set(xlim=(0.8, run.scale + 0.2), ylim=(0.8, run.scale + 0.2))
        _arrows(means, groups, by, theme)
        means.set_title(f"mean of each {by}, draft to final answer")
        means.set(**_zoom(table, groups))
        for ax in (cloud, means):
            ax.set(xlabel=f"{plain(names[0])} (1 to {run.scale})", ylabel=f"{plain(names[1])} (1 to {run.scale})")
            ax.set_aspect("equal")
            ax.grid()
        _legend(figure, groups, by, theme)
        return finished(figure)


def _groups(table: pd.DataFrame, by: By) -> dict[str, tuple[pd.DataFrame, Look]]:
    if by == "label":
        found = looks(label_order(table["label"]))
        return {label: (table[table["label"] == label], look) for label, look in found.items()}
    rounds = sorted(int(r) for r in table["round"].unique())
    # Rounds have an order, so their colours have one: oldest darkest.
    steps = rating_map()(np.linspace(0, 1, max(len(rounds), 2)))
    return {
        f"round {r}": (table[table["round"] == r], Look(tuple(steps[i]), "o", "-", ""))  # type: ignore[arg-type]
        for i, r in enumerate(rounds)
    }


def _points(ax: Axes, groups: dict[str, tuple[pd.DataFrame, Look]], n_points: int) -> None:
    alpha = float(np.clip(12 / np.sqrt(n_points), 0.15, 0.7))
    for name, (rows, look) in groups.items():
        counts = rows.groupby(["final_x", "final_y"]).size().reset_index(name="n")
        ax.scatter(
            counts["final_x"], counts["final_y"], s=9 * counts["n"] ** 0.7, marker=look.marker, color=look.colour,
            alpha=alpha, linewidths=0, label=plain(name),
        )  # fmt: skip


def _front(ax: Axes, table: pd.DataFrame, scale: int, theme: Theme) -> None:
    """A staircase through the best answers; its ends run to the edges of the picture."""
    best = table[table["on_front"]].drop_duplicates(["final_x", "final_y"]).sort_values("final_x")
    x, y = best["final_x"].to_numpy(dtype=float), best["final_y"].to_numpy(dtype=float)
    ax.step(
        [0.0, *x, x[-1]], [y[0], *y, 0.0], where="pre", color=ink(theme), linewidth=1.1, linestyle=(0, (4, 2)),
        label="Pareto front", zorder=3,
    )  # fmt: skip


def _means(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Mean draft and mean final answer over the answers that have both. Shape [2 answers, 2 dimensions]."""
    both = rows.dropna(subset=["draft_x", "draft_y"])
    return both[["draft_x", "draft_y", "final_x", "final_y"]].to_numpy(dtype=float).mean(axis=0).reshape(2, 2)


def _arrows(ax: Axes, groups: dict[str, tuple[pd.DataFrame, Look]], by: By, theme: Theme) -> None:
    for name, (rows, look) in groups.items():
        if rows[["draft_x", "draft_y"]].isna().any(axis=1).all():
            continue
        start, end = _means(rows)
        ax.plot(*start, marker=look.marker, color=look.colour, markerfacecolor=ground(theme), markersize=5, zorder=5)
        arrow = FancyArrowPatch(
            tuple(start), tuple(end), color=look.colour, linewidth=1.8, arrowstyle="-|>", mutation_scale=9, shrinkA=3,
            shrinkB=0, linestyle="-", zorder=4,
        )  # fmt: skip
        arrow.set_label(name)
        ax.add_patch(arrow)
        if by == "round" and len(groups) <= 12:
            words = name.removeprefix("round ")
            ax.annotate(words, tuple(start), xytext=(-4, 4), textcoords="offset points", ha="right", size="small")


def _zoom(table: pd.DataFrame, groups: dict[str, tuple[pd.DataFrame, Look]]) -> dict[str, tuple[float, float]]:
    """A square window around all arrows, four tenths of a point wide at least."""
    both = table.dropna(subset=["draft_x", "draft_y"])
    if both.empty:
        return {}
    chosen = [_means(rows) for _, (rows, _) in groups.items() if rows[["draft_x", "draft_y"]].notna().all(axis=1).any()]
    ends = np.concatenate(chosen)
    centre = (ends.min(axis=0) + ends.max(axis=0)) / 2
    half = max(0.2, float((ends.max(axis=0) - ends.min(axis=0)).max()) * 0.65)
    return {"xlim": (centre[0] - half, centre[0] + half), "ylim": (centre[1] - half, centre[1] + half)}


def _legend(figure: Figure, groups: dict[str, tuple[pd.DataFrame, Look]], by: By, theme: Theme) -> None:
    shown = list(groups.items())
    if by == "round" and len(shown) > 6:  # rounds are a row of colours: its ends and middle tell the rest
        shown = [shown[0], shown[len(shown) // 2], shown[-1]]
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle="none", label=plain(name))
        for name, (_, look) in shown
    ]
    hollow = {"marker": "o", "linestyle": "none", "markerfacecolor": "none", "markeredgecolor": ink(theme)}
    handles += [
        Line2D([], [], label="draft", **hollow),  # type: ignore[arg-type]
        Line2D([], [], color=ink(theme), linestyle=(0, (4, 2)), linewidth=1.1, label="Pareto front"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=6)
