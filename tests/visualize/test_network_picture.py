"""The map of a society in a network: markers at its nodes, its links, arrows and names, against the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from by_hand import legend, words
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patches import FancyArrowPatch

from sandbox.world import World
from visualize.page.data import PageData
from visualize.page.player import map_frames
from visualize.plots import grid

FOLLOWS = "source,target,weight\nAnn,Cy,4\nBob,Cy,1\nCy,Dee,1\n"


@pytest.mark.parametrize("hears", ["both", "successors"])
def test_a_network_is_drawn_with_names_and_arrows(tiny_world: Callable[..., World], tmp_path: Path, hears: str) -> None:
    path = tmp_path / "net.csv"
    path.write_text(FOLLOWS)
    run = tiny_world(neighborhood=str(path), hears=hears, population="good=0.5,bad=0.5").run(1)
    figure = grid.draw(run, by="rating")
    ax = figure.axes[0]
    assert {"Ann", "Bob", "Cy", "Dee"} <= set(words(figure))
    table = grid.data(run).set_index("name")
    drawn = {tuple(map(float, at)) for c in ax.collections if isinstance(c, PathCollection) for at in c.get_offsets()}
    assert drawn == {(x, y) for x, y in zip(table["x"], table["y"], strict=True)}
    assert len(drawn) == 4
    assert table[["x", "y"]].abs().to_numpy().max() == pytest.approx(1)
    assert legend(figure) == ["good", "bad", *([] if hears == "both" else ["A → B: A hears B"])]
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    if hears == "both":
        assert (len(arrows), [len(c.get_segments()) for c in lines]) == (0, [3])
        widths = np.asarray(lines[0].get_linewidths())
    else:
        assert (len(arrows), len(lines)) == (3, 0)
        widths = np.array([arrow.get_linewidth() for arrow in arrows])
        ends = {tuple(np.round((*arrow._posA_posB[0], *arrow._posA_posB[1]), 6)) for arrow in arrows}  # type: ignore[attr-defined]
        assert ends == {
            tuple(np.round((*table.loc[a, ["x", "y"]], *table.loc[b, ["x", "y"]]), 6))
            for a, b in (("Ann", "Cy"), ("Bob", "Cy"), ("Cy", "Dee"))
        }
    assert sorted(widths / widths.max()) == pytest.approx([0.5, 0.5, 1])  # by the square root of the weights


def test_agents_at_one_node_and_empty_nodes_are_seen(tiny_world: Callable[..., World]) -> None:
    run = tiny_world(neighborhood="small_world", agents=12, capacity=2, audience="global").run(1)
    table = grid.data(run)
    assert len(table[["x", "y"]].drop_duplicates()) == 12
    figure = grid.draw(run, rounds="strip", by="label", theme="dark")
    assert not any(word.startswith("Agent") for word in words(figure))
    again = grid.data(run)
    assert table.equals(again)  # the layout is the same each time


def test_hubs_are_named_even_where_agents_have_no_names(tiny_world: Callable[..., World], tmp_path: Path) -> None:
    """A star of eight: the middle has seven links, four times the mean of 1.75; dashboard and picture agree."""
    path = tmp_path / "star.csv"
    path.write_text("source,target\n" + "".join(f"0,{i}\n" for i in range(1, 8)))
    run = tiny_world(neighborhood=str(path), hears="successors").run(2)
    assert [word for word in words(grid.draw(run)) if word.startswith("Agent")] == ["Agent 1"]
    data = PageData(run)
    assert data.hubs() == [0]
    assert data.direction() == "A → B: A hears B"
    frames = map_frames(run, "rating")
    assert frames is not None
    assert frames["direction"] == data.direction()
    assert len(frames["links"]) == 7


def test_a_grid_is_drawn_in_cells(run_dir: Path) -> None:
    assert "node" not in grid.data(run_dir)
    assert grid.draw(run_dir).axes[0].images
