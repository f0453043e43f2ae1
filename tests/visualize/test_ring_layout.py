"""Long rings of agents with names: the ring is unfolded, its markers are apart, and no name covers another."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from sandbox import Personas, Scenario, World
from sandbox.store.run import Run
from visualize.drawing.network import drawn_network, network_spacing
from visualize.page.data import PageData
from visualize.page.player import map_frames
from visualize.plots import grid, social_graph


@pytest.fixture
def make_ring(tiny_world: Callable[..., World], tmp_path: Path) -> Callable[[int], Run]:
    """Runs of agents with names of some length, each linked to the next and the last to the first."""

    def make(n: int) -> Run:
        nx.write_graphml(nx.cycle_graph(n), tmp_path / "ring.graphml")
        people = Personas(
            [{"name": f"Dimitri Brown {chr(65 + i // 26)}{chr(97 + i % 26)}"} for i in range(n)], "{name}"
        )
        world = tiny_world(
            Scenario(questions=["?"], personas=people), neighborhood=str(tmp_path / "ring.graphml"), size=10
        )
        return world.run(2)

    return make


def names_of(figure: Figure) -> list[Annotation]:
    found = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    return [text for text in found if text.get_text().startswith("Dimitri")]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """The names that cover each other, by the boxes that they are drawn in."""
    figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in names_of(figure)}
    return [(a, b) for a, b in combinations(boxes, 2) if boxes[a].overlaps(boxes[b])]


@pytest.mark.parametrize("n", [12, 40, 100])
def test_no_name_covers_another(make_ring: Callable[[int], Run], n: int) -> None:
    run = make_ring(n)
    for figure in (social_graph.draw(run), grid.draw(run)):
        assert overlapping(figure) == []
    # The map names all of a few, and of many only hubs, which a ring has none of; the graph names the most influential.
    assert len(names_of(grid.draw(run))) == (12 if n == 12 else 0)
    assert 5 <= len(names_of(social_graph.draw(run))) <= (12 if n == 12 else 8)


@pytest.mark.parametrize("n", [40, 100])
def test_a_ring_is_drawn_as_a_ring(make_ring: Callable[[int], Run], n: int) -> None:
    """Around the middle, each node is between the two that it is linked to, so that no links cross; on all pictures."""
    run = make_ring(n)
    graph = drawn_network(run)
    assert graph is not None
    nodes = grid.data(run).sort_values("node")[["x", "y"]].to_numpy()
    spring = social_graph.data(run)
    agents = spring[spring["kind"] == "node"].sort_values("reviewer")[["x", "y"]].to_numpy()
    for at in (nodes, agents):
        around = np.argsort(np.arctan2(*(at - at.mean(axis=0)).T))
        steps = np.diff(np.append(around, around[0])) % n
        assert set(steps) in ({1}, {n - 1})
    page = np.array([PageData(run).graph_positions()[agent] for agent in range(n)])
    assert page == pytest.approx(agents, abs=1e-3)


def test_markers_are_no_larger_than_their_distance(make_ring: Callable[[int], Run]) -> None:
    """A hundred nodes on a circle of radius 1 are 2 pi / 100 apart."""
    run = make_ring(100)
    graph = drawn_network(run)
    assert graph is not None
    assert network_spacing(graph) == pytest.approx(2 * math.pi / 100, rel=0.15)
    figure = grid.draw(run)
    figure.draw_without_rendering()
    [marks] = [one for one in figure.axes[0].collections if isinstance(one, PathCollection)]
    at = figure.axes[0].transData.transform(np.asarray(marks.get_offsets())) * 72 / figure.dpi
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) + np.where(np.eye(100), np.inf, 0)
    assert math.sqrt(marks.get_sizes()[0]) <= 1.02 * np.median(apart.min(axis=1))
    frames: Any = map_frames(run, "rating")
    assert frames["radius"] == pytest.approx(0.47 * 10 * network_spacing(graph), abs=0.01)
    assert PageData(run).rooms() == [network_spacing(graph), pytest.approx(2 * math.pi / 100, rel=0.3)]


@pytest.mark.parametrize("graph", [nx.star_graph(8), nx.disjoint_union(nx.path_graph(4), nx.path_graph(3))])
def test_stars_and_networks_in_parts_are_spread_too(
    tiny_world: Callable[..., World], tmp_path: Path, graph: nx.Graph[int]
) -> None:
    """The leaves of a star are at one point of the layout that others start from, which networks in parts have not."""
    nx.write_graphml(graph, tmp_path / "net.graphml")
    run = tiny_world(neighborhood=str(tmp_path / "net.graphml"), size=4).run(1)
    points = grid.data(run)[["x", "y"]].to_numpy()
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) + np.where(np.eye(len(points)), 9, 0)
    assert apart.min() > 0.1
