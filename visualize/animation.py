"""Animation of a run: its map round by round, beside the ratings so far."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from sandbox.errors import NothingToShow, SettingsError, ToolNotFound
from sandbox.folders import whole_file
from sandbox.store.run import Run
from visualize.drawing.curves import set_round_axis, y_limits
from visualize.drawing.inputs import Source, as_run
from visualize.drawing.saving import output_settings
from visualize.drawing.style import (
    DRAFT,
    PAGE_IN,
    REVISION,
    Theme,
    fix_ticks,
    label_order,
    label_styles,
    one_line,
    use_theme,
)
from visualize.plots import grid, ratings

SUFFIXES = (".gif", ".mp4")
# Maximum number of frames; of longer runs, evenly spaced rounds are shown.
FRAMES = 200
_DPI = 140


def animate(
    source: Source, out: str | Path, *, by: str = "rating", seconds: float = 0.8, theme: Theme = "light"
) -> Path:
    """Write a run as an animation, one frame per complete round.

    Args:
        source: A run or its folder.
        out: A ``.gif`` file, or an ``.mp4`` file if ffmpeg is installed; missing folders are created.
        by: Colour of squares: ``rating``, ``gain`` or ``label``.
        seconds: Duration of a frame.
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
    grid.check_by(by, run)
    write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
    with whole_file(path) as fresh:
        write(fresh, frames(run, by=by, theme=theme), seconds)
    return path


def frames(run: Run, *, by: str = "rating", theme: Theme = "light") -> Iterator[Image.Image]:
    """Yield the frames of an animation, all of the same size."""
    table, shape = grid.place_in_cells(grid.panel_table(run, "strip", FRAMES), run)
    curves = ratings.data(run)
    curves = curves[curves["dimension"] == run.dimensions[0]]
    for title, panel in table.groupby("panel", sort=False):
        round_ = int(str(title).split()[1]) - 1
        with use_theme(theme):
            figure = _frame(run, table, panel, shape, curves, round_, by, theme)
        buffer = io.BytesIO()
        with output_settings():
            figure.savefig(buffer, format="png", dpi=_DPI)
        yield Image.open(buffer).convert("RGB")


def _frame(
    run: Run, table: pd.DataFrame, panel: pd.DataFrame, shape: tuple[int, int], curves: pd.DataFrame, round_: int,
    by: str, theme: Theme,
) -> Figure:  # fmt: skip
    """Draw a frame: the map on the left, the curves up to this round on the right, with a fixed layout."""
    figure = Figure(figsize=(PAGE_IN, 3.6))
    place, bar, course = (
        figure.add_axes(box) for box in ((0.01, 0.13, 0.44, 0.78), (0.465, 0.18, 0.012, 0.68), (0.62, 0.18, 0.36, 0.73))
    )
    styles = label_styles(label_order(table["label"]))
    painter = grid.make_painter(by, run, table, styles, theme)
    values = panel["label"].map(list(styles).index) + 0.5 if by == "label" else panel[by]
    side_pt = 72 * min(PAGE_IN * 0.44 / shape[1], 3.6 * 0.78 / shape[0])
    painter.paint(place, panel, values.astype(float).to_numpy(), shape, side_pt)
    place.set_title(f"{grid.map_title(by, run)}, round {round_ + 1}")
    if by == "label":
        bar.set_axis_off()
    else:
        figure.colorbar(place.images[0], cax=bar).outline.set_linewidth(0)  # type: ignore[operator, union-attr]
    grid.add_legend(figure, styles, theme, by, len(styles) > 1, by != "label" and bool(table[by].isna().any()))
    for answer, colour, marker, line in (("draft", DRAFT, "s", "--"), ("revision", REVISION, "o", "-")):
        mine = curves[(curves["answer"] == answer) & (curves["round"] <= round_)]
        course.plot(mine["round"], mine["mean"], color=colour, linestyle=line, label=answer)
        course.plot(mine["round"].tail(1), mine["mean"].tail(1), color=colour, marker=marker)
    set_round_axis(course, curves)
    course.set_title(f"mean {one_line(run.dimensions[0], 24)}")
    course.set_ylim(y_limits(curves.assign(low=curves["mean"], high=curves["mean"]), 1.0, float(run.scale), 1.0))
    course.legend(loc="best")
    return fix_ticks(figure)


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
