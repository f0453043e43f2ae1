"""Curves of the dashboard over the rounds: the scenario's own measures, and the ratings. Knows no page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.store.run import Run
from visualize.drawing.style import DRAFT, REVISION, label_styles
from visualize.plots.measures import axis_of, panels

_DASHES = {"-": "", "--": "6 4", "-.": "7 3 2 3", ":": "2 3"}


def curve_panels(run: Run) -> list[dict[str, Any]]:
    """The panels of a run: those of its own measures, then one of the ratings on each dimension.

    Returns:
        Of each panel its ``title``, ``unit``, ``about``, ``low`` and ``high`` (ends of the axis; both 0 without a value) and
        ``curves``: name, colour, dash (of SVG) and values by round (None without a value). Panels without values are kept
        for measures and left out for ratings.
    """
    metrics = run.metrics()
    found = [
        _panel(
            title,
            axis_of(run, names[0])["unit"],
            names,
            names,
            metrics,
            _about(run, names),
            _limits(run, names, metrics),
        )
        for title, names in panels(run).items()
    ]
    for dimension in run.dimensions:
        if any(one.get(dimension) is not None for one in metrics):
            names = [f"{dimension}_draft", dimension]
            limits = (1.0, float(run.scale))
            words = ["draft", "final answer"]
            panel = _panel(f"{dimension}, by observers", "points", names, words, metrics, "", limits)
            # As in all figures.
            for curve, (colour, dash) in zip(panel["curves"], ((DRAFT, "6 4"), (REVISION, "")), strict=True):
                curve |= {"colour": colour, "dash": dash}
            found.append(panel)
    return found


def _about(run: Run, names: Sequence[str]) -> str:
    return "; ".join(f"{name}: {run.own_measures[name]}" for name in names if run.own_measures[name])


def _limits(run: Run, names: Sequence[str], metrics: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """The ends of an axis: the limits of all its measures, and values beyond them; None for an end without a limit."""
    known = [v for one in metrics for name in names if (v := _number(one.get(name))) is not None]
    lows, highs = zip(*(axis_of(run, name)["limits"] for name in names), strict=True)
    return None if None in lows else min([*lows, *known]), None if None in highs else max([*highs, *known])


def _panel(
    title: str, unit: str, names: Sequence[str], words: Sequence[str], metrics: Sequence[Mapping[str, Any]], about: str,
    limits: tuple[float | None, float | None],
) -> dict[str, Any]:  # fmt: skip
    values = {name: [_number(one.get(name)) for one in metrics] for name in names}
    known = [value for row in values.values() for value in row if value is not None]
    low, high = (
        given if given is not None else end(known, default=0.0) for given, end in zip(limits, (min, max), strict=True)
    )
    styles = label_styles(names)
    return {
        "title": title,
        "unit": unit,
        "about": about,
        "low": low,
        "high": high,
        "curves": [
            {"name": word, "colour": styles[name].colour, "dash": _DASHES.get(str(styles[name].linestyle), "4 2"),
             "values": values[name]}
            for name, word in zip(names, words, strict=True)
        ],
    }  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
