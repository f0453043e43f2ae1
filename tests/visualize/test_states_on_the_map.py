"""A map of the agents' states: which numbers it shows, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import World
from sandbox.errors import SettingsError
from visualize import animation
from visualize.plots import grid, social_graph


@pytest.fixture
def played(tiny_world: Callable[..., World], tmp_path: Path) -> Path:
    tiny_world("public_goods", size=2, rater="lm").run(2)
    return tmp_path / "run"


def test_squares_are_coloured_by_a_state_after_the_round(played: Path) -> None:
    table = grid.data(played, by="state.purse", rounds="strip")
    from sandbox import open_run

    states = open_run(played).states()
    for rounds, panel in enumerate(["round 1", "round 2"], 1):
        shown = table[table["panel"] == panel].sort_values("agent")["state.purse"]
        assert list(shown) == list(states[states["rounds"] == rounds].sort_values("agent")["purse"])
    figure = grid.draw(played, by="state.purse")
    assert figure.axes[0].get_title(loc="left") == "purse, round 2"
    assert [axis.get_ylabel() for axis in figure.axes[1:]] == ["purse (coins), after the round"]


def test_without_ratings_the_first_state_is_shown(played: Path) -> None:
    assert grid.draw(played).axes[0].get_title(loc="left") == "purse, round 2"


def test_a_state_that_is_not_there_is_refused_with_those_that_are(played: Path, run_dir: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"no number or word .*of that name in its states. There are: .*, state\.purse"
    ):
        grid.draw(played, by="state.purze")
    with pytest.raises(SettingsError, match=r"by='state\.x': the run has no number"):
        grid.draw(run_dir, by="state.x")
    assert "state.x" not in grid.data(run_dir)


def test_numbers_in_extra_and_labels_colour_maps_and_graphs(tiny_world: Callable[..., World], tmp_path: Path) -> None:
    """Means over the rounds on the graph; no edge has a rating, so that there is one colour bar."""
    run = tiny_world("rumour", size=2, rater="lm").run(2)
    frame = run.frame(extra=True)
    means = frame.groupby("agent")["extra.choice.yes"].mean()
    table = social_graph.data(run, by="extra.choice.yes").query("kind == 'node'").set_index("reviewer")
    assert table["extra.choice.yes"].to_dict() == pytest.approx(means.to_dict())
    last = grid.data(run, by="extra.choice.yes").set_index("agent")["extra.choice.yes"]
    assert last.to_dict() == frame[frame["round"] == 1].set_index("agent")["extra.choice.yes"].to_dict()
    bars = [axis.get_ylabel() for axis in social_graph.draw(run, by="state.belief").axes[1:]]
    assert bars == ["node: belief, after the round"]
    with pytest.raises(
        SettingsError, match=r"no number or word .*of that name in its interactions' extra.*extra\.choice\.yes"
    ):
        social_graph.draw(run, by="extra.choices")


@pytest.mark.parametrize("by", ["state.belief", "extra.belief", "label", "rating"])
def test_animations_show_networks_states_and_measures(tiny_world: Callable[..., World], by: str) -> None:
    run = tiny_world("misinformation", size=3, rater="lm").run(2)
    first, second = animation.frames(run, by=by)
    assert first.size == second.size
    assert first.tobytes() != second.tobytes() or by == "label"


def test_a_network_on_a_terminal_has_a_cell_for_each_node(tiny_world: Callable[..., World]) -> None:
    from sandbox.cli.commands.run import _places

    world = tiny_world("misinformation", size=4, rater="lm")
    places = _places(world)
    assert len(set(places.values())) == 16
    assert max(max(place) for place in places.values()) > 4  # spread out, not in rows of four
