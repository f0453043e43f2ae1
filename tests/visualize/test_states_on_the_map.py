"""A map of the agents' states: which numbers it shows, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import World
from sandbox.errors import SettingsError
from visualize.plots import grid


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
    assert [axis.get_ylabel() for axis in figure.axes[1:]] == ["purse, after the round"]


def test_without_ratings_the_first_state_is_shown(played: Path) -> None:
    assert grid.draw(played).axes[0].get_title(loc="left") == "purse, round 2"


def test_a_state_that_is_not_there_is_refused_with_those_that_are(played: Path, run_dir: Path) -> None:
    with pytest.raises(SettingsError, match=r"no number of that name in its states. There are: .*, state\.purse"):
        grid.draw(played, by="state.purze")
    with pytest.raises(SettingsError, match=r"by='state\.x': the run has no number"):
        grid.draw(run_dir, by="state.x")
    assert "state.x" not in grid.data(run_dir)
