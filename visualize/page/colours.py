"""Colours of agents on the dashboard: what they show, of which number, and the bar that explains them. Knows no page."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd
from matplotlib.colors import to_hex

from sandbox.records import Interaction
from sandbox.store.run import Run
from visualize.drawing.agent_values import EXTRA, STATE, bar_title, extra_numbers, state_numbers
from visualize.drawing.style import rating_colormap

_BY = ("rating", "gain", "label")
_STEPS = 256
# Numbers of interactions are read from the whole run; from larger ones they are not.
_INTERACTIONS = 50_000


class AgentColours:
    """What agents can be coloured by.

    Args:
        run: The run.
        other: Run to compare with.
    """

    def __init__(self, run: Run, other: Run | None) -> None:
        self._run, self._other = run, other
        self._dimension = run.dimensions[0]
        self._reach = (run.scale - 1) / 2
        self._read: tuple[int, pd.DataFrame, pd.DataFrame] | None = None

    def known(self) -> list[str]:
        """What agents can be coloured by: ratings, labels, and the numbers of their states and interactions."""
        states, extra = self._tables()
        return [
            *_BY,
            *(["difference"] if self._other is not None else []),
            *map(str, (*states.columns, *extra.columns)),
        ]

    def default(self, has_ratings: bool) -> str:
        """What they are coloured by at first: a number of the scenario's own where there are no ratings."""
        own = [] if has_ratings else self.known()[len(_BY) + (self._other is not None) :]
        return own[0] if own else "rating"

    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The numbers of states and of interactions."""
        rounds = self._run.rounds
        if self._read is None or self._read[0] != rounds:
            is_small = rounds * len(self._run.agents()) <= _INTERACTIONS
            extra = extra_numbers(self._run) if is_small else pd.DataFrame()
            self._read = (rounds, state_numbers(self._run), extra)
        return self._read[1], self._read[2]

    def value(
        self, by: str, round_: int, agent: int, it: Interaction | None, there: Interaction | None
    ) -> float | None:
        """The number of an agent in a round.

        Args:
            by: What is shown.
            round_: The round.
            agent: Index of the agent.
            it: Its interaction.
            there: Its interaction in the other run.
        """
        if by.startswith((STATE, EXTRA)):
            table = self._tables()[by.startswith(EXTRA)]
            key = (round_ + by.startswith(STATE), agent)
            value = float(table.at[key, by]) if by in table and key in table.index else float("nan")
            return None if value != value else value
        if it is None:
            return None
        if by == "gain":
            return _minus(it.after.value(self._dimension), it.before.value(self._dimension))
        if by == "difference":
            return None if there is None else _minus(final(it, self._dimension), final(there, self._dimension))
        return final(it, self._dimension)

    def colour(self, by: str, value: float | None) -> str | None:
        """A colour of a table, since each click needs hundreds; None without a value, and for labels."""
        if value is None or by == "label":
            return None
        low, high = self._limits(by)
        share = (value - low) / ((high - low) or 1.0)
        return _palette()[max(0, min(int(share * _STEPS), _STEPS - 1))]

    def text(self, by: str, value: float | None) -> str:
        """A number in a cell of the map."""
        if value is None:
            return ""
        return (
            f"{value:.3g}" if by.startswith((STATE, EXTRA)) else f"{value:.1f}" if by in _BY[::2] else f"{value:+z.1f}"
        )

    def bar(self, by: str) -> dict[str, Any] | None:
        """The bar of the colours: ``title``, the ends ``low`` and ``high`` as text, and ``gradient`` (CSS). None for labels."""
        if by == "label":
            return None
        low, high = self._limits(by)
        beyond = by in ("gain", "difference")
        ends = (f"≤ {low:+g}", f"≥ {high:+g}") if beyond else (f"{low:.3g}", f"{high:.3g}")
        return {"title": self._title(by), "low": ends[0], "high": ends[1], "gradient": _gradient()}

    def review_bar(self) -> dict[str, Any]:
        """The bar of the arrows: ratings by neighbours."""
        title = f"arrows: {self._dimension} as reviewers rate it (1 to {self._run.scale})"
        return {**(self.bar("rating") or {}), "title": title}

    def _title(self, by: str) -> str:
        """The title of the bar, as pictures have it."""
        if by == "difference" and self._other is not None:
            return f"{self._dimension} of final answers, {self._run.name} minus {self._other.name} (points)"
        return bar_title(by, self._run)

    def _limits(self, by: str) -> tuple[float, float]:
        """The numbers at the ends of the colours."""
        if by in ("gain", "difference"):
            return -self._reach, self._reach
        if by.startswith((STATE, EXTRA)):
            table = self._tables()[by.startswith(EXTRA)]
            known = table[by].dropna() if by in table else ()
            return (float(min(known)), float(max(known))) if len(known) else (0.0, 1.0)
        return 1.0, float(self._run.scale)


@cache
def _palette() -> list[str]:
    return [to_hex(rating_colormap()(step)) for step in range(_STEPS)]


def _gradient() -> str:
    return f"linear-gradient(to right, {', '.join(_palette()[i * (_STEPS - 1) // 8] for i in range(9))})"


def final(it: Interaction, dimension: str) -> float | None:
    """Observers' rating of the final answer (the revision, else the draft); None if neither was rated."""
    after = it.after.value(dimension)
    return after if after is not None else it.before.value(dimension)


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
