"""Differences between two runs of the same agents, with intervals over agents.

The runs are paired: a resample draws the same agents in both, so that what both have in common cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics.intervals import LEVEL, bounds, mean_interval, resampled_sums
from sandbox.metrics.run_metrics import RunSums
from sandbox.records import RecordedRun, names_agent


def metric_differences(
    first: RecordedRun,
    second: RecordedRun,
    rounds: Sequence[int],
    *,
    level: float = LEVEL,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Differences of the metrics of some rounds, second less first, with intervals of the paired bootstrap over agents.

    Args:
        first: A run.
        second: Another run of the same agents.
        rounds: The rounds that are compared.
        level: Confidence level, in (0, 1).
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        For each metric that both have: ``first``, ``second``, ``difference``, ``low``, ``high`` (NaN for fewer than two
        agents), ``n`` (number of agents) and ``over`` (``agents``).
    """
    sums = [RunSums(run, "agent", rounds) for run in (first, second)]
    agents = sorted({key for one in sums for key in one.keys})  # type: ignore[type-var]
    row = {agent: number for number, agent in enumerate(agents)}
    parts = []
    for one in sums:
        units = np.zeros((len(agents), one.units.shape[1]))
        units[[row[key] for key in one.keys]] = one.units
        parts.append(units)
    width = parts[0].shape[1]
    drawn = resampled_sums(np.hstack(parts), resamples, seed)
    totals = [one.measures(part.sum(axis=0)) for one, part in zip(sums, parts, strict=True)]
    replicates = [one.measures(part) for one, part in zip(sums, (drawn[:, :width], drawn[:, width:]), strict=True)]
    found = {}
    for name in totals[0]:
        values = [float(total[name].value) for total in totals]
        if any(map(math.isnan, values)):
            continue
        difference: NDArray[np.float64] = replicates[1][name].value - replicates[0][name].value
        low, high = bounds(difference, level) if len(agents) > 1 else (math.nan, math.nan)
        found[name] = _row(values, values[1] - values[0], low, high, len(agents), "agents")
    return found


def measure_differences(
    first: RecordedRun, second: RecordedRun, rounds: Sequence[int], *, level: float = LEVEL
) -> dict[str, dict[str, Any]]:
    """Differences of the scenario's own measures, which have one value a round: means over rounds, paired by round.

    Args:
        first: A run.
        second: Another run of the same scenario.
        rounds: The rounds that are compared.
        level: Confidence level, in (0, 1).

    Returns:
        As :func:`metric_differences`, with Student's t interval over the rounds in which both have a value; ``n`` is their
        number. Rounds depend on each other, so the interval is no more than a rough guide.
    """
    metrics = first.metrics(), second.metrics()
    found = {}
    for name in first.own_measures:
        pairs = [tuple(of[round_].get(name) for of in metrics) for round_ in rounds]
        known = [pair for pair in pairs if None not in pair]
        if known:
            found[name] = _paired(known, "rounds", level)
    return found


def agent_differences(
    first: Mapping[int, Mapping[str, Any]], second: Mapping[int, Mapping[str, Any]], *, level: float = LEVEL
) -> dict[str, dict[str, Any]]:
    """Differences of numbers that agents have, such as those in their states, paired by agent.

    Args:
        first: For each agent, its values by name, in one run.
        second: The same in another run.
        level: Confidence level, in (0, 1).

    Returns:
        For each name with a number, or truth value, of an agent in both: as :func:`metric_differences`, with Student's t
        interval over these agents. Other values are left out, and numbers whose names say that they name agents (see
        :func:`sandbox.records.names_agent`).
    """
    agents = sorted(set(first) & set(second))
    found = {}
    for name in dict.fromkeys(name for agent in agents for name in first[agent] if not names_agent(name)):
        pairs = [(first[agent].get(name), second[agent].get(name)) for agent in agents]
        known = [pair for pair in pairs if all(isinstance(v, int | float) and math.isfinite(v) for v in pair)]
        if known:
            found[name] = _paired(known, "agents", level)
    return found


def numbers_of_agents(run: RecordedRun, rounds: Sequence[int]) -> dict[int, dict[str, float]]:
    """For each agent, the means over some rounds of the numbers that its interactions hold in ``extra``."""
    kept: dict[int, dict[str, list[float]]] = {}
    for round_ in rounds:
        for it in run.interactions(round_):
            for name, value in it.extra.items():
                if isinstance(value, int | float):
                    kept.setdefault(it.agent, {}).setdefault(name, []).append(float(value))
    return {agent: {name: sum(all_) / len(all_) for name, all_ in of.items()} for agent, of in kept.items()}


def _paired(pairs: Sequence[tuple[Any, ...]], over: str, level: float) -> dict[str, Any]:
    whole = mean_interval([float(b) - float(a) for a, b in pairs], level)
    means = [float(np.mean([float(pair[side]) for pair in pairs])) for side in (0, 1)]
    return _row(means, whole.mean, whole.low, whole.high, whole.n, over)


def _row(values: Sequence[float], difference: float, low: float, high: float, n: int, over: str) -> dict[str, Any]:
    return {
        "first": values[0], "second": values[1], "difference": difference, "low": low, "high": high, "n": n, "over": over,
    }  # fmt: skip
