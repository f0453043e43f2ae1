"""A sweep's societies against what the sweep summed up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from by_hand import TEXTS, legend, words
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from sandbox.metrics.intervals import mean_interval
from visualize.plots import sweep


def heights(ax: Axes) -> list[list[float]]:
    """Means of each series."""
    return [np.asarray(container[0].get_ydata()).round(9).tolist() for container in ax.containers]


def dots(ax: Axes) -> list[float]:
    """Heights of the single runs."""
    clouds = [c for c in ax.collections if isinstance(c, PathCollection)]
    return sorted(round(float(y), 9) for cloud in clouds for y in np.asarray(cloud.get_offsets())[:, 1])


def test_numbers_stand_to_scale_and_runs_are_dots(sweep_folder: Callable[..., Path]) -> None:
    """Size 2: 4 and 5, mean 4.5. Size 4: 6 and a run that failed, mean 6, without an interval."""
    folder = sweep_folder({"size": [2, 4]}, {(2,): [4.0, 5.0], (4,): [6.0, None]})
    figure = sweep.draw(folder)
    alignment, engagement, gain = figure.axes[:3]
    assert heights(alignment) == [[4.5, 6.0]]
    assert dots(alignment) == [4.0, 5.0, 6.0]
    assert np.diff(np.asarray(alignment.containers[0][0].get_xdata())).tolist() == [2.0]
    expected = mean_interval([4.0, 5.0])
    ends = [s[:, 1].tolist() for s in alignment.containers[0][2][0].get_segments()]
    assert np.allclose(ends, [[expected.low, expected.high], [6.0, 6.0]])
    assert heights(engagement) == [[3.5, 5.0]]
    assert heights(gain) == [[0.45, 0.6]]
    assert [ax.get_title(loc="left") for ax in (alignment, engagement, gain)] == [
        "alignment", "engagement", "gain in alignment",
    ]  # fmt: skip
    assert alignment.get_xlabel() == "size"
    assert gain.get_ylabel() == "revision minus draft (points)"
    assert sweep.data(folder)["seed"].tolist() == [0, 1, 0] * 3


def test_words_stand_in_the_order_of_the_grid_and_other_keys_make_series(sweep_folder: Callable[..., Path]) -> None:
    grid = {"population": ["half_half", "all_bad"], "radius": [1, 2]}
    found = {(p, r): [4.0 + i + r, 5.0 + i + r] for i, p in enumerate(grid["population"]) for r in (1, 2)}
    figure = sweep.draw(sweep_folder(grid, found))
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["half_half", "all_bad"]
    assert heights(ax) == [[5.5, 6.5], [6.5, 7.5]]
    assert legend(figure) == ["radius 1", "radius 2"]


def test_a_sweep_of_one_point_is_one_column(sweep_folder: Callable[..., Path]) -> None:
    figure = sweep.draw(sweep_folder({"size": [3]}, {(3,): [4.0, 6.0]}))
    assert heights(figure.axes[0]) == [[5.0]]
    assert dots(figure.axes[0]) == [4.0, 6.0]


def test_where_no_run_is_done_it_says_so(sweep_folder: Callable[..., Path]) -> None:
    assert words(sweep.draw(sweep_folder({"size": [2]}, {(2,): [None]}))) == ["no run of the sweep is finished"]


@pytest.mark.parametrize("text", ["chinese", "arabic", "hindi", "emoji", "html", "math"])
def test_values_in_any_script_are_shown_as_they_are(sweep_folder: Callable[..., Path], text: str) -> None:
    value = TEXTS[text]
    shown = value if len(value) <= 20 else value[:19] + "…"
    assert shown in words(sweep.draw(sweep_folder({"model": [value, "b"]}, {(value,): [2.0], ("b",): [3.0]})))
