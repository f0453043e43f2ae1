"""A page that steps a world, with the plots of this package in Mesa's SolaraViz.

The page has Mesa's controls for step, play and reset. Its components take the model, and read the run folder of the world, as
all plots do; use them in your own page::

    from mesa.visualization import SolaraViz
    from visualize.page.live import GraphView, MapView, RatingsView

    page = SolaraViz(world, components=[MapView, GraphView, RatingsView])

:func:`visualize.portrayal.portray` is for Mesa's own renderers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import solara
from matplotlib.figure import Figure
from mesa.visualization import Slider, SolaraViz
from mesa.visualization.utils import update_counter

from sandbox.store.run import open_run
from sandbox.world import World
from visualize.drawing.saving import image
from visualize.page.serving import what_to_show
from visualize.plots import grid, measures, ratings, social_graph


class LiveWorld(World):
    """A world with the signature that Mesa's page needs: it reads settings from the signature."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


def _view(draw: Callable[..., Figure], model: World) -> None:
    update_counter.get()  # redraws after each step
    solara.Image(image(draw(open_run(model.path)), "png", dpi=130), width="85%", format="png")


@solara.component
def MapView(model: World) -> None:
    """The society as a map, after the last complete round."""
    _view(grid.draw, model)


@solara.component
def GraphView(model: World) -> None:
    """The social graph so far."""
    _view(social_graph.draw, model)


@solara.component
def RatingsView(model: World) -> None:
    """Ratings over the rounds so far."""
    _view(ratings.draw, model)


@solara.component
def MeasuresView(model: World) -> None:
    """The scenario's own measures over the rounds so far."""
    _view(measures.draw, model)


@solara.component
def Figures(model: World) -> None:
    """The metrics of the last round."""
    update_counter.get()
    shown = {name: value for name, value in model.metrics.items() if isinstance(value, float) and "_" not in name}
    words = ", ".join(f"{name} {value:.2f}" for name, value in shown.items())
    solara.Text(f"{model.round} rounds done" + (f"; last round: {words}" if words else ""))


@solara.component
def Page() -> None:
    """Mesa's page around a new world."""
    shown = what_to_show()
    fixed = {"scenario": shown["scenario"], "model": shown["model"], **shown["settings"]}

    def begin() -> LiveWorld:
        return LiveWorld(**fixed, size=shown["size"], seed=0)

    world = solara.use_memo(begin, [])
    adjustable: dict[str, Any] = {
        "size": Slider("side of the grid", value=shown["size"], min=2, max=max(10, shown["size"]), step=1),
        "seed": Slider("seed", value=0, min=0, max=99, step=1),
    }
    SolaraViz(
        world,
        components=[MapView, GraphView, RatingsView, *([MeasuresView] if world.scenario.measures else []), Figures],
        model_params=adjustable | fixed,
        name=f"{world.scenario.name}, live",
        play_interval=500,
    )
