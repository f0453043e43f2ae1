"""Models against each other, against the evaluation's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from by_hand import TEXTS, legend, words
from matplotlib.axes import Axes

from visualize.plots import comparison

BASE = {"alignment": (3.0, 2.5, 3.5), "engagement": (4.0, 3.0, 5.0)}
TRAINED = {"alignment": (5.0, 4.5, 5.5), "engagement": (3.5, 3.0, 4.0)}


def bars(ax: Axes) -> list[tuple[float, float, float, float]]:
    """Mean, lower end, upper end and height of each bar that is drawn."""
    found = []
    for line, _, (across,) in ax.containers:
        for (left, y), (right, _) in filter(len, across.get_segments()):
            found.append((float(np.asarray(line.get_xdata())[0]), float(left), float(right), float(y)))
    return found


def test_bars_are_means_and_paired_differences(evaluation_folder: Callable[..., Path]) -> None:
    """Alignment 3 and 5: a difference of 2. Engagement 4 and 3.5: of -0.5. Give or take a quarter."""
    figure = comparison.draw(evaluation_folder({"base": BASE, "trained": TRAINED}))
    left, right = figure.axes
    assert bars(left) == [(3.0, 2.5, 3.5, 0), (5.0, 4.5, 5.5, 1), (4.0, 3.0, 5.0, 3), (3.5, 3.0, 4.0, 4)]
    assert bars(right) == [(2.0, 1.75, 2.25, 0), (-0.5, -0.75, -0.25, 2)]
    assert [t.get_text() for t in left.get_yticklabels()] == ["alignment", "engagement"]
    assert left.get_xlabel() == "mean rating (1 to 7)"
    assert right.get_xlabel() == "difference to base, paired by question"
    assert 0.0 in [float(np.asarray(line.get_xdata())[0]) for line in right.lines]  # no difference is marked
    assert legend(figure) == ["base", "trained"]


def test_a_model_has_the_same_look_on_both_sides(evaluation_folder: Callable[..., Path]) -> None:
    figure = comparison.draw(evaluation_folder({"base": BASE, "trained": TRAINED}))
    left, right = (ax.containers for ax in figure.axes)
    assert left[1][0].get_color() == right[0][0].get_color() != left[0][0].get_color()
    assert left[1][0].get_marker() == right[0][0].get_marker() != left[0][0].get_marker()


def test_what_has_no_mean_is_not_drawn_and_what_has_no_interval_has_no_bar(
    evaluation_folder: Callable[..., Path],
) -> None:
    scores = {"base": {"alignment": (3.0, None, None)}, "trained": {"alignment": (None, None, None)}}
    figure = comparison.draw(evaluation_folder(scores))
    left, right = figure.axes
    assert bars(left) == [(3.0, 3.0, 3.0, 0)]
    assert bars(right) == []
    assert comparison.data(evaluation_folder(scores, name="again"))["mean"].isna().tolist() == [False, True, True]


def test_one_model_has_nothing_to_differ_from(evaluation_folder: Callable[..., Path]) -> None:
    figure = comparison.draw(evaluation_folder({"base": BASE}))
    assert len(figure.axes) == 1
    assert [b[0] for b in bars(figure.axes[0])] == [3.0, 4.0]


def test_an_evaluation_without_ratings_says_so(evaluation_folder: Callable[..., Path]) -> None:
    folder = evaluation_folder({"base": {"alignment": (None, None, None)}})
    assert words(comparison.draw(folder)) == ["no answer was rated"]


@pytest.mark.parametrize("text", ["chinese", "arabic", "hindi", "emoji", "html", "math"])
def test_models_in_any_script_are_shown_as_they_are(evaluation_folder: Callable[..., Path], text: str) -> None:
    figure = comparison.draw(evaluation_folder({TEXTS[text]: BASE, "b": TRAINED}))
    assert TEXTS[text] in legend(figure)
    assert f"difference to {TEXTS[text]}, paired by question" in words(figure)
