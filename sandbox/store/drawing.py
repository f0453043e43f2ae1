"""Plots of a run by their names. Knows no plot: it asks the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox import registry
from sandbox.notebook import RunTable, show_figures
from sandbox.typed_settings import check_settings, parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Plottable(RunTable):
    """A run that draws itself, and has a table in notebooks."""

    def plot(self, name: str = "grid", **settings: Any) -> Figure:
        """Draw a plot of the run: ``run.plot("grid", by="gain")``; ``sandbox ls plots`` lists their names.

        Args:
            name: Name of the plot, or ``./mine.py:draw``.
            **settings: Its settings.

        Raises:
            UnknownPlugin: there is no such plot.
            SettingsError: the plot has no such setting, or not with this value.
        """
        draw = registry.load("plots", name)
        check_settings(f"plot {name!r}", settings, list(parameters(draw))[1:])
        figure: Figure = draw(self, **settings)
        show_figures()
        return figure
