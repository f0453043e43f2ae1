"""The society as a film: its map round by round, beside how its ratings went so far."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from sandbox.errors import NothingToShow, SettingsError, ToolNotFound
from sandbox.store.run import Run
from visualize.drawing.curves import over_rounds, window
from visualize.drawing.inputs import Source, as_run
from visualize.drawing.saving import writing
from visualize.drawing.style import DRAFT, PAGE_IN, REVISION, Theme, choice, finished, label_order, looks, plain, themed
from visualize.plots import grid, ratings

SUFFIXES = (".gif", ".mp4")
# A longer run is shown in so many rounds, evenly spaced.
FRAMES = 200
_DPI = 140


def animate(
    source: Source, out: str | Path, *, by: grid.By = "rating", seconds: float = 0.8, theme: Theme = "light"
) -> Path:
    """Write a run as a film, one picture a complete round.

    Args:
        source: A run or its folder.
        out: A ``.gif`` file, or an ``.mp4`` file where ffmpeg is installed; folders are made.
        by: What squares are coloured by: ``rating``, ``gain`` or ``label``.
        seconds: How long a round is shown.
        theme: ``light`` or ``dark``.

    Raises:
        NothingToShow: no round is complete.
        SettingsError: a setting has no such value, or ``out`` another suffix.
        ToolNotFound: ``out`` is an .mp4 file and there is no ffmpeg.
    """
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"{path.name!r} does not end in {' or '.join(SUFFIXES)}; choose one of them")
    if not 0.02 <= seconds <= 60:
        raise SettingsError(f"seconds={seconds} must be from 0.02 to 60")
    choice("by", by, get_args(grid.By))
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise ToolNotFound("an .mp4 film needs ffmpeg, which is not installed; install it, or write a .gif")
    run = as_run(source)
    if not run.rounds:
        raise NothingToShow(f"{run.path} has no complete round to animate; see how far it is with: sandbox ls runs")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new{path.suffix}")
    write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
    try:
        write(fresh, frames(run, by=by, theme=theme), seconds)
        return fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def frames(run: Run, *, by: grid.By = "rating", theme: Theme = "light") -> Iterator[Image.Image]:
    """The pictures of a film, all of one size."""
    table, shape = grid.spread(grid.maps(run, "strip", FRAMES), run)
    curves = ratings.data(run)
    curves = curves[curves["dimension"] == run.dimensions[0]]
    for title, panel in table.groupby("panel", sort=False):
        round_ = int(str(title).split()[1])
        with themed(theme):
            figure = _frame(run, table, panel, shape, curves, round_, by, theme)
        buffer = io.BytesIO()
        with writing():
            figure.savefig(buffer, format="png", dpi=_DPI)
        yield Image.open(buffer).convert("RGB")


def _frame(
    run: Run, table: pd.DataFrame, panel: pd.DataFrame, shape: tuple[int, int], curves: pd.DataFrame, round_: int,
    by: grid.By, theme: Theme,
) -> Figure:  # fmt: skip
    """One round: the map left, the curves so far right. Every frame leaves the same room for everything."""
    figure = Figure(figsize=(PAGE_IN, 3.6))
    place, bar, course = (
        figure.add_axes(box) for box in ((0.01, 0.13, 0.44, 0.78), (0.465, 0.18, 0.012, 0.68), (0.62, 0.18, 0.36, 0.73))
    )
    label_looks = looks(label_order(table["label"]))
    squares = grid.squares_of(by, run, table, label_looks, theme)
    values = panel["label"].map(list(label_looks).index) + 0.5 if by == "label" else panel[by]
    side_pt = 72 * min(PAGE_IN * 0.44 / shape[1], 3.6 * 0.78 / shape[0])
    squares.paint(place, panel, values.astype(float).to_numpy(), shape, side_pt)
    place.set_title(f"{grid.subject(by, run)}, round {round_}")
    if by == "label":
        bar.set_axis_off()
    else:
        figure.colorbar(place.images[0], cax=bar).outline.set_linewidth(0)  # type: ignore[operator, union-attr]
    grid.legend(figure, label_looks, theme, by, len(label_looks) > 1, by != "label" and bool(table[by].isna().any()))
    for answer, colour, marker, line in (("draft", DRAFT, "s", "--"), ("revision", REVISION, "o", "-")):
        mine = curves[(curves["answer"] == answer) & (curves["round"] <= round_)]
        course.plot(mine["round"], mine["mean"], color=colour, linestyle=line, label=answer)
        course.plot(mine["round"].tail(1), mine["mean"].tail(1), color=colour, marker=marker)
    over_rounds(course, curves)
    course.set_title(f"mean {plain(run.dimensions[0], 24)}")
    course.set_ylim(window(curves.assign(low=curves["mean"], high=curves["mean"]), 1.0, float(run.scale), 1.0))
    course.legend(loc="best")
    return finished(figure)


def _write_gif(path: Path, pictures: Iterator[Image.Image], seconds: float) -> None:
    first, *others = [picture.quantize(256, dither=Image.Dither.NONE) for picture in pictures]
    first.save(
        path, format="GIF", save_all=True, append_images=others, duration=round(1000 * seconds), loop=0, disposal=2
    )


def _write_mp4(path: Path, pictures: Iterator[Image.Image], seconds: float) -> None:
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "image2pipe", "-framerate", f"{1 / seconds:.6f}", "-i", "-"]
    # Players want even sides, this way of keeping colours, and more than a picture a second.
    command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-r", "25", str(path)]
    stills = io.BytesIO()
    for picture in pictures:
        picture.save(stills, format="PNG")
    done = subprocess.run(command, input=stills.getvalue(), capture_output=True, check=False)
    if done.returncode:
        raise ToolNotFound(f"ffmpeg could not write the film: {done.stderr.decode(errors='replace').strip()[-300:]}")
