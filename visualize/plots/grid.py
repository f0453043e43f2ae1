"""The society as a map: a square for each agent, where it lives."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sandbox.errors import SettingsError, nearest
from sandbox.scenario.settings import GRIDS
from sandbox.store.run import Run
from visualize.drawing.cells import MARK_PT, Squares
from visualize.drawing.inputs import NO_ROUND, Source, as_run, final_scores, settled, unfinished_note
from visualize.drawing.style import (
    COLUMN_IN,
    PAGE_IN,
    Look,
    Theme,
    choice,
    empty_figure,
    finished,
    fold,
    ground,
    ink,
    label_order,
    looks,
    plain,
    rating_map,
    rating_norm,
    themed,
)

By = Literal["rating", "label", "gain"]
ROUNDS = ("last", "all", "strip")
STRIP_PANELS = 12
# So many squares a side can be told apart in a column.
COLUMN_CELLS = 20


def data(source: Source, *, by: By = "rating", rounds: str | int = "last") -> pd.DataFrame:
    """The numbers behind the map: one row an agent and panel.

    Args:
        source: A run or its folder.
        by: What squares are coloured by; the columns are the same for all.
        rounds: ``last``, ``all`` (means over rounds), ``strip`` (at most 12 rounds, evenly spaced), or a round's number.

    Returns:
        Columns panel (its title), agent, name, label, row, column (where it lived in the panel's last round), rating
        (mean of its final answers on the rubric's first dimension, in 1..scale) and gain (mean of revision minus
        draft); NaN where there is none.

    Raises:
        SettingsError: a setting has no such value, or the run no such round.
    """
    choice("by", by, get_args(By))
    return maps(as_run(source), rounds, STRIP_PANELS)


def maps(run: Run, rounds: str | int, most: int) -> pd.DataFrame:
    """What :func:`data` returns; a strip has ``most`` panels at most.

    Raises:
        SettingsError: there is no such round.
    """
    dimension, frame, agents = run.dimensions[0], settled(run), run.agents()[["agent", "name", "label"]]
    frame = frame.assign(
        rating=final_scores(frame, dimension), gain=frame[f"{dimension}_after"] - frame[f"{dimension}_before"]
    )
    parts = []
    for title, chosen in _panels(frame, rounds, unfinished_note(run), most):
        places = run.positions(int(chosen["round"].max())).rename(columns={"x": "row", "y": "column"})
        means = chosen.groupby("agent")[["rating", "gain"]].mean()
        part = agents.merge(places, on="agent").join(means, on="agent")
        part.insert(0, "panel", title)
        parts.append(part)
    columns = ["panel", "agent", "name", "label", "row", "column", "rating", "gain"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _panels(frame: pd.DataFrame, rounds: str | int, note: str, most: int) -> list[tuple[str, pd.DataFrame]]:
    number = int(rounds) if str(rounds).isdecimal() else None
    if number is None and rounds not in ROUNDS:
        known = ", ".join(ROUNDS)
        raise SettingsError(f"rounds={rounds!r} is not {known}, or a round's number.{nearest(str(rounds), ROUNDS)}")
    present = sorted(int(r) for r in frame["round"].unique())
    if not present:
        return []
    if number is not None and number not in present:
        raise SettingsError(f"rounds={number}: there are rounds {present[0]} to {present[-1]}")
    if rounds == "all":
        words = f"round {present[0]}" if len(present) == 1 else f"mean of rounds {present[0]} to {present[-1]}"
        return [(words + note, frame)]
    shown = present[-1:] if number is None else [number]
    if rounds == "strip":
        evenly = np.linspace(0, len(present) - 1, min(len(present), most)).round().astype(int)
        shown = [present[i] for i in evenly]
    return [(f"round {r}{note}", frame[frame["round"] == r]) for r in shown]


def draw(source: Source, *, by: By = "rating", rounds: str | int = "last", theme: Theme = "light") -> Figure:
    """The society as a map: each agent's square coloured by its rating, gain or label.

    Ratings are observers' of final answers on the rubric's first dimension; a hatched square has none. Each label has a
    mark of its own. Agents who share a place stand side by side in it.

    Args:
        source: A run or its folder.
        by: ``rating``, ``gain`` (revision minus draft) or ``label``.
        rounds: ``last``, ``all`` (means over rounds), ``strip`` (one map a round, at most 12, evenly spaced), or a
            round's number.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: a setting has no such value, or the run no such round.
    """
    run = as_run(source)
    with themed(theme):
        table = data(run, by=by, rounds=rounds)
        if table.empty:
            return empty_figure(NO_ROUND)
        table, shape = spread(table, run)
        panels = list(table.groupby("panel", sort=False))
        across = min(len(panels), 4)
        down = math.ceil(len(panels) / across)
        width = PAGE_IN if across > 1 else COLUMN_IN if max(shape) <= COLUMN_CELLS else PAGE_IN * 0.75
        side_in = min((width - 0.8) / across, 7.5 / down) / max(shape)  # of a square
        figure = Figure(
            figsize=(width, down * (side_in * shape[0] + 0.3) + 0.35 + 0.2 * (across > 1)), layout="constrained"
        )
        axes = figure.subplots(down, across, squeeze=False).ravel()
        label_looks = looks(label_order(table["label"]))
        squares = squares_of(by, run, table, label_looks, theme)
        for ax, (title, panel) in zip(axes, panels, strict=False):
            values = panel["label"].map(list(label_looks).index) + 0.5 if by == "label" else panel[by]
            squares.paint(ax, panel, values.astype(float).to_numpy(), shape, 72 * side_in)
            ax.set_title(fold(f"{subject(by, run)}, {title}") if across == 1 else str(title))
        if across > 1:
            figure.suptitle(subject(by, run), x=0.01, ha="left", weight="bold", size="medium")
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        if by != "label":
            bar = figure.colorbar(axes[0].images[0], ax=list(axes), shrink=0.8, pad=0.02, aspect=25)
            bar.set_label(_measure(by, run))
            bar.outline.set_linewidth(0)  # type: ignore[operator, union-attr]
        has_marks = len(label_looks) > 1 and 72 * side_in >= MARK_PT
        legend(figure, label_looks, theme, by, has_marks, by != "label" and bool(table[by].isna().any()))
        return finished(figure)


def spread(table: pd.DataFrame, run: Run) -> tuple[pd.DataFrame, tuple[int, int]]:
    """Divide every place into as many squares as the fullest needs, so that each agent has one; and the map's shape."""
    homes = ["panel", "row", "column"]
    most = int(table.groupby(homes)["agent"].size().max())
    parts = math.ceil(math.sqrt(most))
    slot = table.groupby(homes).cumcount()
    # Empty places at the edges of a grid are part of it; the nodes of a network only stand in rows.
    on_grid = run.manifest.get("settings", {}).get("neighborhood") in GRIDS
    side = int(run.manifest["size"]) if on_grid else 1
    shape = tuple(parts * max(side, int(table[axis].max()) + 1) for axis in ("row", "column"))
    apart = table.assign(row=table["row"] * parts + slot // parts, column=table["column"] * parts + slot % parts)
    return apart, (shape[0], shape[1])


def subject(by: By, run: Run) -> str:
    """What a map shows, in words."""
    name = plain(run.dimensions[0])
    return {"rating": f"{name} of final answers", "gain": f"gain in {name}", "label": "labels"}[by]


def _measure(by: By, run: Run) -> str:
    name = plain(run.dimensions[0])
    return f"{name}, revision minus draft" if by == "gain" else f"{name} (1 to {run.scale})"


def squares_of(by: By, run: Run, table: pd.DataFrame, label_looks: dict[str, Look], theme: Theme) -> Squares:
    """How the squares of a map are painted."""
    if by == "label":
        colours = ListedColormap([look.colour for look in label_looks.values()])
        return Squares(colours, Normalize(0, len(label_looks)), "", label_looks, theme)
    if by == "rating":
        return Squares(rating_map(), rating_norm(run.scale), "{:.1f}", label_looks, theme)
    reach = max(1.0, float(np.nan_to_num(table["gain"].abs().max())))
    return Squares(rating_map(), Normalize(-reach, reach), "{:+.1f}", label_looks, theme)


def legend(
    figure: Figure, label_looks: dict[str, Look], theme: Theme, by: By, has_marks: bool, has_unknown: bool
) -> None:
    """Say under a map what marks and hatches mean."""
    handles: list[Line2D | Patch] = []
    for label, look in label_looks.items():
        if has_marks or by == "label":
            mark = {"marker": look.marker, "markeredgecolor": ink(theme)}
            mark |= {"markerfacecolor": look.colour if by == "label" else "none"}
            handles.append(Line2D([], [], linestyle="none", label=plain(label), **mark))
    if has_unknown:
        handles.append(Patch(facecolor=ground(theme), edgecolor="#8a929b", hatch="/////", label="no rating"))
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 4))
