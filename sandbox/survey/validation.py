"""Comparison of agents' answers to a survey with those of people: per question, by subgroup, with intervals and a ceiling.

Agents and people are resampled as units: all answers of one are drawn together. The ceiling is how well one half of the
people agrees with the other half, over random splits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import DataFileError, SettingsError, nearest
from sandbox.folders import finite, write_json
from sandbox.metrics.intervals import LEVEL, bounds, numbered
from sandbox.seeding import keyed_seed
from sandbox.storage_errors import read_as_written
from sandbox.survey.people import HumanAnswer, read_people
from sandbox.survey.questions import positions
from sandbox.survey.samples import MEASURES, Sample, Scale, number_scale, option_scale
from sandbox.survey.table import find_survey, read_answers, write_table

SCHEMA = 1
_OVERALL = ("tv", "score")
_PARTS = (("", "value"), ("_low", "low"), ("_high", "high"))
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Compared:
    """A question with the answers of agents and of people in one group.

    Attributes:
        id: Its id.
        kind: Its kind.
        scale: The values that answers may have.
        agents: Answers of agents.
        people: Answers of people.
        left_out: Numbers of answers of ``agents`` and ``people`` that are no value.
    """

    id: str
    kind: str
    scale: Scale
    agents: Sample
    people: Sample
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class _Units:
    """Numbers of the agents and people of a group, over all questions, so that all answers of one are drawn together."""

    agents: dict[Hashable, int] = field(default_factory=dict)
    people: dict[Hashable, int] = field(default_factory=dict)


def validate_survey(
    survey: str | Path,
    people: str | Path,
    *,
    by: str | None = None,
    resamples: int = 1000,
    splits: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare the answers of agents with those of people.

    Args:
        survey: The file of a survey, or the folder of a run that has one.
        people: Table of people's answers; see :func:`sandbox.survey.people.read_people`.
        by: A column of both tables; agents and people are also compared within each of its values.
        resamples: Number of bootstrap resamples of agents and of people, for the intervals.
        splits: Number of random splits of the people into halves, for the ceiling.
        seed: Seed of resamples and splits.

    Returns:
        ``questions``, one entry per number of rounds (``at``), group and question: ``n_agents``, ``n_people``, ``left_out``
        (numbers of answers that are no value of the question), and for each measure ``{value, low, high}``: ``tv``, total
        variation distance; ``wasserstein``, of ordered options and numbers, in their unit or in steps; ``ks``, of numbers;
        ``score``, of SimBench (arXiv:2510.17516); and ``ceiling``, the same measures between halves of the people. ``overall``
        has the means of ``tv`` and ``score`` over the questions. What is not defined is None. Also ``notes``.

    Raises:
        DataFileError: a table cannot be read, or no question is in both.
        SettingsError: ``by`` is not a column of both tables.
    """
    path = find_survey(survey)
    rows, answers = read_answers(path), read_people(people)
    if by is not None:
        _check_column(by, rows[0], path)
        _check_column(by, answers[0].about, people)
    asked, notes = _asked_of_both(rows, answers, path, people)
    questions: list[dict[str, Any]] = []
    overall: list[dict[str, Any]] = []
    groups = _groups(rows, answers, by, notes)
    with read_as_written(str(path)):
        rounds = {number: int(row["at"]) for number, row in enumerate(rows)}
        of = {str(one["question_id"]): one for one in asked}
        rows = [_read_row(row, of.get(str(row["question_id"]))) for row in rows]
        asked = [_read_row(one, one) for one in asked]
    for at in dict.fromkeys(rounds.values()):
        for group in groups:
            given = [row for number, row in enumerate(rows) if rounds[number] == at and group in (None, _cell(row, by))]
            humans = [one for one in answers if group in (None, _about(one, by))]
            units = _Units()
            compared = [_compared(of, given, humans, units) for of in asked]
            about = {"at": at, "group": group}
            found, mean = _measured(compared, units, resamples, splits, seed)
            questions += [about | entry for entry in found]
            overall.append(about | mean)
    notes += _left_out([entry for entry in questions if entry["group"] is None])
    return {
        "schema": SCHEMA, "survey": str(path), "people": str(people), "by": by, "level": LEVEL, "resamples": resamples,
        "splits": splits, "seed": seed, "questions": questions, "overall": overall, "notes": list(dict.fromkeys(notes)),
    }  # fmt: skip


def _left_out(questions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Notes of the answers that are not compared; people's are the same in every round."""
    agents = {(one["question_id"], one["at"]): one["left_out"]["agents"] for one in questions}
    people = {one["question_id"]: one["left_out"]["people"] for one in questions}
    notes = []
    if n := sum(agents.values()):
        notes.append(f"{n} answers of agents could not be read, and are left out")
    if lost := [f"{name} {n}" for name, n in people.items() if n]:
        notes.append(
            f"answers of people that are no option or number of their question are left out: {', '.join(lost)}"
        )
    return notes


def _check_column(by: str, row: Row, source: str | Path) -> None:
    if by not in row:
        known = ", ".join(map(str, row)) or "none but those of the answer"
        raise SettingsError(f"--by {by!r} is not a column of {source}.{nearest(by, row)} Its columns: {known}")


def _cell(row: Row, by: str | None) -> str:
    value = row.get(by) if by is not None else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _about(one: HumanAnswer, by: str | None) -> str:
    return one.about.get(by, "") if by is not None else ""


def _groups(rows: Sequence[Row], answers: Sequence[HumanAnswer], by: str | None, notes: list[str]) -> list[str | None]:
    """None for all, then the values of the column that agents and people share; a note names the others."""
    if by is None:
        return [None]
    of_agents, of_people = {_cell(row, by) for row in rows}, {_about(one, by) for one in answers}
    for who, alone in (("agents", of_agents - of_people), ("people", of_people - of_agents)):
        if alone:
            notes.append(f"only {who} have {by} {', '.join(repr(value) for value in sorted(alone))}; not compared")
    return [None, *sorted(of_agents & of_people)]


def _asked_of_both(
    rows: Sequence[Row], answers: Sequence[HumanAnswer], survey: str | Path, people: str | Path
) -> tuple[list[Row], list[str]]:
    """One row of each question that people answered too, and notes of those that are not compared."""
    first = {str(row["question_id"]): row for row in reversed(rows)}
    known = {one.question for one in answers}
    asked = [row for name, row in reversed(first.items()) if known & {name, str(row["question"])}]
    notes = [f"{row['question_id']} is free text and is not compared" for row in asked if row["kind"] == "text"]
    lacking = sorted(
        known - {name for row in first.values() for name in (str(row["question_id"]), str(row["question"]))}
    )
    if lacking:
        notes.append(f"people answered what agents were not asked: {', '.join(lacking[:10])}")
    compared = [row for row in asked if row["kind"] != "text"]
    if not compared:
        raise DataFileError(
            f"no question of {survey} with options or numbers is in {people}; agents were asked {', '.join(first)}, people "
            f"{', '.join(sorted(known)[:10])}"
        )
    return compared, notes


def _read_row(row: Row, of: Row | None) -> dict[str, Any]:
    """A row of a survey with its numbers and probabilities read, as its question ``of`` has them.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: the program did not write it.
    """
    found = dict(row)
    if of is None:  # not compared
        return found
    if of["kind"] == "number":
        found |= {name: float(of[name]) for name in ("low", "high")}
        if not -math.inf < found["low"] < found["high"] < math.inf:
            raise ValueError(f"low is {of['low']} and high {of['high']}")
    else:
        options = {option.casefold() for option in of["options"].split("|")}
        said = json.loads(row["probabilities"]) if row.get("probabilities") else {}
        if not all(option.casefold() in options and 0 <= share < math.inf for option, share in said.items()):
            raise ValueError(f"{said} are no probabilities of {of['options']}")
        found["probabilities"] = {option: float(share) for option, share in said.items()}
    found["agent"] = int(row["agent"])
    return found


def _compared(of: Row, rows: Sequence[Row], answers: Sequence[HumanAnswer], units: _Units) -> Compared:
    """Gather the answers to one question."""
    name, text, kind = str(of["question_id"]), str(of["question"]), str(of["kind"])
    mine = [row for row in rows if str(row["question_id"]) == name]
    theirs = [one for one in answers if one.question in (name, text)]
    scale, agents, persons = (_numbers if kind == "number" else _options)(of, mine, theirs)
    lost = {
        "agents": sum(found is None for found in agents),
        "people": sum(found is None for found in persons),
    }
    said = [
        ((row.get("run"), row["agent"]), place, share)
        for row, found in zip(mine, agents, strict=True)
        for place, share in found or ()
    ]
    heard = [
        (one.respondent if one.respondent is not None else (name, number), place, one.weight)
        for number, (one, place) in enumerate(zip(theirs, persons, strict=True))
        if place is not None
    ]
    return Compared(name, kind, scale, _sample(said, units.agents), _sample(heard, units.people), lost)


# The scale; of each agent its places on it with their shares, and of each person the place, or None for what has none.
_Placed: TypeAlias = tuple[Scale, list[list[tuple[int, float]] | None], list[int | None]]


def _numbers(of: Row, rows: Sequence[Row], answers: Sequence[HumanAnswer]) -> _Placed:
    low, high = of["low"], of["high"]
    said = [_number(row.get("number"), low, high) for row in rows]
    heard = [_number(one.answer, low, high) for one in answers]
    scale = number_scale([one for one in (*said, *heard) if one is not None] or [low], low, high)
    where = {float(value): place for place, value in enumerate(scale.positions)}
    agents = [None if one is None else [(where[one], 1.0)] for one in said]
    return scale, agents, [None if one is None else where[one] for one in heard]


def _number(given: Any, low: float, high: float) -> float | None:
    try:
        number = float(str(given).replace(",", "."))
    except ValueError:
        return None
    return number if low <= number <= high else None


def _options(of: Row, rows: Sequence[Row], answers: Sequence[HumanAnswer]) -> _Placed:
    options = str(of["options"]).split("|")
    places = positions(options)
    scale = option_scale(places, len(options), is_ordered=of["kind"] == "ordered")
    where = {option.casefold(): place for place, option in enumerate(options)}
    agents: list[list[tuple[int, float]] | None] = []
    for row in rows:
        agents.append([(where[option.casefold()], share) for option, share in row["probabilities"].items()] or None)
    persons = [where.get(one.answer.casefold()) for one in answers]
    if places is not None:  # 7 may be written as 7.0
        of_number = {number: place for place, number in enumerate(places)}
        values = [_number(one.answer, places[0], places[-1]) for one in answers]
        persons = [None if value is None else of_number.get(value) for value in values]
    return scale, agents, persons


def _sample(found: Sequence[tuple[Hashable, int, float]], known: dict[Hashable, int]) -> Sample:
    units, _ = numbered((who for who, _, _ in found), known)
    value = np.array([place for _, place, _ in found], dtype=np.int64)
    return Sample(value, np.array([weight for _, _, weight in found], dtype=np.float64), units)


def _measured(
    compared: Sequence[Compared], units: _Units, resamples: int, splits: int, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The measures of each question with their intervals and ceilings, and the means over the questions."""
    values = np.array([_measures(one) for one in compared])
    drawn = _resampled(compared, units, resamples, seed)
    halves = _halved(compared, len(units.people), splits, seed)
    found = []
    for number, one in enumerate(compared):
        n_agents, n_people = one.agents.n, one.people.n
        enough = n_agents > 1 and n_people > 1
        entry: dict[str, Any] = {
            "question_id": one.id, "kind": one.kind, "n_agents": n_agents, "n_people": n_people,
            "left_out": dict(one.left_out),
        }  # fmt: skip
        for which, name in enumerate(MEASURES):
            entry[name] = _interval(values[number, which], drawn[:, number, which] if enough else None)
        entry["ceiling"] = {
            name: _interval(_mean(halves[:, number, which]), halves[:, number, which])
            for which, name in enumerate(MEASURES)
        }
        found.append(entry)
    overall: dict[str, Any] = {"n_questions": int(np.isfinite(values[:, 0]).sum()), "ceiling": {}}
    for name in _OVERALL:
        which = MEASURES.index(name)
        of = np.isfinite(values[:, which])
        overall[name] = _interval(_mean(values[of, which]), _means(drawn[:, of, which]))
        between = _means(halves[:, of, which])
        overall["ceiling"][name] = _interval(_mean(between), between)
    return found, overall


def _measures(
    one: Compared, agents: NDArray[np.int64] | None = None, people: NDArray[np.int64] | None = None
) -> list[float]:
    values = len(one.scale.positions)
    return one.scale.measure(one.agents.weights(values, agents), one.people.weights(values, people))


def _resampled(compared: Sequence[Compared], units: _Units, resamples: int, seed: int) -> NDArray[np.float64]:
    """The measures in bootstrap resamples of agents and of people. Shape [resamples, questions, measures]."""
    draw = np.random.default_rng(keyed_seed(seed, "resamples"))
    n_agents, n_people = len(units.agents), len(units.people)
    found = np.full((resamples, len(compared), len(MEASURES)), math.nan)
    if n_agents > 1 and n_people > 1:
        for number in range(resamples):
            agents, people = (np.bincount(draw.integers(n, size=n), minlength=n) for n in (n_agents, n_people))
            found[number] = [_measures(one, agents, people) for one in compared]
    return found


def _halved(compared: Sequence[Compared], n_people: int, splits: int, seed: int) -> NDArray[np.float64]:
    """The measures of one random half of the people against the other. Shape [splits, questions, measures]."""
    draw = np.random.default_rng(keyed_seed(seed, "splits"))
    found = np.full((splits, len(compared), len(MEASURES)), math.nan)
    for number in range(splits if n_people > 1 else 0):
        is_in = np.zeros(n_people, dtype=np.int64)
        is_in[draw.permutation(n_people)[: n_people // 2]] = 1
        for place, one in enumerate(compared):
            values = len(one.scale.positions)
            first, second = (one.people.weights(values, half) for half in (is_in, 1 - is_in))
            found[number, place] = one.scale.measure(first, second)
    return found


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of the values that are defined; NaN if none is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over questions of the values that are defined. Shape [replicates]."""
    return np.array([_mean(row) for row in values])


def _interval(value: float, replicates: NDArray[np.float64] | None) -> dict[str, float | None] | None:
    """A value with its percentile interval, whose bounds are None where there is none; None for an undefined value."""
    if math.isnan(value):
        return None
    low, high = (math.nan, math.nan) if replicates is None else bounds(replicates)
    return {"value": float(value), **{name: None if math.isnan(b) else b for name, b in (("low", low), ("high", high))}}


def flat_table(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per number of rounds, group and question: columns MEASURE, MEASURE_low and MEASURE_high, and ceiling_MEASURE."""
    rows = []
    for entry in found["questions"]:
        row = {name: entry[name] for name in ("at", "group", "question_id", "kind", "n_agents", "n_people")}
        row |= {f"left_out_{who}": n for who, n in entry["left_out"].items()}
        for prefix, measures in (("", entry), ("ceiling_", entry["ceiling"])):
            for name in MEASURES:
                given = measures[name] or {}
                row |= {f"{prefix}{name}{end}": given.get(part) for end, part in _PARTS}
        rows.append(row)
    return rows


def write_validation(found: Mapping[str, Any], path: Path) -> None:
    """Write the result of :func:`validate_survey`: all of it as .json, or :func:`flat_table` as .csv, .parquet or .jsonl."""
    import pandas as pd

    if path.suffix == ".json":
        write_json(path, finite(dict(found)))
    else:
        write_table(pd.DataFrame(flat_table(found)), path)
