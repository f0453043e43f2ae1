"""Portrayal of agents for Mesa's renderers: marker by label, colour by latest rating.

For pages made of Mesa's components::

    from mesa.visualization import SolaraViz, SpaceRenderer
    from visualize.portrayal import portray

    renderer = SpaceRenderer(world, backend="matplotlib")   # altair does not work with the current pandas
    renderer.draw_agents(portray)
    page = SolaraViz(world, renderer=renderer)
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from matplotlib.colors import to_hex
from mesa.visualization.components import AgentPortrayalStyle

from sandbox.store.run import open_run
from visualize.drawing.style import LabelStyle, label_order, label_styles, rating_colormap, rating_norm
from visualize.page.colours import final

_UNRATED = "#d0d4d9"
_MARKS: WeakKeyDictionary[Any, dict[str, LabelStyle]] = WeakKeyDictionary()


def portray(agent: Any) -> AgentPortrayalStyle:
    """Portray an agent: the marker of its label, in the colour of its latest rating.

    Args:
        agent: A :class:`~sandbox.society.agent.SocialAgent`; the run folder of its world is read once per round.
    """
    world = agent.world
    if world not in _MARKS:
        _MARKS[world] = label_styles(label_order(member.label for member in world.members))
    mark = _MARKS[world][agent.label].marker
    value = _ratings(world.path, world.round).get(agent.index)
    colour = _UNRATED if value is None else to_hex(rating_colormap()(rating_norm(world.scenario.rubric.scale)(value)))
    side = max(1, world.size)
    return AgentPortrayalStyle(color=colour, marker=mark, size=(150 / side) ** 2, edgecolors="black", linewidths=0.6)


@lru_cache(maxsize=4)
def _ratings(run: Path, rounds: int) -> dict[int, float]:
    """Rating of each agent's final answer on the first dimension, in the last of ``rounds`` rounds."""
    if not rounds:
        return {}
    record = open_run(run)
    dimension = record.dimensions[0]
    found = {it.agent: final(it, dimension) for it in record.interactions(rounds - 1)}
    return {agent: value for agent, value in found.items() if value is not None}
