"""Animation of a run: its map round by round, beside the ratings so far."""

from __future__ import annotations

import io
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image

from sandbox.errors import NothingToShow, SettingsError, ToolNotFound
from sandbox.folders import whole_file
from sandbox.store.run import Run
from visualize.drawing.agent_values import (
    bar_ends,
    bar_title,
    check_limits,
    default_by,
    find_by,
    is_grouped,
    values_title,
)
from visualize.drawing.curves import set_round_axis, y_limits
from visualize.drawing.inputs import Source, as_run
from visualize.drawing.legends import fit_legend
from visualize.drawing.map_plan import MapPlan, make_plan
from visualize.drawing.network import drawn_network, place_at_nodes
from visualize.drawing.saving import output_settings
from visualize.drawing.style import (
    DRAFT,
    PAGE_IN,
    REVISION,
    Theme,
    fix_ticks,
    one_line,
    use_theme,
)
from visualize.plots import grid, measures, ratings

SUFFIXES = (".gif", ".mp4")
# Maximum number of frames; of longer runs, evenly spaced rounds are shown.
FRAMES = 200
_DPI = 140


def animate(
    source: Source,
    out: str | Path,
    *,
    by: str = "rating",
    seconds: float = 0.8,
    limits: tuple[float, ...] | None = None,
    theme: Theme = "light",
) -> Path:
    """Write a run as an animation, one frame per complete round.

    Args:
        source: A run or its folder.
        out: A ``.gif`` file, or an ``.mp4`` file if ffmpeg is installed; missing folders are created.
        by: Colour of agents: ``rating``, a dimension, ``gain``, ``label``, a column of the personas, ``state.KEY`` or
            ``extra.KEY``, as on the map.
        seconds: Duration of a frame.
        limits: Lowest and highest value of the colours; by default the scale of ratings, or the range of the values.
        theme: ``light`` or ``dark``.

    Raises:
        NothingToShow: no round is complete.
        SettingsError: a setting is invalid, or ``out`` has another suffix.
        ToolNotFound: ``out`` is an .mp4 file and ffmpeg is not installed.
    """
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"{path.name!r} does not end in {' or '.join(SUFFIXES)}; choose one of them")
    if not 0.02 <= seconds <= 60:
        raise SettingsError(f"seconds={seconds} must be from 0.02 to 60")
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise ToolNotFound("an .mp4 file needs ffmpeg, which is not installed; install it, or write a .gif")
    run = as_run(source)
    if not run.rounds:
        raise NothingToShow(f"{run.path} has no complete round to animate; list runs with: sandbox ls runs")
    check_limits(limits, by := find_by(by, run))
    write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
    with whole_file(path) as fresh:
        write(fresh, frames(run, by=by, limits=limits, theme=theme), seconds)
    return path


def note(source: Source, *, by: str = "rating") -> str:
    """What is to be said of an animation: that rounds are left out, or what is shown in the place of ratings; else empty."""
    run = as_run(source)
    words = []
    if run.rounds > FRAMES:
        words.append(f"{FRAMES} of {run.rounds:,} rounds are shown, evenly spaced")
    has_ratings = bool(grid.panel_table(run, "strip", FRAMES)["rating"].notna().any())
    if (shown := default_by(by, run, has_ratings)) != by:
        words.append(
            f"no answer was rated, so agents are coloured by {shown}; --set by=KEY colours them by something else"
        )
    return "; ".join(words)


def frames(
    run: Run, *, by: str = "rating", limits: tuple[float, ...] | None = None, theme: Theme = "light"
) -> Iterator[Image.Image]:
    """Yield the frames of an animation, all of the same size."""
    by = find_by(by, run)
    table = grid.panel_table(run, "strip", FRAMES, by)
    if by != (by := default_by(by, run, bool(table["rating"].notna().any()))):
        table = grid.in_view(run, grid.panel_table(run, "strip", FRAMES, by), by)
    if (graph := drawn_network(run)) is not None:
        table = place_at_nodes(table, graph)
    if by != "label":
        check_limits(limits, by, is_groups=is_grouped(by, table[by]))
    plan = make_plan(run, table, by, theme, limits)
    for _, panel in plan.table.groupby("panel", sort=False):
        round_ = int(panel["through"].max()) - 1
        with use_theme(theme):
            figure = Figure(figsize=(PAGE_IN, 3.6))
            _map(figure, plan, panel, values_title(by, run), round_)
            _curves(figure.add_axes((0.67, 0.18, 0.315, 0.73)), run, round_)
            fix_ticks(figure)
        buffer = io.BytesIO()
        with output_settings():
            figure.savefig(buffer, format="png", dpi=_DPI)
        yield Image.open(buffer).convert("RGB")


def _map(figure: Figure, plan: MapPlan, panel: pd.DataFrame, title: str, round_: int) -> None:
    """Draw the map of a round on the left; colours and legends are those of all rounds, so that they do not change."""
    place = figure.add_axes((0.01, 0.13, 0.44, 0.78))
    height, width = plan.shape
    side_in = min(PAGE_IN * 0.44 / width, 3.6 * 0.78 / height)
    plan.paint(place, panel, side_in)
    place.set_title(f"{title}, round {round_ + 1}")
    if plan.by != "label":
        bar = figure.add_axes((0.465, 0.18, 0.012, 0.68))
        colours = ScalarMappable(plan.painter.norm, plan.painter.colours)
        ends = bar_ends(plan.painter.norm, plan.table[plan.by])
        scale = figure.colorbar(colours, cax=bar, extend=ends)
        scale.set_label("\n".join(textwrap.wrap(bar_title(plan.by, plan.run), 44)))
        scale.outline.set_linewidth(0)  # type: ignore[operator]
    fit_legend(figure, plan.legend(72 * side_in), loc="lower left", most=4)


def _curves(ax: Axes, run: Run, round_: int) -> None:
    """Draw the mean ratings up to a round; without ratings the first panel of the scenario's own measures."""
    table = ratings.data(run)
    table = table[table["dimension"] == run.dimensions[0]]
    shown = measures.panels(run)
    if table["mean"].isna().all() and shown:
        title, names = next(iter(shown.items()))
        rows = measures.data(run)
        measures.draw_panel(ax, run, rows.assign(value=rows["value"].where(rows["round"] <= round_)), title, names)
        low, high = measures.axis_limits(run, names, rows[rows["measure"].isin(names)]["value"])
        known = rows[rows["measure"].isin(names)]["value"].dropna()
        if len(known):  # the same in every frame
            edge = 0.05 * (known.max() - known.min() or 1.0)
            ax.set_ylim(known.min() - edge if low is None else low, known.max() + edge if high is None else high)
        return
    for answer, colour, marker, line in (("draft", DRAFT, "s", "--"), ("revision", REVISION, "o", "-")):
        mine = table[(table["answer"] == answer) & (table["round"] <= round_)]
        ax.plot(mine["round"], mine["mean"], color=colour, linestyle=line, label=answer)
        ax.plot(mine["round"].tail(1), mine["mean"].tail(1), color=colour, marker=marker)
    set_round_axis(ax, table)
    ax.set_title(f"mean {one_line(run.dimensions[0], 24)}")
    ax.set_ylabel(f"mean rating (1 to {run.scale})")
    ax.set_ylim(y_limits(table.assign(low=table["mean"], high=table["mean"]), 1.0, float(run.scale), 1.0))
    ax.legend(loc="best")


def _write_gif(path: Path, pictures: Iterator[Image.Image], seconds: float) -> None:
    first, *others = [picture.quantize(256, dither=Image.Dither.NONE) for picture in pictures]
    first.save(
        path, format="GIF", save_all=True, append_images=others, duration=round(1000 * seconds), loop=0, disposal=2
    )


def _write_mp4(path: Path, pictures: Iterator[Image.Image], seconds: float) -> None:
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "image2pipe", "-framerate", f"{1 / seconds:.6f}", "-i", "-"]
    # Players need even sides, this pixel format, and more than one frame per second.
    command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-r", "25", str(path)]
    stills = io.BytesIO()
    for picture in pictures:
        picture.save(stills, format="PNG")
    done = subprocess.run(command, input=stills.getvalue(), capture_output=True, check=False)
    if done.returncode:
        raise ToolNotFound(
            f"ffmpeg could not write the animation: {done.stderr.decode(errors='replace').strip()[-300:]}"
        )
