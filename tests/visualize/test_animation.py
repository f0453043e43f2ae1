"""Films: a picture a round, all of one size, and nothing left behind when they cannot be written."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from by_hand import TEXTS, told
from PIL import Image, ImageSequence

from sandbox.errors import NothingToShow, SettingsError, ToolNotFound
from sandbox.store.run import Run
from visualize import animation
from visualize.animation import animate
from visualize.drawing.style import rating_colormap, rating_norm


def pixel(frame: Image.Image, across: float, down: float) -> np.ndarray:
    """A colour at a place of a frame, in shares of its sides; each channel in 0..255."""
    return np.asarray(frame.convert("RGB"), dtype=int)[int(frame.height * down), int(frame.width * across)]


def test_a_gif_has_a_frame_for_each_round(society: Run, tmp_path: Path) -> None:
    """The upper left corner of the map is agent 0's square: 4 in round 0, 5 in round 1."""
    path = animate(society, tmp_path / "new" / "film.gif", seconds=0.5)
    with Image.open(path) as film:
        assert film.n_frames == 2
        assert film.info["loop"] == 0
        frames = [frame.copy() for frame in ImageSequence.Iterator(film)]
        assert [frame.info["duration"] for frame in frames] == [500, 500]
    for frame, rating in zip(frames, (4.0, 5.0), strict=True):
        expected = 255 * np.array(rating_colormap()(rating_norm(7)(rating))[:3])
        assert np.abs(pixel(frame, 0.04, 0.12) - expected).max() < 12  # a GIF has 256 colours
    assert os.listdir(tmp_path / "new") == ["film.gif"]


def test_frames_differ_only_where_rounds_do(society: Run) -> None:
    first, second = animation.frames(society)
    assert first.size == second.size
    different = np.asarray(first) != np.asarray(second)
    assert different.any()
    assert not different[:, -3:].any()
    assert not different[-20:, :].any()  # the legend stays where it is


@pytest.mark.parametrize("by", ["rating", "gain", "label"])
def test_every_colouring_in_the_dark(society: Run, tmp_path: Path, by: str) -> None:
    path = animate(society, tmp_path / "film.gif", by=by, theme="dark")  # type: ignore[arg-type]
    with Image.open(path) as film:
        assert pixel(film, 0.5, 0.99).max() < 60


def test_what_is_shown_in_the_place_of_ratings_is_said(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run([replace(told(r, 0), extra={"coins": float(r)}) for r in range(6)])
    assert animation.note(run).startswith("no answer was rated, so agents are coloured by extra.coins")
    assert animation.note(run, by="label") == ""
    monkeypatch.setattr(animation, "FRAMES", 4)
    assert animation.note(run, by="label") == "4 of 6 rounds are shown, evenly spaced"


def test_a_long_run_is_thinned_out(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "FRAMES", 3)
    run = make_run([told(r, 0, (2.0, 2.0), (3.0, 3.0)) for r in range(9)])
    assert len(list(animation.frames(run))) == 3


def test_a_round_without_ratings_and_labels_in_any_script(make_run: Callable[..., Run], tmp_path: Path) -> None:
    labels = list(TEXTS.values())
    run = make_run([told(0, i, label=label) for i, label in enumerate(labels)], labels=labels, width=4)
    assert animate(run, tmp_path / "film.gif").stat().st_size > 1000


def test_what_cannot_be_filmed_is_refused(society: Run, nobody: Run, tmp_path: Path) -> None:
    with pytest.raises(NothingToShow) as nothing:
        animate(nobody, tmp_path / "film.gif")
    assert str(nothing.value) == (f"{nobody.path} has no complete round to animate; list runs with: sandbox ls runs")
    with pytest.raises(SettingsError) as error:
        animate(society, tmp_path / "film.avi")
    assert str(error.value) == "'film.avi' does not end in .gif or .mp4; choose one of them"
    with pytest.raises(SettingsError) as error:
        animate(society, tmp_path / "film.gif", seconds=0)
    assert str(error.value) == "seconds=0 must be from 0.02 to 60"
    assert not list(tmp_path.glob("*film*"))


def test_without_ffmpeg_a_film_in_mp4_is_refused(society: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolNotFound) as error:
        animate(society, tmp_path / "film.mp4")
    assert str(error.value) == "an .mp4 file needs ffmpeg, which is not installed; install it, or write a .gif"


def pretend_ffmpeg(folder: Path, script: str) -> None:
    """A program of that name that is not ffmpeg."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_ffmpeg_is_given_every_frame_as_png(society: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a pretended ffmpeg, which keeps what it is sent as its last argument says."""
    pretend_ffmpeg(tmp_path, 'for last; do :; done\nexec cat > "$last"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sent = animate(society, tmp_path / "film.mp4").read_bytes()
    assert sent.count(b"\x89PNG\r\n") == 2
    assert Image.open(io.BytesIO(sent)).size == next(animation.frames(society)).size


def test_what_ffmpeg_says_of_a_failure_is_shown(society: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_ffmpeg(tmp_path, "cat > /dev/null; echo Unknown encoder >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ToolNotFound) as error:
        animate(society, tmp_path / "film.mp4")
    assert str(error.value) == "ffmpeg could not write the animation: Unknown encoder"
    assert not list(tmp_path.glob("*.mp4"))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_real_ffmpeg_writes_a_film(society: Run, tmp_path: Path) -> None:
    path = animate(society, tmp_path / "film.mp4", seconds=0.4)
    length = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert float(length) == pytest.approx(0.8, abs=0.1)
