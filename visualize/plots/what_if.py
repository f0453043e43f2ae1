"""Two futures of a run, without and with an event: what is measured of each over the rounds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sandbox.errors import DataFileError
from sandbox.metrics.intervals import mean_interval
from sandbox.records import names_agent
from sandbox.storage_errors import read_as_written
from sandbox.store.run import Run, open_run
from visualize.drawing.curves import draw_curve, set_round_axis
from visualize.drawing.inputs import Source, read_result
from visualize.drawing.style import Theme, empty_figure, fix_ticks, label_styles, make_panels, one_line, use_theme

FUTURES = ("without", "with")
COLUMNS = ("measure", "round", "future", "mean", "low", "high", "n")
_MAX_PANELS = 12


def data(source: Source) -> pd.DataFrame:
    """The data of the plot: one row for each measure, round and future.

    Args:
        source: The folder of a what-if; or a folder of several, with one event and other seeds.

    Returns:
        Columns measure (a dimension of the rubric, ``rating``, an own measure, or ``state.KEY``, the mean over the agents,
        unless an own measure is the same),
        round (from 0), future (``without`` or ``with``), mean over the seeds, low and high (95% Student's t interval over
        seeds; NaN for a single one) and n (number of seeds).

    Raises:
        DataFileError: the folder contains no ``what_if.json``, or some with other events.
    """
    rows = []
    for folder, _ in _found(source):
        futures = {future: open_run(folder / future) for future in FUTURES}
        measured = {future: _measured(run) for future, run in futures.items()}
        repeated = _repeated(measured, futures[FUTURES[0]].own_measures)
        for future, of in measured.items():
            for measure, values in of.items():
                if measure in repeated:
                    continue
                rows += [(measure, r, future, value) for r, value in enumerate(values) if value is not None]
    table = pd.DataFrame(rows, columns=["measure", "round", "future", "value"])
    found = []
    for key, own in table.groupby(["measure", "round", "future"], sort=False)["value"]:
        interval = mean_interval(own.tolist())
        low, high = (interval.low, interval.high) if len(own) > 1 else (math.nan, math.nan)
        found.append((*key, interval.mean, low, high, len(own)))
    return pd.DataFrame(found, columns=list(COLUMNS))


def draw(source: Source, *, theme: Theme = "light") -> Figure:
    """Measures of the futures without and with an event over the rounds, one panel each; the dotted line is the event.

    Of several what-ifs in one folder, with other seeds, lines are means, and bars 95% intervals over the seeds.

    Args:
        source: The folder of a what-if; or a folder of several, with one event and other seeds.
        theme: ``light`` or ``dark``.

    Raises:
        DataFileError: the folder contains no ``what_if.json``, or some with other events.
        SettingsError: the theme is unknown.
    """
    found = _found(source)
    with use_theme(theme), read_as_written(f"the what-if in {source}"):
        table = data(source)
        names = list(dict.fromkeys(table["measure"]))[:_MAX_PANELS]
        if not names:
            return empty_figure("nothing was measured in any round")
        figure, axes = make_panels(len(names), 2.1, extra_in=0.6)
        start = int(found[0][1]["rounds"][0])
        for ax, name in zip(axes, names, strict=True):
            _panel(ax, table[table["measure"] == name], start)
            ax.set_title(one_line(name))
            set_round_axis(ax, table)
        handles, words = axes[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside lower left", ncols=2)
        figure.suptitle(_title(found), fontsize="medium", x=0.01, ha="left")
        return fix_ticks(figure)


def _panel(ax: Axes, rows: pd.DataFrame, start: int) -> None:
    for place, (future, style) in enumerate(label_styles(FUTURES).items()):
        own = rows[rows["future"] == future].sort_values("round")
        draw_curve(ax, own, f"{future} the event", style, shift=0.08 * (place - 0.5))
    ax.axvline(start - 0.5, color=ax.spines["left"].get_edgecolor(), linewidth=0.8, linestyle=":")


def _title(found: list[tuple[Path, dict[str, Any]]]) -> str:
    event = found[0][1]["event"]
    text = str(event.get("text") or event.get("function") or "the event")
    seeds = "" if len(found) == 1 else f", {len(found)} seeds"
    return one_line(f"{text} (before round {found[0][1]['rounds'][0] + 1}{seeds})", 90)


def _found(source: Source) -> list[tuple[Path, dict[str, Any]]]:
    """The what-ifs of a folder, with the content of their files."""
    folder = source.path if isinstance(source, Run) else Path(source)
    own = (folder / "what_if.json").is_file()
    folders = [folder] if own else sorted(path.parent for path in folder.glob("*/what_if.json"))
    found = [(one, read_result(one, "what_if")) for one in folders or [folder]]
    about = {(str(of["event"]), of["rounds"][0]) for _, of in found}
    if len(about) > 1:
        raise DataFileError(
            f"{folder} holds what-ifs of {len(about)} different events or rounds; one figure takes those of one event with "
            "several seeds: give the folder of one of them"
        )
    return found


def _repeated(measured: dict[str, dict[str, list[float | None]]], own: Iterable[str]) -> set[str]:
    """The means of states that are the same as a measure of the scenario's own in both futures: one panel shows both."""

    def is_same(state: str, measure: str) -> bool:
        pairs = [pair for found in measured.values() for pair in zip(found[state], found[measure], strict=True)]
        return all(a == b or (None not in (a, b) and math.isclose(a, b, rel_tol=1e-9)) for a, b in pairs)  # type: ignore[arg-type]

    shared = set.intersection(*map(set, measured.values()))
    states = {name for name in shared if name.startswith("state.")}
    return {state for state in states for measure in shared & set(own) if is_same(state, measure)}


def _measured(run: Run) -> dict[str, list[float | None]]:
    """What is measured of a future, by round: the rubric's dimensions, the rating, own measures, and numbers in states."""
    metrics = run.metrics()
    names = [*run.dimensions, "rating", *run.own_measures]
    found = {name: [of.get(name) for of in metrics] for name in names}
    states = run.states()
    means = states[states["agent"] >= 0].drop(columns="agent").groupby("rounds").mean(numeric_only=True)
    for key in means.columns if len(means) else ():
        if names_agent(str(key)):
            continue
        values = [means[key].get(after) for after in range(1, len(metrics) + 1)]
        found[f"state.{key}"] = [None if value is None or math.isnan(value) else float(value) for value in values]
    return {name: values for name, values in found.items() if any(value is not None for value in values)}
