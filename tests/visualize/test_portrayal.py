"""Our agents in Mesa's own renderer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.colors import to_hex, to_rgba_array

pytest.importorskip("solara", reason="Mesa's visualization needs the extra 'show'")

from mesa.visualization import SpaceRenderer

from sandbox import World
from visualize.drawing.style import LABEL_STYLES, rating_colormap, rating_norm
from visualize.portrayal import portray


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(
        "value_alignment",
        model="scripted:",
        size=3,
        embedder="hashing",
        population="good=0.5,bad=0.5",
        out=tmp_path / "run",
    )
    yield made
    made.close()


def test_agents_are_marked_by_label_and_coloured_by_their_latest_rating(world: World) -> None:
    assert {portray(agent).color for agent in world.members} == {"#d0d4d9"}  # nothing was said yet
    world.step()
    frame = {it.agent: it for it in world.store.interactions(0)}
    for agent in world.members:
        shown = portray(agent)
        value = frame[agent.index].after.value("alignment")
        assert shown.color == to_hex(rating_colormap()(rating_norm(7)(value)))
        assert shown.marker == LABEL_STYLES[agent.label != "good"].marker


@pytest.mark.parametrize("neighborhood", ["euclidean", "small_world"])
def test_mesa_draws_every_agent_on_grids_and_networks(neighborhood: str) -> None:
    world = World("value_alignment", model="scripted:", size=3, embedder="hashing", neighborhood=neighborhood)
    world.step()
    renderer = SpaceRenderer(world, backend="matplotlib")
    renderer.draw_structure()
    renderer.draw_agents(portray)
    drawn = [marks for marks in renderer.canvas.collections if len(marks.get_offsets())]
    places = [tuple(place) for marks in drawn for place in marks.get_offsets()]
    if neighborhood == "euclidean":
        assert sorted(places) == sorted(
            (float(x), float(y)) for x, y in (world.space.position(a) for a in world.members)
        )
    assert sum(len(marks.get_offsets()) for marks in drawn if len(to_rgba_array(marks.get_facecolor()))) >= 9
    world.close()
