"""Trade-off between two dimensions of the rubric: final answers and their Pareto front."""

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
from visualize.drawing.agent_values import shown_labels
from visualize.drawing.inputs import NO_ROUND, Source, as_run, final_scores, finished_rounds, unfinished_note
from visualize.drawing.legends import fit_legend
from visualize.drawing.style import (
    PAGE_IN,
    LabelStyle,
    Theme,
    background,
    check_choice,
    empty_figure,
    fix_ticks,
    foreground,
    label_order,
    label_styles,
    one_line,
    rating_colormap,
    use_theme,
)

By = Literal["label", "round"]


def data(source: Source, *, by: By = "label", x: str | None = None, y: str | None = None) -> pd.DataFrame:
    """The data of the plot: one row per interaction with a final score on both dimensions.

    Args:
        source: A run or its folder.
        by: Groups of the arrows; does not change the data.
        x: A dimension of the rubric; by default the first.
        y: Another dimension; by default the second.

    Returns:
        Columns round, agent, label, draft_x, draft_y (NaN if the draft has no score), final_x, final_y and
        on_front: whether no other final answer dominates it.

    Raises:
        SettingsError: ``by`` is invalid, or the rubric has no such dimension.
    """
    check_choice("by", by, get_args(By))
    run = as_run(source)
    columns = ["round", "agent", "label", "draft_x", "draft_y", "final_x", "final_y"]
    axes = _dimensions(run, x, y)
    if axes is None:
        return pd.DataFrame(columns=[*columns, "on_front"])
    frame = finished_rounds(run)
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
    if x is not None and x == y:
        raise SettingsError(f"x={x!r} and y={y!r} are the same dimension; give two of {', '.join(known)}")
    first = x or next((d for d in known if d != y), known[0])
    second = y or next((d for d in known if d != first), None)
    return None if second is None else (first, second)


def draw(
    source: Source, *, by: By = "label", x: str | None = None, y: str | None = None, theme: Theme = "light"
) -> Figure:
    """Alignment against engagement: final answers with their Pareto front, and an arrow from draft to final answer.

    Left, points are final answers, larger if several have the same scores; the stepped line is their Pareto front.
    Right, enlarged, an arrow for each label or round from the mean draft to the mean final answer.

    Args:
        source: A run or its folder.
        by: Groups of the arrows: ``label`` or ``round``.
        x: Dimension of the horizontal axis; by default the first of the rubric.
        y: Dimension of the vertical axis; by default the second of the rubric.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: a setting is invalid, or the rubric has no such dimension.
    """
    run = as_run(source)
    with use_theme(theme):
        table = data(run, by=by, x=x, y=y)
        names = _dimensions(run, x, y)
        if names is None:
            return empty_figure("the rubric has one dimension;\na Pareto front needs two")
        if table.empty:
            return empty_figure(NO_ROUND if finished_rounds(run).empty else "no answer was rated on both dimensions")
        figure = Figure(figsize=(PAGE_IN, 3.6), layout="constrained")
        cloud, means = figure.subplots(1, 2)
        groups = _groups(table.assign(label=shown_labels(run, table["label"])), by)
        _points(cloud, groups, len(table), theme)
        _front(cloud, table, run.scale, theme)
        cloud.set_title(f"final answers{unfinished_note(run)}")
        cloud.set(xlim=(0.8, run.scale + 0.2), ylim=(0.8, run.scale + 0.2))
        _arrows(means, groups, by, theme)
        of = "all agents" if by == "label" and len(groups) == 1 else f"each {by}"
        means.set_title(f"mean of {of}, draft to final answer")
        means.set(**_zoom(table, groups))
        for ax in (cloud, means):
            ax.set(xlabel=f"{one_line(names[0])} (1 to {run.scale})", ylabel=f"{one_line(names[1])} (1 to {run.scale})")
            ax.set_aspect("equal")
            ax.grid()
        _legend(figure, groups, by, theme)
        return fix_ticks(figure)


def _groups(table: pd.DataFrame, by: By) -> dict[str, tuple[pd.DataFrame, LabelStyle]]:
    if by == "label":
        found = label_styles(label_order(table["label"]))
        return {label: (table[table["label"] == label], style) for label, style in found.items()}
    rounds = sorted(int(r) for r in table["round"].unique())
    # Colours follow the order of rounds: earliest darkest.
    steps = rating_colormap()(np.linspace(0, 1, max(len(rounds), 2)))
    return {
        f"round {r + 1}": (table[table["round"] == r], LabelStyle(tuple(steps[i]), "o", "-", ""))  # type: ignore[arg-type]
        for i, r in enumerate(rounds)
    }


def _points(ax: Axes, groups: dict[str, tuple[pd.DataFrame, LabelStyle]], n_points: int, theme: Theme) -> None:
    faintest, strongest = (0.15, 0.7) if theme == "light" else (0.35, 0.9)  # faint colours vanish on a dark page
    alpha = float(np.clip(12 / np.sqrt(n_points), faintest, strongest))
    for name, (rows, style) in groups.items():
        counts = rows.groupby(["final_x", "final_y"]).size().reset_index(name="n")
        ax.scatter(
            counts["final_x"], counts["final_y"], s=9 * counts["n"] ** 0.7, marker=style.marker, color=style.colour,
            alpha=alpha, linewidths=0, label=one_line(name),
        )  # fmt: skip


def _front(ax: Axes, table: pd.DataFrame, scale: int, theme: Theme) -> None:
    """The front as a staircase that extends to the edges of the axes."""
    best = table[table["on_front"]].drop_duplicates(["final_x", "final_y"]).sort_values("final_x")
    x, y = best["final_x"].to_numpy(dtype=float), best["final_y"].to_numpy(dtype=float)
    ax.step(
        [0.0, *x, x[-1]], [y[0], *y, 0.0], where="pre", color=foreground(theme), linewidth=1.1, linestyle=(0, (4, 2)),
        label="Pareto front", zorder=3,
    )  # fmt: skip


def _means(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Mean draft and mean final answer over the answers that have both. Shape [2 answers, 2 dimensions]."""
    both = rows.dropna(subset=["draft_x", "draft_y"])
    return both[["draft_x", "draft_y", "final_x", "final_y"]].to_numpy(dtype=float).mean(axis=0).reshape(2, 2)


def _arrows(ax: Axes, groups: dict[str, tuple[pd.DataFrame, LabelStyle]], by: By, theme: Theme) -> None:
    for name, (rows, style) in groups.items():
        if rows[["draft_x", "draft_y"]].isna().any(axis=1).all():
            continue
        start, end = _means(rows)
        ax.plot(
            *start, marker=style.marker, color=style.colour, markerfacecolor=background(theme), markersize=5, zorder=5
        )
        arrow = FancyArrowPatch(
            tuple(start), tuple(end), color=style.colour, linewidth=1.8, arrowstyle="-|>", mutation_scale=9, shrinkA=3,
            shrinkB=0, linestyle="-", zorder=4,
        )  # fmt: skip
        arrow.set_label(name)
        ax.add_patch(arrow)
        if by == "round" and len(groups) <= 12:
            words = name.removeprefix("round ")
            ax.annotate(words, tuple(start), xytext=(-4, 4), textcoords="offset points", ha="right", size="small")


def _zoom(table: pd.DataFrame, groups: dict[str, tuple[pd.DataFrame, LabelStyle]]) -> dict[str, tuple[float, float]]:
    """Square limits around all arrows, at least 0.4 rating points wide."""
    both = table.dropna(subset=["draft_x", "draft_y"])
    if both.empty:
        return {}
    chosen = [_means(rows) for _, (rows, _) in groups.items() if rows[["draft_x", "draft_y"]].notna().all(axis=1).any()]
    ends = np.concatenate(chosen)
    centre = (ends.min(axis=0) + ends.max(axis=0)) / 2
    half = max(0.2, float((ends.max(axis=0) - ends.min(axis=0)).max()) * 0.65)
    return {"xlim": (centre[0] - half, centre[0] + half), "ylim": (centre[1] - half, centre[1] + half)}


def _legend(figure: Figure, groups: dict[str, tuple[pd.DataFrame, LabelStyle]], by: By, theme: Theme) -> None:
    shown = list(groups.items())
    if by == "round" and len(shown) > 6:  # colours of rounds are in order: the first, middle and last are enough
        shown = [shown[0], shown[len(shown) // 2], shown[-1]]
    handles = [
        Line2D([], [], color=style.colour, marker=style.marker, linestyle="none", label=one_line(name))
        for name, (_, style) in shown
    ]
    hollow = {"marker": "o", "linestyle": "none", "markerfacecolor": "none", "markeredgecolor": foreground(theme)}
    handles += [
        Line2D([], [], label="mean draft", **hollow),  # type: ignore[arg-type]
        Line2D([], [], color=foreground(theme), linestyle=(0, (4, 2)), linewidth=1.1, label="Pareto front"),
    ]
    fit_legend(figure, handles)
