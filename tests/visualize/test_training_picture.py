"""Training curves against what the trainer logged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from by_hand import legend, words

from sandbox.errors import DataFileError, RunVersion
from sandbox.store.run import Run
from visualize.plots import training

FIELDS = list(training._CURVES)


def history(steps: int, *fields: str) -> list[dict[str, float]]:
    """Step s has the s-th multiple of 1, 2, ... in the fields."""
    return [{"step": s, **{f: float(s * (i + 1)) for i, f in enumerate(fields)}} for s in range(1, steps + 1)]


def test_each_field_that_was_logged_has_a_panel(training_folder: Callable[..., Path]) -> None:
    folder = training_folder("first", history(3, *FIELDS))
    figure = training.draw(folder)
    assert [ax.get_ylabel() for ax in figure.axes] == list(training._CURVES.values())
    for number, ax in enumerate(figure.axes, 1):
        (line,) = ax.lines
        assert np.asarray(line.get_xdata()).tolist() == [1, 2, 3]
        assert np.asarray(line.get_ydata()).tolist() == [number, 2 * number, 3 * number]
        assert ax.get_xlabel() == "step"
    assert legend(figure) == []  # one training needs no name


def test_a_field_that_no_step_has_has_no_panel(training_folder: Callable[..., Path]) -> None:
    figure = training.draw(training_folder("first", history(2, FIELDS[0])))
    assert [ax.get_ylabel() for ax in figure.axes] == [training._CURVES[FIELDS[0]]]


def test_several_trainings_are_told_apart_by_colour_and_line(training_folder: Callable[..., Path]) -> None:
    folders = [training_folder(name, history(2, FIELDS[0])) for name in ("dpo", "sft")]
    figure = training.draw(folders)
    first, second = figure.axes[0].lines
    assert (first.get_color(), first.get_linestyle()) != (second.get_color(), second.get_linestyle())
    assert first.get_linestyle() != second.get_linestyle()
    assert legend(figure) == ["dpo", "sft"]


def test_trainings_in_folders_called_alike_stay_apart(training_folder: Callable[..., Path]) -> None:
    folders = [training_folder(f"{name}/model", history(2, FIELDS[0])) for name in ("a", "b")]
    assert training.data(folders)["training"].nunique() == 2
    assert len(training.draw(folders).axes[0].lines) == 2


def test_a_step_without_a_field_is_left_out(training_folder: Callable[..., Path]) -> None:
    steps = [{"step": 1, FIELDS[0]: 3.0}, {"step": 2}, {"step": 3, FIELDS[0]: 1.0}]
    (line,) = training.draw(training_folder("first", steps)).axes[0].lines
    assert list(zip(*map(list, line.get_data()), strict=True)) == [(1, 3.0), (3, 1.0)]


@pytest.mark.parametrize("steps", [0, 1])
def test_of_little_history_little_is_shown(training_folder: Callable[..., Path], steps: int) -> None:
    figure = training.draw(training_folder("first", history(steps, FIELDS[0])))
    if steps:
        (line,) = figure.axes[0].lines
        assert line.get_marker() not in ("", "None")  # one step is a point, or nothing would be seen
    else:
        assert words(figure) == ["no step was logged"]


def test_a_folder_that_holds_no_training_is_refused(tmp_path: Path, society: Run) -> None:
    expected = "is not a trained model; make one with: sandbox train RUN --out DIR (training.json: No such file"
    with pytest.raises(DataFileError) as error:
        training.draw(tmp_path / "nothing")
    assert str(error.value).startswith(f"{tmp_path / 'nothing'} {expected}")
    with pytest.raises(DataFileError) as error:
        training.draw(society)
    assert str(error.value).startswith(f"{society.path} {expected}")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    path.write_text("{")
    with pytest.raises(DataFileError, match="is not JSON"):
        training.draw(tmp_path)
    path.write_text("[]")
    with pytest.raises(DataFileError) as error:
        training.draw(tmp_path)
    assert str(error.value) == f"{path} contains a list; expected an object with the key 'schema'"
    path.write_text('{"schema": 2}')
    with pytest.raises(RunVersion) as version:
        training.draw(tmp_path)
    assert str(version.value) == (
        f"{path} has schema 2; this version reads schema 1. Read it with the version that wrote it"
    )
