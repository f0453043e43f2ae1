"""Population of a society: assigns labels and language models to agents."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.errors import ScenarioError, nearest
from sandbox.scenario.personas import Personas

POPULATIONS = ("all_good", "all_bad", "half_half", "mixed_half_half")

Population = str | Mapping[str, float]


def read_population(given: Population) -> Population:
    """Parse a population: a setting of the paper, shares of labels such as ``good=0.7,bad=0.3``, or ``column:NAME``.

    ``column:NAME`` takes the label of each agent from that column of its persona, or attribute of its node.

    Raises:
        ScenarioError: the population is none of these, or the shares do not sum to 1.
    """
    if isinstance(given, str):
        if given in POPULATIONS or (given.startswith("column:") and given != "column:"):
            return given
        shares = _pairs(given)
        if shares is None:
            raise ScenarioError(
                f"population {given!r} is not one of {', '.join(POPULATIONS)}, nor shares of labels such as "
                f"good=0.7,bad=0.3, nor column:NAME of the personas.{nearest(given, POPULATIONS)}"
            )
        given = shares
    if not given or any(share < 0 for share in given.values()) or abs(sum(given.values()) - 1) > 1e-6:
        raise ScenarioError(f"shares of a population must be 0 or more and sum to 1; found {dict(given)}")
    return dict(given)


def _pairs(text: str) -> dict[str, float] | None:
    try:
        return {name.strip(): float(share) for name, _, share in (part.partition("=") for part in text.split(","))}
    except ValueError:
        return None


def labels(population: Population, n: int, side: int | tuple[int, int], draw: random.Random) -> list[str]:
    """Assign a label to each agent, in the order of their indices.

    Args:
        population: Result of :func:`read_population`. With ``half_half`` agents with row <= column are good, until half of
            the agents (rounded down) are; ``mixed_half_half`` and shares are assigned at random.
        n: Number of agents.
        side: Side of the grid, or its rows and columns, for ``half_half``; where they differ, agents on or above the diagonal
            come first.
        draw: Random generator of this choice.
    """
    if population == "half_half":
        found, good = [], 0
        rows, columns = (side, side) if isinstance(side, int) else side
        for i in range(n):
            row, column = divmod(i, columns)
            above = row <= column if rows == columns else row * (columns - 1) <= column * (rows - 1)
            is_good = above and good < n // 2
            good += is_good
            found.append("good" if is_good else "bad")
        return found
    shares = {"all_good": {"good": 1.0}, "all_bad": {"bad": 1.0}}.get(str(population))
    if population == "mixed_half_half":
        dealt = ["good"] * (n // 2) + ["bad"] * (n - n // 2)
    else:
        dealt = apportion(shares or dict(population), n)  # type: ignore[arg-type]
    if len(set(dealt)) > 1:
        draw.shuffle(dealt)
    return dealt


def apportion(shares: Mapping[str, float], n: int) -> list[str]:
    """Apportion ``n`` seats by shares, by largest remainders (Hamilton's method)."""
    exact = {name: share * n for name, share in shares.items()}
    seats = {name: int(value + 1e-9) for name, value in exact.items()}
    short = n - sum(seats.values())
    for name in sorted(exact, key=lambda k: seats[k] - exact[k])[:short]:
        seats[name] += 1
    return [name for name, count in seats.items() for _ in range(count)]


def read_models(model: Any) -> dict[str, Any]:
    """Parse the language models of agents: one for all, or one per label or share of agents.

    Args:
        model: A URI or model; or a mapping, or its text ``good=smollm2,bad=hf:models/x`` (by label) or
            ``smollm2=0.5,hf:models/x=0.5`` (by share).

    Returns:
        ``{"": model}``, or ``{label: model}``, or ``{model: share}``. By label, ``agent:3`` is a single agent, and ``""`` are
        all others.

    Raises:
        ScenarioError: the shares do not sum to 1, or a part of the text has no ``=``.
    """
    if isinstance(model, str):
        model = _model_pairs(model) or model
    if not isinstance(model, Mapping):
        return {"": model}
    shares = {k: _number(v) for k, v in model.items()}
    if all(v is not None for v in shares.values()):
        total = sum(v or 0 for v in shares.values())
        if abs(total - 1) > 1e-6:
            raise ScenarioError(f"shares of language models must sum to 1; found {dict(model)}, in all {total:g}")
        return shares
    return dict(model)


def _model_pairs(text: str) -> dict[str, str] | None:
    """Split ``name=model,...`` or ``model=share,...``; None for the URI of a single model, which may hold ``=`` too."""
    parts = [part.strip() for part in text.split(",")]
    by_share = [part.rpartition("=") for part in parts]
    if len(parts) > 1 and all(name and _number(share) is not None for name, _, share in by_share):
        return {name.strip(): share.strip() for name, _, share in by_share}
    if "=" not in text.partition(":")[0]:
        return None
    by_label = [part.partition("=") for part in parts]
    wrong = [part for part, (name, equals, uri) in zip(parts, by_label, strict=True) if not (name and equals and uri)]
    if wrong:
        raise ScenarioError(
            f"language models are given as LABEL=URI,LABEL=URI or URI=SHARE,URI=SHARE; found {wrong[0]!r}"
        )
    return {name.strip(): uri.strip() for name, _, uri in by_label}


def are_shares(models: Mapping[str, Any]) -> bool:
    """Whether language models are assigned by share of the agents rather than by label."""
    return all(isinstance(share, float) for share in models.values())


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def deal_models(models: Mapping[str, Any], labels: Sequence[str], draw: random.Random) -> list[Any]:
    """Assign a language model, a URI or an object, to each agent, given their labels.

    Raises:
        ScenarioError: a label has no model.
    """
    if set(models) == {""}:
        return [models[""]] * len(labels)
    if are_shares(models):
        dealt = apportion(models, len(labels))
        draw.shuffle(dealt)
        return dealt
    missing = sorted(set(labels) - set(models))
    if missing and "" not in models:
        raise ScenarioError(
            f"agents labelled {', '.join(missing)} have no language model; found models for {', '.join(sorted(models))}"
        )
    of_label = {label: models[label] if label in models else models[""] for label in labels}
    return [models.get(f"agent:{index}", of_label[label]) for index, label in enumerate(labels)]


def column_of(population: str, personas: Personas | None) -> str:
    """The column NAME of the personas, for the population ``column:NAME``.

    Raises:
        ScenarioError: there are no personas, or they do not have the column.
    """
    column = population.removeprefix("column:")
    if personas is None:
        raise ScenarioError(
            f"{population!r} takes labels from a column of the personas, but the scenario has no personas"
        )
    if column not in personas.columns:
        raise ScenarioError(
            f"{population!r} is not a column of {personas.source}; its columns are {', '.join(personas.columns)}."
            f"{nearest(column, personas.columns)}"
        )
    return column
