"""What maps say besides colours: names, labels that mean something, removed agents, limits; and when marks give way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from by_hand import SOCIETY, legend, told, words
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from sandbox.errors import SettingsError
from sandbox.scenario.scenario import Scenario
from sandbox.store.run import Run, open_run
from sandbox.typed_settings import typed
from sandbox.world import World
from visualize.drawing.agent_values import shown_labels
from visualize.drawing.legends import REMOVED, fit_legend
from visualize.plots import grid, social_graph


def marks(figure: Figure) -> list[PathCollection]:
    return [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]


def test_small_maps_and_graphs_call_agents_by_their_names(make_run: Callable[..., Run]) -> None:
    run = make_run(SOCIETY, names=["Ada", "Ben", "Chloe", "Dmitri Ivanovich Mendeleev"])
    assert {"Ada", "Ben", "Chloe", "Dmitri Ivanovich Mendeleev"} <= set(words(grid.draw(run)))
    assert {"Ada", "Ben", "Chloe", "Dmitri Ivanovich Mendeleev"} <= set(words(social_graph.draw(run)))
    assert "0" not in words(social_graph.draw(run))


@pytest.mark.parametrize(("side", "has_marks"), [(20, True), (21, False)])
def test_above_twenty_a_side_marks_give_way_to_colour(make_run: Callable[..., Run], side: int, has_marks: bool) -> None:
    labels = ["good", "bad"] * (side * side // 2) + ["good"] * (side % 2)
    run = make_run([told(0, 0, (1.0, 1.0), (3.0, 3.0))], labels=labels, width=side)
    figure = grid.draw(run)
    assert bool(marks(figure)) == has_marks
    assert legend(figure) == [*(["good", "bad"] if has_marks else []), "no rating"]


def test_limits_set_the_ends_of_the_colours(society: Run) -> None:
    figure = grid.draw(society, limits=(3.0, 5.0))
    assert figure.axes[0].images[0].get_clim() == (3.0, 5.0)
    for wrong in ((5.0, 3.0), (1.0,), (1.0, float("nan"))):
        with pytest.raises(SettingsError, match="must be two numbers, LOW,HIGH"):
            grid.draw(society, limits=wrong)
    with pytest.raises(SettingsError, match="labels are none"):
        grid.draw(society, by="label", limits=(1.0, 2.0))


def test_limits_that_are_no_numbers_are_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="limits='a,b' is not numbers, separated by commas"):
        typed("plot", {"limits": "a,b"}, {"limits": tuple[float, ...] | None})
    assert typed("plot", {"limits": "1, 7"}, {"limits": tuple[float, ...] | None}) == {"limits": (1.0, 7.0)}


def leave(world: World) -> None:
    """Agent 0 dies after each round; the others grow."""
    for agent in world.members[:1]:
        agent.remove()
    for agent in world.members:
        agent.state["age"] += agent.index


def test_removed_agents_are_crossed_and_labels_without_meaning_are_not_shown(tmp_path: object) -> None:
    """Nobody asked for good and bad agents, and neither has an upbringing, a role or a model of its own."""
    scenario = Scenario(name="life", questions=["Why?"], state={"age": 1}, after_round=leave)
    world = World(scenario, model="scripted:", embedder="hashing", size=2, out=tmp_path / "life")  # type: ignore[operator]
    world.run(1)
    world.close()
    run = open_run(tmp_path / "life")  # type: ignore[operator]
    assert set(shown_labels(run, run.agents()["label"])) == {"agents"}
    figure = grid.draw(run, by="state.age")
    assert legend(figure) == [REMOVED]
    assert [mark.get_offsets().tolist() for mark in marks(figure)] == [[[0.0, 0.0]]]
    assert REMOVED not in legend(grid.draw(run, by="rating"))  # it was rated in that round
    assert not {"good", "bad"} & {*legend(social_graph.draw(run)), *legend(grid.draw(run))}
    assert {"good", "bad"} <= set(legend(grid.draw(run, by="label")))


def test_a_legend_has_as_few_columns_as_fit() -> None:
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(3.4, 2))
    found = fit_legend(figure, [Line2D([], [], label="x" * 38), Line2D([], [], label="y" * 38)])
    assert found is not None
    assert found._ncols == 1  # type: ignore[attr-defined]
    assert fit_legend(Figure(), []) is None
