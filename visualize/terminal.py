"""Map of a society on a terminal while it runs, with the metrics of the round beside it.

Receives interactions as they end; knows no run folder and no live agents::

    shown = LiveMap(homes, dimension="alignment", scale=7)
    shown.add([interaction, ...])          # whenever interactions end
    shown.end(metrics)                     # when the round is complete
    shown.picture()                        # for rich to draw

A square keeps its colour until the next rating of its agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.colors import to_hex
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sandbox.records import Interaction
from visualize.drawing.style import contrast_colour, rating_colormap, rating_norm

# A square is two characters wide; a larger society is shown in blocks, each with the mean of its agents.
_SQUARE = 2
_LARGEST_SIDE = 32
_SEEN = ("rating", "consensus", "polarisation")


class LiveMap:
    """A map of ratings that fills up during a round.

    Args:
        homes: Row and column of each agent, by its index.
        dimension: Dimension of the rubric that colours the squares.
        scale: The highest rating.
        console: Console whose size is used; by default standard error.
    """

    def __init__(
        self, homes: Mapping[int, tuple[int, int]], *, dimension: str, scale: int, console: Console | None = None
    ) -> None:
        self._homes, self._dimension, self._scale = dict(homes), dimension, scale
        self._console = console or Console(stderr=True)
        self._ratings: dict[int, float | None] = {}
        self._failed = 0
        self._metrics: Mapping[str, Any] = {}
        self._drawn: RenderableType | None = None

    def add(self, ended: Iterable[Interaction]) -> None:
        """Add interactions that ended."""
        for it in ended:
            self._failed += it.error is not None
            after = it.after.value(self._dimension)
            self._ratings[it.agent] = after if after is not None else it.before.value(self._dimension)
        self._drawn = None

    def end(
        self,
        metrics: Mapping[str, Any],
        homes: Mapping[int, tuple[int, int]] | None = None,
        removed: Iterable[int] = (),
    ) -> None:
        """End a round, with its metrics, the new positions of agents that moved or were added, and those that were removed."""
        self._metrics = metrics
        self._homes.update(homes or {})
        for agent in removed:
            self._homes.pop(agent, None)
        self._drawn = None

    def picture(self) -> RenderableType:
        """The current content, for rich."""
        if self._drawn is None:
            beside = Table.grid(padding=(0, 2))
            beside.add_row(self._map(), self._figures())
            self._drawn = beside
        return self._drawn

    def _map(self) -> Text:
        rows = max((row for row, _ in self._homes.values()), default=0) + 1
        columns = max((column for _, column in self._homes.values()), default=0) + 1
        # The size of the terminal, less the text.
        room = max(4, min(_LARGEST_SIDE, (self._console.width - 30) // _SQUARE, self._console.height - 4))
        block = -(-max(rows, columns) // room)
        squares: dict[tuple[int, int], list[float | None]] = {}
        for agent, (row, column) in self._homes.items():
            squares.setdefault((row // block, column // block), []).append(self._ratings.get(agent))
        text = Text()
        for row in range(-(-rows // block)):
            for column in range(-(-columns // block)):
                self._square(text, squares.get((row, column)))
            text.append("\n")
        return text

    def _square(self, text: Text, ratings: list[float | None] | None) -> None:
        if ratings is None:  # an empty cell
            text.append(" " * _SQUARE)
            return
        known = [rating for rating in ratings if rating is not None]
        if not known:
            text.append("··"[:_SQUARE], style="dim")
            return
        mean = sum(known) / len(known)
        colour = to_hex(rating_colormap()(rating_norm(self._scale)(mean)))
        # Also the number: some terminals have no colours, and some people cannot distinguish them.
        text.append(f"{round(mean):>{_SQUARE}}", style=f"{contrast_colour(colour)} on {colour}")

    def _figures(self) -> Table:
        table = Table.grid(padding=(0, 1))
        names = [self._dimension, f"{self._dimension}_draft", *_SEEN]
        known = {name: value for name in names if isinstance(value := self._metrics.get(name), float)}
        for name, value in known.items():
            table.add_row(Text(name.replace("_", ", ")), Text(f"{value:.2f}"))
        if self._failed:
            table.add_row(Text("failed", style="bold"), Text(str(self._failed), style="bold"))
        return table
