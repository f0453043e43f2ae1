"""Map of a society on a terminal while it runs, with the metrics of the round beside it.

Receives interactions as they end; knows no run folder and no live agents::

    shown = LiveMap(homes, dimension="alignment", scale=7)
    shown.add([interaction, ...])          # whenever interactions end
    shown.end(metrics)                     # when the round is complete
    shown.picture()                        # for rich to draw

A square keeps its colour until the next rating of its agent. Where agents have no ratings, squares show the first number of
their states after each round, as digits from 0 (the lowest) to 9 (the highest).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.colors import to_hex
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sandbox.records import Interaction
from visualize.drawing.style import contrast_colour, one_line, rating_colormap, rating_norm

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
        measures: Names of the scenario's own measures, which are shown with the metrics.
    """

    def __init__(
        self, homes: Mapping[int, tuple[int, int]], *, dimension: str, scale: int, console: Console | None = None,
        measures: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._homes, self._dimension, self._scale = dict(homes), dimension, scale
        self._console = console or Console(stderr=True)
        self._ratings: dict[int, float | None] = {}
        self._failed = 0
        self._own = tuple(measures)
        self._states: dict[int, float] = {}
        self._state = ""
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
        states: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        """End a round.

        Args:
            metrics: Metrics of the round.
            homes: New positions of agents that moved or were added.
            removed: Agents that were removed.
            states: State of each agent.
        """
        self._metrics = metrics
        self._homes.update(homes or {})
        for agent in removed:
            self._homes.pop(agent, None)
        self._state, self._states = _first_number(states or {})
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
        shown = self._states if self._shows_states() else self._ratings
        squares: dict[tuple[int, int], list[float | None]] = {}
        for agent, (row, column) in self._homes.items():
            squares.setdefault((row // block, column // block), []).append(shown.get(agent))
        text = Text()
        for row in range(-(-rows // block)):
            for column in range(-(-columns // block)):
                self._square(text, squares.get((row, column)))
            text.append("\n")
        return text

    def _shows_states(self) -> bool:
        return bool(self._states) and all(rating is None for rating in self._ratings.values())

    def _range(self) -> tuple[float, float]:
        return min(self._states.values()), max(self._states.values())

    def _square(self, text: Text, ratings: list[float | None] | None) -> None:
        if ratings is None:  # an empty cell
            text.append(" " * _SQUARE)
            return
        known = [rating for rating in ratings if rating is not None]
        if not known:
            text.append("··"[:_SQUARE], style="dim")
            return
        mean = sum(known) / len(known)
        share = float(rating_norm(self._scale)(mean))
        number = round(mean)
        if self._shows_states():
            low, high = self._range()
            share = (mean - low) / ((high - low) or 1.0)
            number = round(9 * share)
        colour = to_hex(rating_colormap()(share))
        # Also the number: some terminals have no colours, and some people cannot distinguish them.
        text.append(f"{number:>{_SQUARE}}", style=f"{contrast_colour(colour)} on {colour}")

    def _figures(self) -> Table:
        table = Table.grid(padding=(0, 1))
        if self._shows_states():
            low, high = self._range()
            table.add_row(Text(f"{one_line(self._state, 20)}, 0 to 9"), Text(f"{low:.3g} to {high:.3g}"))
        names = [self._dimension, f"{self._dimension}_draft", *_SEEN, *self._own]
        known = {name: value for name in names if isinstance(value := self._metrics.get(name), float)}
        for name, value in known.items():
            table.add_row(Text(name.replace("_", ", ")), Text(f"{value:.2f}"))
        if self._failed:
            table.add_row(Text("failed", style="bold"), Text(str(self._failed), style="bold"))
        return table


def _first_number(states: Mapping[int, Mapping[str, Any]]) -> tuple[str, dict[int, float]]:
    """The first key whose values are numbers in all states that have it, and these numbers."""
    for key in dict.fromkeys(key for state in states.values() for key in state):
        values = {agent: state[key] for agent, state in states.items() if key in state}
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values()):
            return key, {agent: float(value) for agent, value in values.items()}
    return "", {}
