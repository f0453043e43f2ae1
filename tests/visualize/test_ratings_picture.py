"""Ratings over rounds: means and intervals of drafts and revisions, against the record."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from by_hand import TEXTS, legend, told, words
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.container import ErrorbarContainer

from sandbox.errors import SettingsError
from sandbox.metrics.intervals import mean_interval
from sandbox.store.run import Run
from visualize.plots import ratings


def curves(ax: Axes) -> dict[str, list[float]]:
    """The heights of each curve, by its name."""
    bars = {c.get_label(): c[0] for c in ax.containers if isinstance(c, ErrorbarContainer)}
    lines = bars or {line.get_label(): line for line in ax.lines}
    return {name: np.asarray(line.get_ydata()).round(6).tolist() for name, line in lines.items()}


def test_curves_are_the_means_of_each_round(society: Run) -> None:
    """Alignment. Round 0: drafts 2 and 6, one revision of 4. Round 1: drafts 3 5 1 2, revisions 5 7 1.5 3."""
    figure = ratings.draw(society)
    alignment, engagement = figure.axes
    assert curves(alignment) == {"draft": [4.0, 2.75], "revision": [4.0, 4.125]}
    # Engagement. Round 0: drafts 5 and 4, one revision of 6. Round 1: drafts 3 5 2 2, revisions 2 7 1 and none.
    assert curves(engagement) == {"draft": [4.5, 3.0], "revision": [6.0, round(10 / 3, 6)]}
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["alignment", "engagement"]
    assert alignment.get_xlabel() == "round"
    assert alignment.get_ylabel() == "mean rating (1 to 7)"
    assert legend(figure) == ["draft", "revision"]


def test_bars_are_students_interval_and_a_lone_answer_has_none(society: Run) -> None:
    table = ratings.data(society)
    drafts = table[(table["dimension"] == "alignment") & (table["answer"] == "draft")].reset_index()
    expected = mean_interval([3.0, 5.0, 1.0, 2.0])
    assert drafts.loc[1, ["mean", "low", "high", "n"]].tolist() == list(expected)
    bars = figure_bars(ratings.draw(society).axes[0])
    assert np.allclose(bars["draft"][1], [expected.low, expected.high])
    assert np.allclose(bars["revision"][0], [4.0, 4.0])  # one revision


def figure_bars(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Lower and upper ends of each curve's bars, by its name."""
    found = {}
    for container in ax.containers:
        segments = container[2][0].get_segments()
        found[container.get_label()] = [(float(s[0][1]), float(s[1][1])) for s in segments]
    return found


def test_one_interaction_is_one_point_each(lone: Run) -> None:
    figure = ratings.draw(lone)
    assert curves(figure.axes[0]) == {"draft": [2.0], "revision": [5.0]}
    assert curves(figure.axes[1]) == {"draft": [3.0], "revision": [4.0]}


def test_a_run_that_has_only_begun_says_so(nobody: Run) -> None:
    assert words(ratings.draw(nobody)) == ["no finished round yet"]


def test_a_panel_without_ratings_says_so(make_run: Callable[..., Run]) -> None:
    figure = ratings.draw(make_run([told(0, 0, (2.0, None), (3.0, None))]))
    assert "no answer was rated" in [t.get_text() for t in figure.axes[1].texts]
    assert not figure.axes[0].texts
    assert figure.axes[1].get_ylim() == (1.0, 7.0)


def test_many_rounds_have_a_band_instead_of_bars(make_run: Callable[..., Run]) -> None:
    interactions = [told(r, a, (2.0 + a, 2.0), (3.0 + a, 3.0)) for r in range(21) for a in (0, 1)]
    figure = ratings.draw(make_run(interactions))
    ax = figure.axes[0]
    assert not ax.containers
    assert curves(ax) == {"draft": [2.5] * 21, "revision": [3.5] * 21}
    assert sum(isinstance(c, PolyCollection) for c in ax.collections) == 2


def test_bars_stay_on_the_picture(make_run: Callable[..., Run]) -> None:
    figure = ratings.draw(make_run([told(0, 0, (1.0, 1.0), (7.0, 7.0)), told(0, 1, (7.0, 7.0), (1.0, 1.0))]))
    low, high = figure.axes[0].get_ylim()
    assert low < 1 < 7 < high


@pytest.mark.parametrize("text", ["chinese", "arabic", "hindi", "emoji", "html", "math"])
def test_dimensions_in_any_script_are_shown_as_they_are(make_run: Callable[..., Run], text: str) -> None:
    dimensions = (TEXTS[text], "b")
    run = make_run([told(0, 0, (2.0, 2.0), (3.0, 3.0), dimensions=dimensions)], dimensions=dimensions)
    assert TEXTS[text] in words(ratings.draw(run))


def test_an_unknown_theme_is_refused(society: Run) -> None:
    with pytest.raises(SettingsError, match="theme='blue' is not one of light, dark"):
        ratings.draw(society, theme="blue")  # type: ignore[arg-type]
