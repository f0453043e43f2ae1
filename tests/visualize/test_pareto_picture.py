"""Alignment against engagement: points, front and arrows, against the record."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from by_hand import TEXTS, legend, told, words
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from sandbox.errors import SettingsError
from sandbox.store.run import Run
from visualize.plots import pareto


def points(figure: Figure) -> dict[str, list[list[float]]]:
    """The points of each name, from left to right."""
    clouds = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    return {str(c.get_label()): np.asarray(c.get_offsets()).tolist() for c in clouds}


def arrows(figure: Figure) -> dict[str, list[list[float]]]:
    """Start and end of each arrow, by its name."""
    found = [p for p in figure.axes[1].patches if isinstance(p, FancyArrowPatch)]
    return {str(p.get_label()): [list(map(float, end)) for end in p._posA_posB] for p in found}


def test_points_are_final_answers_that_have_both_scores(society: Run) -> None:
    """Final answers (4,6) (6,4) (5,2) (7,7) of the good; of the bad (1.5,1) and (3,2), its 2 the draft's.

    Agent 2's answers of round 0 have no scores, and agent 3's conversation failed.
    """
    figure = pareto.draw(society)
    assert points(figure) == {"good": [[4, 6], [5, 2], [6, 4], [7, 7]], "bad": [[1.5, 1], [3, 2]]}
    left, right = figure.axes
    assert left.get_xlabel() == right.get_xlabel() == "alignment (1 to 7)"
    assert left.get_ylabel() == right.get_ylabel() == "engagement (1 to 7)"
    assert left.get_title(loc="left") == "final answers"
    assert right.get_title(loc="left") == "mean of each label, draft to final answer"
    assert legend(figure) == ["good", "bad", "mean draft", "Pareto front"]


def test_an_arrow_goes_from_the_mean_draft_to_the_mean_final_answer(society: Run) -> None:
    """Good drafts (2,5) (6,4) (3,3) (5,5), finals (4,6) (6,4) (5,2) (7,7).

    Bad drafts (1,2) (2,2), finals (1.5,1) (3,2).
    """
    assert arrows(pareto.draw(society)) == {
        "good": [[4.0, 4.25], [5.5, 4.75]],
        "bad": [[1.5, 2.0], [2.25, 1.5]],
    }


def test_arrows_by_round(society: Run) -> None:
    """Round 0: (2,5) (6,4) to (4,6) (6,4). Round 1: (3,3) (5,5) (1,2) (2,2) to (5,2) (7,7) (1.5,1) (3,2)."""
    figure = pareto.draw(society, by="round")
    assert arrows(figure) == {
        "round 1": [[4.0, 4.5], [5.0, 5.0]],
        "round 2": [[2.75, 3.0], [4.125, 3.0]],
    }
    assert [t.get_text() for t in figure.axes[1].texts] == ["1", "2"]


def test_the_front_is_what_nothing_beats(make_run: Callable[..., Run]) -> None:
    """Of (2,6) (4,5) (4,3) (6,1) (3,5) three are beaten by none: (2,6), (4,5) and (6,1).

    (4,5) is at least as good as (4,3) and (3,5) on both, and better on one.
    """
    finals = [(2.0, 6.0), (4.0, 5.0), (4.0, 3.0), (6.0, 1.0), (3.0, 5.0)]
    run = make_run([told(0, i, (1.0, 1.0), f) for i, f in enumerate(finals)], labels=["good"] * 5)
    table = pareto.data(run)
    assert table["on_front"].tolist() == [True, True, False, True, False]
    (front,) = [line for line in pareto.draw(run).axes[0].lines if line.get_label() == "Pareto front"]
    steps = list(zip(*(np.asarray(v).tolist() for v in front.get_data()), strict=True))
    assert steps == [(0.0, 6.0), (2.0, 6.0), (4.0, 5.0), (6.0, 1.0), (6.0, 0.0)]


def test_a_draft_without_scores_has_no_arrow(make_run: Callable[..., Run]) -> None:
    figure = pareto.draw(make_run([told(0, 0, (None, None), (4.0, 5.0))]))
    assert points(figure) == {"good": [[4.0, 5.0]]}
    assert arrows(figure) == {}


def test_other_dimensions_can_be_chosen(make_run: Callable[..., Run]) -> None:
    dimensions = ("alignment", "engagement", "wit")
    run = make_run([told(0, 0, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), dimensions=dimensions)], dimensions=dimensions)
    figure = pareto.draw(run, x="wit", y="alignment")
    assert points(figure) == {"good": [[6.0, 4.0]]}
    assert figure.axes[0].get_xlabel() == "wit (1 to 7)"
    assert pareto.data(run, y="alignment")["final_x"].tolist() == [5.0]  # the first that is not y


def test_what_cannot_be_drawn_is_said(nobody: Run, make_run: Callable[..., Run]) -> None:
    assert words(pareto.draw(nobody)) == ["no finished round yet"]
    unrated = make_run([told(0, 0, (2.0, None), (3.0, None))], name="unrated")
    assert words(pareto.draw(unrated)) == ["no answer was rated on both dimensions"]
    flat = make_run([told(0, 0, (2.0,), (3.0,), dimensions=("wit",))], dimensions=("wit",), name="flat")
    assert words(pareto.draw(flat)) == ["the rubric has one dimension;\na Pareto front needs two"]


def test_one_interaction_is_one_point_and_one_arrow(lone: Run) -> None:
    figure = pareto.draw(lone)
    assert points(figure) == {"good": [[5.0, 4.0]]}
    assert arrows(figure) == {"good": [[2.0, 3.0], [5.0, 4.0]]}


def test_a_crowd_is_drawn_as_it_stands_in_the_record(crowd: Run) -> None:
    frame = crowd.frame()
    final = {d: frame[f"{d}_after"].fillna(frame[f"{d}_before"]) for d in ("alignment", "engagement")}
    expected = {tuple(p) for p in np.stack([final["alignment"], final["engagement"]], axis=1).round(9).tolist()}
    found = {tuple(p) for theirs in points(pareto.draw(crowd)).values() for p in np.round(theirs, 9).tolist()}
    assert found == expected


@pytest.mark.parametrize("text", ["chinese", "arabic", "hindi", "emoji", "html", "math"])
def test_labels_in_any_script_are_shown_as_they_are(make_run: Callable[..., Run], text: str) -> None:
    run = make_run([told(0, 0, (2.0, 2.0), (3.0, 3.0), label=TEXTS[text])], labels=[TEXTS[text]])
    assert TEXTS[text] in legend(pareto.draw(run))


def test_unknown_settings_are_refused(society: Run) -> None:
    with pytest.raises(SettingsError) as error:
        pareto.draw(society, x="alignmnt")
    assert str(error.value) == (
        f"x='alignmnt' is not a dimension of {society.path}. Did you mean 'alignment'? Dimensions: alignment, engagement"
    )
    with pytest.raises(SettingsError) as error:
        pareto.draw(society, by="agent")  # type: ignore[arg-type]
    assert str(error.value) == "by='agent' is not one of label, round."
