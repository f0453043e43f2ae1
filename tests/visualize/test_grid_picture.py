"""The map: every agent's square, its colour, its number and its mark, against the record."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from by_hand import TEXTS, legend, told, words
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure

from sandbox.errors import SettingsError
from sandbox.store.run import Run
from visualize.drawing.style import rating_colormap, rating_norm
from visualize.plots import grid


def cells(figure: Figure, panel: int = 0) -> list[list[float]]:
    """The numbers that colour a map's squares, row by row; None where there is nothing."""
    found = np.ma.filled(np.ma.asarray(figure.axes[panel].images[0].get_array(), dtype=float), np.nan)
    return [[None if np.isnan(v) else round(float(v), 6) for v in row] for row in found]


def hatched(figure: Figure, panel: int = 0) -> int:
    """How many squares of a map are hatched."""
    found = [c for c in figure.axes[panel].collections if isinstance(c, PolyCollection) and c.get_hatch()]
    return sum(len(c.get_paths()) for c in found)


def test_squares_are_the_last_rounds_final_ratings(society: Run) -> None:
    """Round 1: revisions of 5, 7, 1.5 and 3, in rows good good, bad bad."""
    figure = grid.draw(society)
    assert cells(figure) == [[5.0, 7.0], [1.5, 3.0]]
    assert hatched(figure) == 0
    image = figure.axes[0].images[0]
    assert image.cmap.name == rating_colormap().name
    assert (image.norm.vmin, image.norm.vmax) == (1, 7)
    assert {"5.0", "7.0", "1.5", "3.0"} <= set(words(figure))
    assert figure.axes[0].get_title(loc="left") == "alignment of final answers, round 2"
    assert figure.axes[1].get_ylabel() == "alignment (1 to 7)"
    assert legend(figure) == ["good", "bad"]


def test_one_round_is_chosen_by_its_number(society: Run) -> None:
    assert cells(grid.draw(society, rounds=1)) == cells(grid.draw(society, rounds="1")) == [[4.0, 6.0], [None, None]]


def test_a_mean_over_rounds_takes_the_draft_where_the_revision_has_no_rating(society: Run) -> None:
    """Agent 0: (4+5)/2. Agent 1: (6+7)/2, the 6 its draft's. Agents 2 and 3: rated in round 1 only."""
    figure = grid.draw(society, rounds="all")
    assert cells(figure) == [[4.5, 6.5], [1.5, 3.0]]
    assert figure.axes[0].get_title(loc="left") == "alignment of final answers, mean of rounds 1\nto 2"


def test_gain_is_revision_minus_draft(society: Run) -> None:
    """Round 1: 5-3, 7-5, 1.5-1, 3-2; over rounds agent 0 gains (2+2)/2, agent 1 only 2, in round 1."""
    figure = grid.draw(society, by="gain")
    assert cells(figure) == [[2.0, 2.0], [0.5, 1.0]]
    norm = figure.axes[0].images[0].norm
    assert (norm.vmin, norm.vmax) == (-2.0, 2.0)
    assert {"+2.0", "+0.5", "+1.0"} <= set(words(figure))
    assert figure.axes[1].get_ylabel() == "alignment, revision minus draft (points)"
    assert cells(grid.draw(society, by="gain", rounds="all")) == [[2.0, 2.0], [0.5, 1.0]]


def test_labels_have_a_colour_and_a_mark_each(society: Run) -> None:
    figure = grid.draw(society, by="label")
    assert cells(figure) == [[0.5, 0.5], [1.5, 1.5]]
    marks = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    assert {c.get_label(): np.asarray(c.get_offsets()).tolist() for c in marks} == {
        "good": [[0, 0], [1, 0]],  # across, down
        "bad": [[0, 1], [1, 1]],
    }
    assert len(figure.axes) == 1  # no colour bar: labels are no scale


def test_a_strip_has_a_map_for_each_round_and_hatches_what_has_no_rating(society: Run) -> None:
    """Round 0: agent 2's answers have no rating and agent 3's conversation failed."""
    figure = grid.draw(society, rounds="strip")
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["round 1", "round 2"]
    assert cells(figure, 0) == [[4.0, 6.0], [None, None]]
    assert cells(figure, 1) == [[5.0, 7.0], [1.5, 3.0]]
    assert [hatched(figure, 0), hatched(figure, 1)] == [2, 0]
    assert "no rating" in legend(figure)
    assert words(figure).count("–") == 2


def test_a_long_strip_takes_twelve_rounds_evenly(make_run: Callable[..., Run]) -> None:
    run = make_run([told(r, 0, (2.0, 2.0), (3.0, 3.0)) for r in range(23)], labels=["good"])
    titles = list(dict.fromkeys(grid.data(run, rounds="strip")["panel"]))
    assert titles == [f"round {r + 1}" for r in range(0, 23, 2)]


def test_one_interaction_is_one_square(lone: Run) -> None:
    figure = grid.draw(lone)
    assert cells(figure) == [[5.0, None], [None, None]]
    assert hatched(figure) == 3


def test_a_run_that_has_only_begun_says_so(nobody: Run) -> None:
    assert grid.data(nobody).empty
    assert words(grid.draw(nobody)) == ["no finished round yet"]


def test_a_first_round_under_way_is_marked(make_run: Callable[..., Run]) -> None:
    run = make_run([told(0, 0, (2.0, 2.0), (3.0, 3.0))], finished=0)
    assert "round 1 (in progress)" in grid.draw(run).axes[0].get_title(loc="left").replace("\n", " ")


def test_a_round_under_way_is_left_out_once_another_is_complete(make_run: Callable[..., Run]) -> None:
    run = make_run([told(0, 0, (2.0, 2.0), (3.0, 3.0)), told(1, 0, (7.0, 7.0), (7.0, 7.0))], finished=1)
    assert grid.data(run)["rating"].iloc[0] == 3.0


def test_agents_who_share_a_place_have_a_square_each(make_run: Callable[..., Run]) -> None:
    """Three agents on 1x2 places, two of them in the first: each place becomes 2x2 squares."""
    interactions = [told(0, i, (1.0, 1.0), (float(i + 2), 1.0)) for i in range(3)]
    figure = grid.draw(make_run(interactions, labels=["good"] * 3, homes=[(0, 0), (0, 0), (0, 1)]))
    assert cells(figure) == [[2.0, 3.0, 4.0, None], [None] * 4]
    assert hatched(figure) == 0  # nobody there is not the same as no rating


def test_empty_places_at_the_edges_of_a_grid_are_part_of_the_map(make_run: Callable[..., Run]) -> None:
    settings = {"neighborhood": "euclidean"}
    run = make_run([told(0, 0, (1.0, 1.0), (3.0, 3.0))], labels=["good"], size=3, settings=settings)
    assert cells(grid.draw(run)) == [[3.0, None, None], [None] * 3, [None] * 3]


def test_agents_stand_where_they_lived_in_the_round(make_run: Callable[..., Run]) -> None:
    """Agent 0 moves from (0, 0) to (1, 1) after round 0."""
    interactions = [told(r, 0, (1.0, 1.0), (3.0, 3.0)) for r in (0, 1)]
    run = make_run(interactions, labels=["good"], moves={0: [(0, 1, 1)]})
    table = grid.data(run, rounds="strip")
    assert table[["panel", "row", "column"]].to_numpy().tolist() == [["round 1", 0, 0], ["round 2", 1, 1]]


def test_a_crowd_is_drawn_as_it_stands_in_the_record(crowd: Run) -> None:
    frame = crowd.frame()
    last = frame[frame["round"] == 1].set_index("agent")
    expected = last["alignment_after"].fillna(last["alignment_before"]).to_numpy().reshape(10, 10)
    found = np.asarray(figure_cells := cells(grid.draw(crowd)), dtype=float)
    assert np.allclose(found, expected, atol=1e-6), figure_cells
    assert pd.notna(expected).all()


def test_labels_in_any_script_are_shown_as_they_are(make_run: Callable[..., Run]) -> None:
    for text in ("chinese", "arabic", "hindi", "emoji", "html", "math"):
        label = TEXTS[text]
        run = make_run([told(0, 0, (1.0, 1.0), (3.0, 3.0), label=label)], labels=[label, "good"], name=text)
        assert label in legend(grid.draw(run))


@pytest.mark.parametrize(
    ("settings", "words_"),
    [
        (
            {"by": "ratin"},
            "by='ratin' is not one of rating, label, gain, alignment, engagement. Did you mean 'rating'?",
        ),
        ({"rounds": "lst"}, "rounds='lst' is not last, all, strip, or the number of a round. Did you mean 'last'?"),
        ({"rounds": "3"}, "rounds=3 is not in the run, which has rounds 1 to 2"),
        ({"theme": "drak"}, "theme='drak' is not one of light, dark. Did you mean 'dark'?"),
    ],
)
def test_a_setting_without_such_a_value_is_refused(society: Run, settings: dict[str, str], words_: str) -> None:
    with pytest.raises(SettingsError) as error:
        grid.draw(society, **settings)
    assert str(error.value) == words_


def test_colours_of_ratings_span_the_runs_own_scale(make_run: Callable[..., Run]) -> None:
    run = make_run([told(0, 0, (1.0, 1.0), (10.0, 3.0))], scale=10)
    figure = grid.draw(run)
    assert figure.axes[0].images[0].norm.vmax == rating_norm(10).vmax == 10
    assert figure.axes[1].get_ylabel() == "alignment (1 to 10)"
