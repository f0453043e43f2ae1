"""Colours of agents on the dashboard: what they show, of which number, and the bar that explains them. Knows no page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pandas as pd
from matplotlib.colors import to_hex

from sandbox.records import Interaction
from sandbox.store.run import Run
from visualize.drawing.agent_values import bar_title, is_rated
from visualize.drawing.persona_columns import PERSONA, persona_columns, persona_values
from visualize.drawing.scenario_values import EXTRA, STATE, extra_values, is_number, state_values
from visualize.drawing.style import LABEL_STYLES, label_order, label_styles, rating_colormap
from visualize.drawing.words import word_groups

_BY = ("rating", "gain", "label")
_STEPS = 256
# Values of interactions are read from the whole run; from larger ones they are not.
_INTERACTIONS = 500_000


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
        self._grouped: dict[str, tuple[int, dict[str, str]]] = {}

    def known(self) -> list[str]:
        """What agents can be coloured by: ratings, labels, personas, and numbers and words of states and interactions."""
        return [
            *_BY,
            *self._run.dimensions[1:],
            *persona_columns(self._run),
            *(["difference"] if self._other is not None else []),
            *self._own(),
        ]

    def _own(self) -> list[str]:
        """The numbers, then the words, of states and interactions."""
        tables = self._tables()
        return [str(name) for numbers in (True, False) for t in tables for name in t if is_number(t[name]) == numbers]

    def default(self, has_ratings: bool) -> str:
        """What they are coloured by at first: the scenario's own numbers or words where there are no ratings."""
        own = [] if has_ratings else self._own()
        return own[0] if own else "rating" if has_ratings else "label"

    def _column(self, by: str) -> pd.Series[Any]:
        """All values of a column of the personas, states or interactions; empty where it has none."""
        if by.startswith(PERSONA):
            return persona_values(self._run, by, is_merged=False)
        table = self._tables()[by.startswith(EXTRA)]
        return table[by] if by in table else pd.Series(dtype="float64")

    def _groups(self, by: str) -> dict[str, str]:
        """The group of each word; empty for numbers."""
        if not by.startswith((STATE, EXTRA, PERSONA)):
            return {}
        at = len(self._run.agents()) if by.startswith(PERSONA) else self._run.rounds
        if self._grouped.get(by, (-1, {}))[0] != at:
            values = self._column(by)
            limit = len(LABEL_STYLES) - (not by.startswith(PERSONA))
            self._grouped[by] = at, {} if is_number(values) else word_groups(values.dropna(), limit)
        return self._grouped[by][1]

    def _group_colours(self, by: str) -> dict[str, str]:
        """The colour of each group of words, the same as in pictures; empty for numbers."""
        styles = label_styles(label_order(self._groups(by).values()))
        return {name: style.colour for name, style in styles.items()}

    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The values of states and of interactions."""
        rounds = self._run.rounds
        if self._read is None or self._read[0] != rounds:
            is_small = rounds * len(self._run.agents()) <= _INTERACTIONS
            extra = extra_values(self._run) if is_small else pd.DataFrame()
            self._read = (rounds, state_values(self._run), extra)
        return self._read[1], self._read[2]

    def values(
        self, by: str, round_: int, said: Mapping[int, Interaction], there: Mapping[int, Interaction]
    ) -> dict[int, float | str]:
        """The number, or word, of each agent in a round that has one.

        Args:
            by: What is shown.
            round_: The round.
            said: Its interactions, by agent.
            there: Those of the other run.
        """
        if by == "label":
            return {}
        if by.startswith(PERSONA):
            return dict(self._column(by).dropna())
        if by.startswith((STATE, EXTRA)):
            table, key = self._tables()[by.startswith(EXTRA)], round_ + by.startswith(STATE)
            is_known = by in table and key in table.index.get_level_values(0)
            return {} if not is_known else dict(table[by].xs(key, level=0).dropna())
        found = {agent: self._of(by, it, there.get(agent)) for agent, it in said.items()}
        return {agent: value for agent, value in found.items() if value is not None}

    def _of(self, by: str, it: Interaction, there: Interaction | None) -> float | None:
        if by == "gain":
            return _minus(it.after.value(self._dimension), it.before.value(self._dimension))
        if by == "difference":
            return None if there is None else _minus(final(it, self._dimension), final(there, self._dimension))
        return final(it, by if by in self._run.dimensions else self._dimension)

    def painter(self, by: str) -> Callable[[float | str | None], str | None]:
        """What gives the colour of a value, of a table, as each click needs hundreds; None without a value, and for labels."""
        colours = self._group_colours(by)
        groups = {word: colours[group] for word, group in self._groups(by).items()}
        low, high = (0.0, 1.0) if groups or by == "label" else self._limits(by)
        palette, width = rating_palette(), (high - low) or 1.0

        def paint(value: float | str | None) -> str | None:
            if value is None or by == "label":
                return None
            if isinstance(value, str):
                return groups[value]
            return palette[max(0, min(int((value - low) / width * _STEPS), _STEPS - 1))]

        return paint

    def text(self, by: str, value: float | str | None) -> str:
        """A number in a cell of the map."""
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        is_own = by.startswith((STATE, EXTRA, PERSONA))
        return f"{value:.3g}" if is_own else f"{value:.1f}" if is_rated(by, self._run) else f"{value:+z.1f}"

    def bar(self, by: str) -> dict[str, Any] | None:
        """The bar of the colours: ``title``, the ends ``low`` and ``high`` as text, and ``gradient`` (CSS). None for labels.

        Of groups, ``groups`` has the name and colour of each in the place of the gradient.
        """
        if by == "label":
            return None
        if groups := self._group_colours(by):
            return {"title": self._title(by), "groups": [list(one) for one in groups.items()]}
        low, high = self._limits(by)
        beyond = by in ("gain", "difference")
        ends = (f"≤ {low:+g}", f"≥ {high:+g}") if beyond else (f"{low:.3g}", f"{high:.3g}")
        return {"title": self._title(by), "low": ends[0], "high": ends[1], "gradient": gradient()}

    def review_bar(self) -> dict[str, Any]:
        """The bar of the arrows: ratings by neighbours."""
        title = f"arrows: {self._dimension} as reviewers rate it (1 to {self._run.scale}), from reviewer to author"
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
        if not by.startswith((STATE, EXTRA, PERSONA)):
            return 1.0, float(self._run.scale)
        known = self._column(by)
        return (float(known.min()), float(known.max())) if known.notna().any() else (0.0, 1.0)


@cache
def rating_palette() -> list[str]:
    """The colour map of numbers in 256 steps, from the lowest to the highest."""
    return [to_hex(rating_colormap()(step)) for step in range(_STEPS)]


def gradient() -> str:
    """The colour map of numbers, as CSS."""
    return f"linear-gradient(to right, {', '.join(rating_palette()[i * (_STEPS - 1) // 8] for i in range(9))})"


def final(it: Interaction, dimension: str) -> float | None:
    """Observers' rating of the final answer (the revision, else the draft); None if neither was rated."""
    after = it.after.value(dimension)
    return after if after is not None else it.before.value(dimension)


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
