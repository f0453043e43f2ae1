"""Map of a society: a square for each agent at its position on the grid, or a marker at its node of the network."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sandbox.errors import SettingsError, nearest
from sandbox.store.run import Run
from visualize.drawing.agent_values import (
    bar_ends,
    bar_title,
    check_limits,
    default_by,
    find_by,
    is_grouped,
    is_whole,
    shown_labels,
    values_title,
)
from visualize.drawing.inputs import NO_ROUND, Source, as_run, final_scores, finished_rounds, unfinished_note
from visualize.drawing.legends import fit_legend
from visualize.drawing.map_plan import make_plan
from visualize.drawing.network import drawn_network, place_at_nodes
from visualize.drawing.persona_columns import PERSONA, persona_values
from visualize.drawing.scenario_values import (
    EXTRA,
    STATE,
    extra_values,
    grouped_words,
    mean_or_most_frequent,
    state_values,
)
from visualize.drawing.style import (
    COLUMN_IN,
    PAGE_IN,
    Theme,
    empty_figure,
    fix_ticks,
    use_theme,
    wrap_title,
)

ROUNDS = ("last", "all", "strip")
STRIP_PANELS = 12
# Maximum side of a map, and number of nodes of a network, that are readable in one column.
COLUMN_CELLS, COLUMN_NODES = 20, 25


def data(source: Source, *, by: str = "rating", rounds: str | int = "last") -> pd.DataFrame:
    """The data of the plot: one row per agent and panel.

    Args:
        source: A run or its folder.
        by: Colour of squares.
        rounds: ``last``, ``all`` (means over rounds), ``strip`` (at most 12 rounds, evenly spaced), or the number of a round,
            from 1.

    Returns:
        Columns panel (its title), through (number of complete rounds when it ends), agent, name, label, row, column (position
        in the panel's last round), rating (mean of its final answers on the rubric's first dimension, in 1..scale) and gain
        (mean of revision minus draft), NaN if there is none; the dimension or extra.KEY (means, or the
        most frequent word), or persona.COLUMN, if ``by`` is one; and state.KEY for each number or word in the agents' states,
        after the panel's last round. Of a network of up to 1,000 nodes also node, x and y (where it is
        drawn).

    Raises:
        SettingsError: a setting is invalid, or the run has no such round.
    """
    run = as_run(source)
    by = find_by(by, run)
    table, graph = panel_table(run, rounds, STRIP_PANELS, by), drawn_network(run)
    return table if graph is None else place_at_nodes(table, graph)


def panel_table(run: Run, rounds: str | int, max_panels: int, by: str = "rating") -> pd.DataFrame:
    """The result of :func:`data` without the positions in a network; a strip has at most ``max_panels`` panels.

    Raises:
        SettingsError: the run has no such round.
    """
    dimension, frame, agents = run.dimensions[0], finished_rounds(run), run.agents()[["agent", "name", "label"]]
    frame = frame.assign(
        rating=final_scores(frame, dimension), gain=frame[f"{dimension}_after"] - frame[f"{dimension}_before"]
    )
    parts, states, shown = [], state_values(run).apply(grouped_words), ["rating", "gain"]
    if by in run.dimensions[1:]:
        frame, shown = frame.assign(**{by: final_scores(frame, by)}), [*shown, by]
    if by.startswith(EXTRA):
        frame, shown = frame.join(grouped_words(extra_values(run)[by]), on=["round", "agent"]), [*shown, by]
    people = [by] if by.startswith(PERSONA) else []
    if people:
        agents = agents.assign(**{by: agents["agent"].map(persona_values(run, by))})
    for title, rows in _panels(frame, rounds, unfinished_note(run), max_panels):
        positions = run.positions(int(rows["round"].max())).rename(columns={"x": "row", "y": "column"})
        means = pd.DataFrame({name: mean_or_most_frequent(rows[name], rows["agent"]) for name in shown})
        part = agents.merge(positions, on="agent").join(means, on="agent")
        if len(states.columns):
            after = states.index.get_level_values("rounds") == int(rows["round"].max()) + 1
            part = part.join(states[after].droplevel("rounds"), on="agent")  # those that were removed have none
        part.insert(0, "panel", title)
        part.insert(1, "through", int(rows["round"].max()) + 1)
        parts.append(part)
    columns = ["panel", "through", "agent", "name", "label", "row", "column", *shown, *people, *states.columns]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _panels(frame: pd.DataFrame, rounds: str | int, note: str, max_panels: int) -> list[tuple[str, pd.DataFrame]]:
    number = int(rounds) - 1 if str(rounds).isdecimal() else None  # rounds are shown from 1, and recorded from 0
    if number is None and rounds not in ROUNDS:
        known = ", ".join(ROUNDS)
        raise SettingsError(
            f"rounds={rounds!r} is not {known}, or the number of a round.{nearest(str(rounds), ROUNDS)}"
        )
    present = sorted(int(r) for r in frame["round"].unique())
    if not present:
        return []
    if number is not None and number not in present:
        raise SettingsError(
            f"rounds={rounds} is not in the run, which has rounds {present[0] + 1} to {present[-1] + 1}"
        )
    if rounds == "all":
        first, last = present[0] + 1, present[-1] + 1
        words = f"round {first}" if first == last else f"mean of rounds {first} to {last}"
        return [(words + note, frame)]
    shown = present[-1:] if number is None else [number]
    if rounds == "strip":
        evenly = np.linspace(0, len(present) - 1, min(len(present), max_panels)).round().astype(int)
        shown = [present[i] for i in evenly]
    return [(f"round {r + 1}{note}", frame[frame["round"] == r]) for r in shown]


def _when(title: str, by: str, through: int) -> str:
    """The title of a panel: what stands for the mean over rounds where what is shown has none."""
    if not title.startswith("mean of "):
        return title
    if by == "label" or by.startswith(PERSONA):
        return title.removeprefix("mean of ")
    return f"after round {through}" if by.startswith(STATE) else title.replace("mean of", "most frequent in", 1)


def in_view(run: Run, table: pd.DataFrame, by: str) -> pd.DataFrame:
    """A table for the view that was chosen where there are no ratings: its labels are one where they mean nothing."""
    return table.assign(label=shown_labels(run, table["label"])) if by == "label" else table


def draw(
    source: Source,
    *,
    by: str = "rating",
    rounds: str | int = "last",
    limits: tuple[float, ...] | None = None,
    theme: Theme = "light",
) -> Figure:
    """Map of a society: a square for each agent, or its node in the network, coloured by rating, gain, label, persona or state.

    Ratings are those of observers for final answers on the first dimension of the rubric; squares without one are
    hatched, and those whose last agent was removed are crossed. Each label has its own marker, on maps of at most 20 squares
    a side; those of at most 6 show the agents' names, where they have names. Agents in the same cell are drawn side by side.
    A network of up to 1,000 nodes is
    drawn with its links, whose widths are their weights, as arrows where agents hear their successors or predecessors, and
    with the names of agents, or of those with the most links; larger ones, and those of older runs, as squares in rows.

    Args:
        source: A run or its folder.
        by: ``rating``, a dimension of the rubric, ``gain`` (revision minus draft), ``label``, a column of the personas
            (``COLUMN`` or ``persona.COLUMN``), ``state.KEY``, a number or word in the agents' states, or ``extra.KEY``, one
            in ``Interaction.extra``. Without ratings, ``rating`` is the first of these, or else the label.
        rounds: ``last``, ``all`` (means over rounds), ``strip`` (one map per round, at most 12, evenly spaced), or the
            number of a round.
        limits: Lowest and highest value of the colours; by default the scale of ratings, or the range of the values.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: a setting is invalid, or the run has no such round.
    """
    run = as_run(source)
    check_limits(limits, by := find_by(by, run))
    with use_theme(theme):
        table = data(run, by=by, rounds=rounds)
        if table.empty:
            return empty_figure(NO_ROUND)
        if by != (by := default_by(by, run, bool(table["rating"].notna().any()))):
            table = in_view(run, data(run, by=by, rounds=rounds), by)
        shown = "agents" if by == "label" and table["label"].nunique() == 1 else values_title(by, run)
        if by != "label":
            check_limits(limits, by, is_groups=is_grouped(by, table[by]))
        plan = make_plan(run, table, by, theme, limits)
        panels = list(plan.table.groupby("panel", sort=False))
        across = min(len(panels), 4)
        down = math.ceil(len(panels) / across)
        is_small = max(plan.shape) <= COLUMN_CELLS if plan.graph is None else len(plan.graph) <= COLUMN_NODES
        width = PAGE_IN if across > 1 else COLUMN_IN if is_small else PAGE_IN * 0.75
        # Side of a square; of a network, its whole width.
        side_in = min((width - 0.8) / across, 7.5 / down) / max(plan.shape)
        figure = Figure(
            figsize=(width, down * (side_in * plan.shape[0] + 0.3) + 0.35 + 0.2 * (across > 1)), layout="constrained"
        )
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for ax, (title, panel) in zip(axes, panels, strict=False):
            plan.paint(ax, panel, side_in)
            is_mean = plan.by != "label" and not by.startswith(STATE)
            words = str(title) if is_mean else _when(str(title), by, int(panel["through"].max()))
            ax.set_title(wrap_title(f"{shown}, {words}") if across == 1 else words)
        if across > 1:
            figure.suptitle(shown, x=0.01, ha="left", weight="bold", size="medium")
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        if plan.by != "label":
            coloured = ScalarMappable(plan.painter.norm, plan.painter.colours)
            ends = bar_ends(plan.painter.norm, table[by])
            bar = figure.colorbar(coloured, ax=list(axes), shrink=0.8, pad=0.02, aspect=25, extend=ends)
            bar.set_label("\n".join(textwrap.wrap(bar_title(by, run), 44)))
            if is_whole(table[by]):
                bar.locator = MaxNLocator(integer=True)
            bar.outline.set_linewidth(0)  # type: ignore[operator, union-attr]
        fit_legend(figure, plan.legend(72 * side_in), most=4)
        return fix_ticks(figure)
