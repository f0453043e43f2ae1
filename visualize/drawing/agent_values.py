"""What colours agents on maps, graphs and animations: ratings, gains, labels, personas, or values of the scenario's own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from matplotlib.colors import Colormap, ListedColormap, Normalize

from sandbox.errors import SettingsError
from sandbox.records import names_agent
from sandbox.store.run import Run
from visualize.drawing.inputs import final_scores, finished_rounds
from visualize.drawing.persona_columns import PERSONA, persona_columns, persona_values
from visualize.drawing.scenario_values import (
    EXTRA,
    STATE,
    extra_values,
    grouped_words,
    is_number,
    mean_or_most_frequent,
    own_values,
    state_values,
)
from visualize.drawing.style import LabelStyle, check_choice, one_line, rating_colormap, rating_norm
from visualize.drawing.words import MAX_LETTERS, MAX_WORDS

By = Literal["rating", "label", "gain"]
_NUMBERED = re.compile(r"Agent \d+")


def find_by(by: str, run: Run) -> str:
    """The full name of what is shown: ``persona.job`` for the column ``job``, and ``rating`` for the first dimension.

    Raises:
        SettingsError: the run has no values for it; names what there is.
    """
    if by in get_args(By):
        return by
    if by in run.dimensions:
        return "rating" if by == run.dimensions[0] else by
    columns = persona_columns(run)
    if (named := by if by.startswith(PERSONA) else f"{PERSONA}{by}") in columns:
        return named
    own = own_values(run)
    if by in own:
        return by
    known = [*get_args(By), *run.dimensions, *columns, *own]
    kinds = {STATE: "states", EXTRA: "interactions' extra", PERSONA: "agents' personas"}
    if (start := next((start for start in kinds if by.startswith(start)), None)) is None:
        check_choice("by", by, known)
    if start != PERSONA and names_agent(by):
        raise SettingsError(
            f"by={by!r} names agents, and is no quantity that colours could show. There are: {', '.join(known)}"
        )
    what = (
        "column"
        if start == PERSONA
        else f"number or word (texts of at most {MAX_WORDS} kinds and {MAX_LETTERS} characters)"
    )
    raise SettingsError(
        f"by={by!r}: the run has no {what} of that name in its {kinds[start or STATE]}. There are: {', '.join(known)}"
    )


def default_by(by: str, run: Run, has_ratings: bool) -> str:
    """``by``; where it is ``rating`` and there are none, the first of :func:`own_values`, or else the labels."""
    if by != "rating" or has_ratings:
        return by
    return next(iter(own_values(run)), "label")


def is_rated(by: str, run: Run) -> bool:
    """Whether ratings on a dimension are shown."""
    return by == "rating" or by in run.dimensions


def is_grouped(by: str, values: pd.Series[Any]) -> bool:
    """Whether groups of agents are shown, by label or by words, rather than numbers."""
    return by == "label" or (by.startswith((STATE, EXTRA, PERSONA)) and not is_number(values))


def agent_values(by: str, run: Run) -> pd.Series[Any]:
    """The value of each agent, by its index: the mean over complete rounds; of a state, its value after the last.

    Words of interactions are the most frequent ones; a word that is not frequent among agents may be one of ``N others``.
    """
    if by.startswith(STATE):
        states = grouped_words(state_values(run)[by])
        last = states.index.get_level_values("rounds") == run.rounds
        return states[last].droplevel("rounds")
    if by.startswith(EXTRA):
        values = grouped_words(extra_values(run)[by])
        return mean_or_most_frequent(values, values.index.get_level_values("agent"))
    if by.startswith(PERSONA):
        return persona_values(run, by)
    frame, dimension = finished_rounds(run), by if by in run.dimensions else run.dimensions[0]
    gains = frame[f"{dimension}_after"] - frame[f"{dimension}_before"]
    shown = gains if by == "gain" else final_scores(frame, dimension)
    return shown.groupby(frame["agent"]).mean()


def values_title(by: str, run: Run) -> str:
    """What is shown, as a title."""
    if by.startswith((STATE, EXTRA, PERSONA)):
        return one_line(by.partition(".")[2])
    if is_rated(by, run):
        return f"{one_line(run.dimensions[0] if by == 'rating' else by)} of final answers"
    return f"gain in {one_line(run.dimensions[0])}" if by == "gain" else "labels"


def bar_title(by: str, run: Run) -> str:
    """Title of the colour bar: what is shown, with its unit or range."""
    name = f"{values_title(by, run)}{_unit(by, run)}"
    if by.startswith(PERSONA):
        return values_title(by, run)
    if by.startswith(STATE):
        return f"{name}, after the round"
    if by.startswith(EXTRA):
        return f"{name}, in the round"
    name = one_line(by if by in run.dimensions else run.dimensions[0])
    return f"{name}, revision minus draft (points)" if by == "gain" else f"{name} (1 to {run.scale})"


def _unit(by: str, run: Run) -> str:
    """The unit of a state or of a number of interactions, where a measure of that name has one that does not repeat it."""
    name = by.partition(".")[2]
    unit = run.measure_axes.get(name, {}).get("unit")
    return f" ({one_line(unit)})" if unit and name not in unit else ""


def check_limits(limits: Sequence[float] | None, by: str, *, is_groups: bool = False) -> None:
    """Refuse limits of colours that are not two ascending numbers.

    Args:
        limits: The limits.
        by: What is shown.
        is_groups: Whether it has no numbers, as :func:`is_grouped` says.

    Raises:
        SettingsError: says what was given and what is expected.
    """
    if limits is None:
        return
    if by == "label" or is_groups:
        what = "labels are none" if by == "label" else f"{by} has texts"
        raise SettingsError(f"limits are of numbers, and {what}; leave limits out, or choose another by")
    if len(limits) != 2 or not all(map(math.isfinite, limits)) or not limits[0] < limits[1]:
        given = ",".join(f"{one:g}" for one in limits)
        raise SettingsError(f"limits={given!r} must be two numbers, LOW,HIGH, the first below the second, as in 1,7")


def colour_values(by: str, labels: pd.Series[Any], values: pd.Series[Any], styles: Iterable[str]) -> Any:
    """The numbers that :func:`colour_scale` colours: positions of labels, or the values. Shape [agents]."""
    return (labels.map(list(styles).index) + 0.5 if by == "label" else values).astype(float).to_numpy()


def colour_scale(
    by: str, run: Run, values: Any, styles: Mapping[str, LabelStyle], limits: Sequence[float] | None = None
) -> tuple[Colormap, Normalize, str]:
    """The colour map of values, what maps values to it, and the format of numbers ("" for labels).

    Args:
        by: What is shown.
        run: The run.
        values: All values that are drawn, in all panels or frames.
        styles: Style of each label.
        limits: Lowest and highest value of the colours; by default the scale of ratings, or else the range of the values.
            A gain is 0 in the middle.
    """
    if by == "label":
        return ListedColormap([style.colour for style in styles.values()]), Normalize(0, len(styles)), ""
    form = "{:.1f}" if is_rated(by, run) else "{:+z.1f}" if by == "gain" else "{:.3g}"
    if limits is not None:
        return rating_colormap(), Normalize(*limits), form
    if is_rated(by, run):
        return rating_colormap(), rating_norm(run.scale), form
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if by == "gain":
        reach = max(1.0, float(np.abs(known).max(initial=0.0)))
        return rating_colormap(), Normalize(-reach, reach), form
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return rating_colormap(), Normalize(low, high if high > low else low + 1), form


def bar_ends(norm: Normalize, values: Any) -> Literal["neither", "min", "max", "both"]:
    """At which ends a colour bar is pointed, as there are values beyond them."""
    known = np.asarray(values, dtype=float)
    low, high = bool((known < norm.vmin).any()), bool((known > norm.vmax).any())
    return "both" if low and high else "min" if low else "max" if high else "neither"


def is_whole(values: Any) -> bool:
    """Whether all known values are whole numbers, as counts and codes are."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    return bool(len(known)) and bool((known == np.round(known)).all())


def shown_labels(run: Run, labels: pd.Series[Any]) -> pd.Series[Any]:
    """The labels as figures tell agents apart by them: one for all agents where labels mean nothing in the run.

    That is so where a population of good and bad agents was not asked for, as it is what a scenario has by default, and the
    labels give agents neither an upbringing nor a role nor a language model.
    """
    manifest = run.manifest
    means_nothing = (
        manifest.get("population") in ("half_half", "mixed_half_half")
        and manifest.get("upbringing") == []
        and not manifest.get("roles")
        and not manifest.get("models", {}).get("agents", {}).get("dealt")
    )
    return pd.Series("agents", index=labels.index, dtype=object) if means_nothing else labels


def given_names(names: Iterable[str], limit: int = 40) -> list[str]:
    """Names as figures show them, on one line of at most ``limit`` characters.

    Empty texts where all are made of numbers: Agent 1, Agent 2 and so on.
    """
    found = [one_line(str(name), limit) for name in names]
    return [""] * len(found) if all(_NUMBERED.fullmatch(name) for name in found) else found
