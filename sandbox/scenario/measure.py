"""Measures: numbers of a scenario's own for each round, with what a plot needs to draw them. Knows no runs and no plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class Measure:
    """A measure of a round, with the unit, the limits and the panel it is drawn with.

    ::

        Measure(purse, unit="coins", limits=(0, 20), panel="money")

    Attributes:
        function: Function of (interactions, world) that returns a number, or None if there is no value. The first line of its
            docstring describes the measure.
        unit: Unit of the values, which titles the axis, for example ``coins``.
        limits: Lowest and highest possible value, the ends of the axis; None for an end without one. Values beyond them are
            drawn all the same.
        panel: Title of the panel; measures of the same panel are drawn on one axis. By default each has its own, named after
            the measure.
    """

    function: Callable[[list[Any], Any], float | None]
    unit: str = ""
    limits: Limits | None = None
    panel: str = ""

    def __call__(self, interactions: list[Any], world: Any) -> float | None:
        """The value in a round of a world."""
        return self.function(interactions, world)

    @property
    def axis(self) -> dict[str, Any]:
        """Unit, limits and panel, as far as they are given: what a manifest keeps."""
        given = {"unit": self.unit, "limits": None if self.limits is None else list(self.limits), "panel": self.panel}
        return {name: value for name, value in given.items() if value}


Measures = Mapping[str, "Measure | Callable[[list[Any], Any], float | None]"]


def read_measures(given: Measures) -> dict[str, Measure]:
    """Measures by name; a plain function has no unit, limits or panel."""
    return {str(name): one if isinstance(one, Measure) else Measure(one) for name, one in given.items()}


def measure_faults(given: Measures) -> Iterator[tuple[str, str]]:
    """List every fault of a scenario's measures but their names: (field, what is wrong)."""
    units: dict[str, tuple[str, str]] = {}
    for name, one in read_measures(given).items():
        where = f"measures[{name!r}]"
        if not callable(one.function):
            yield where, f"expected a function of (interactions, world) or Measure(function), found {one.function!r}"
        for field, value in (("unit", one.unit), ("panel", one.panel)):
            if not isinstance(value, str):
                yield where, f"{field}={value!r} must be text"
        if one.limits is not None and not _are_limits(one.limits):
            yield (
                where,
                f"limits={one.limits!r} must be (lowest, highest): two numbers in order, or None for an open end",
            )
        if isinstance(one.panel, str) and one.panel:
            first, unit = units.setdefault(one.panel, (name, one.unit))
            if unit != one.unit:
                yield (
                    where,
                    f"shares panel {one.panel!r} with {first!r}, but has the unit {one.unit!r} and not {unit!r}; give both "
                    "the same unit, or different panels",
                )


def _are_limits(given: Any) -> bool:
    if not isinstance(given, tuple | list) or len(given) != 2:
        return False
    known = [end for end in given if end is not None]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in known):
        return False
    return len(known) < 2 or known[0] < known[1]
