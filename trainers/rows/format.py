"""Format of rows as datasets: the columns of each kind, groups of ranked rows, and statistics."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.errors import require_packages
from trainers.rows.candidates import Candidate, Group
from trainers.rows.kinds import COLUMNS, RowKind

if TYPE_CHECKING:
    from datasets import Dataset


def make_rows(
    kind: RowKind,
    rows: Sequence[Mapping[str, Any]],
    left_out: Mapping[str, int] | None = None,
    reward: Mapping[str, Any] | None = None,
) -> Dataset:
    """A dataset with the columns of a kind, also where there are no rows.

    Args:
        kind: Of the rows.
        rows: With the kind's columns; others than those of :mod:`trainers.rows.build` are dropped.
        left_out: What was not used, by reason; travels with the dataset, though not into files.
        reward: Numbers of the reward that rated them; likewise.
    """
    require_packages("a dataset of rows", "datasets")
    from datasets import Dataset, DatasetInfo, Features

    features = Features(_features(kind))
    kept = {reason: n for reason, n in (left_out or {}).items() if n}
    info = DatasetInfo(
        description=json.dumps({"left_out": kept, **({"reward": dict(reward)} if reward else {})}), features=features
    )
    columns = {name: [row.get(name) for row in rows] for name in features}
    return Dataset.from_dict(columns, features=features, info=info)


def _features(kind: RowKind) -> dict[str, Any]:
    from datasets import List, Value

    text, number = Value("string"), Value("float64")
    messages = List({"role": text, "content": text})
    types = {
        "prompt": messages,
        "completions": List(text),
        "ratings": List(number),
        "chosen": messages,
        "rejected": messages,
        "completion": messages,
        "label": Value("bool"),
        "gap": number,
        "rating": number,
        "count": number,
    }
    extra = {
        RowKind.PREFERENCES: ("gap",),
        RowKind.DEMONSTRATIONS: ("rating",),
        RowKind.UNPAIRED: ("rating", "count"),
    }
    names = (*COLUMNS[kind], *extra.get(kind, ()))
    return {**{name: types[name] for name in names}, "part": text, "question": text, "scale": number}


def groups_of(rows: Dataset) -> list[Group]:
    """The groups that ranked or preferences rows were made of, or could have been.

    A preference says which of two answers is the better, and at most by how much. Its answers get ratings around the
    middle of the scale, so that the better one is good and the worse one bad: half their ``gap`` above and below it;
    without a gap, as where people chose, half the range apart: 5.5 and 2.5 on 1..7. Pairs of one prompt with the same
    better answer are one group.

    Args:
        rows: Ranked or preferences.
    """
    if "chosen" in rows.column_names:
        return _paired(rows)
    return [
        Group(*_about(row), tuple(Candidate(*pair) for pair in zip(row["completions"], row["ratings"], strict=True)))
        for row in rows
    ]


# Part, question, prompt and scale of a group.
_About: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...], float]


def _about(row: Mapping[str, Any]) -> _About:
    return row["part"], row["question"], tuple((turn["role"], turn["content"]) for turn in row["prompt"]), row["scale"]


def _paired(rows: Dataset) -> list[Group]:
    found: dict[tuple[_About, str], list[tuple[str, float]]] = {}
    for row in rows:
        scale = row["scale"]
        gap = (scale - 1) / 2 if row.get("gap") is None else min(row["gap"], scale - 1)
        better, worse = (row[side][-1]["content"] for side in ("chosen", "rejected"))
        found.setdefault((_about(row), better), []).append((worse, gap))
    groups = []
    for (about, better), others in found.items():
        middle, widest = (1 + about[3]) / 2, max(gap for _, gap in others)
        best = middle + widest / 2
        worse_ones = {text: Candidate(text, best - gap) for text, gap in others if text != better}
        candidates = (Candidate(better, best), *worse_ones.values())
        groups.append(Group(*about, candidates))
    return groups


def row_statistics(rows: Dataset) -> dict[str, Any]:
    """What rows hold, in numbers.

    Returns:
        ``rows``; ``questions``, the distinct ones; ``parts``, rows of each; and where they have any:
        ``candidates`` in all, ``single``, rows with one candidate only, ``ratings``, how many round to each
        whole number, ``good``, how many are labelled so; ``reward``, the numbers of the reward that rated them;
        ``left_out``, what of the record was not used, by reason.
    """
    found: dict[str, Any] = {"rows": len(rows)}
    columns = set(rows.column_names)
    if "question" in columns:
        found["questions"] = len(set(rows["question"]))
    if "part" in columns:
        found["parts"] = dict(Counter(rows["part"]))
    ratings: list[float] = []
    if "ratings" in columns:
        sizes = [len(given) for given in rows["ratings"]]
        found |= {"candidates": sum(sizes), "single": sizes.count(1)}
        ratings = [rating for given in rows["ratings"] for rating in given]
    elif "rating" in columns:
        ratings = [rating for rating in rows["rating"] if rating is not None]
    if ratings:
        counts = Counter(math.floor(rating + 0.5) for rating in ratings)
        found["ratings"] = {str(rating): counts[rating] for rating in sorted(counts)}
    if "label" in columns:
        found["good"] = sum(rows["label"])
    if reward := _description(rows).get("reward"):
        found["reward"] = reward
    left_out = left_out_of(rows)
    return {**found, "left_out": left_out} if left_out else found


def left_out_of(rows: Dataset) -> dict[str, int]:
    """How much of what rows were made of was not used, by reason."""
    return dict(_description(rows).get("left_out", {}))


def reward_of(rows: Dataset) -> dict[str, Any]:
    """Numbers of the reward that rated rows; empty if ratings did."""
    return dict(_description(rows).get("reward", {}))


def _description(rows: Dataset) -> dict[str, Any]:
    try:
        found = json.loads(rows.info.description or "{}")
    except ValueError:
        # Rows made elsewhere describe themselves in words.
        return {}
    return found if isinstance(found, dict) else {}


def left_out_note(left_out: Mapping[str, int]) -> str | None:
    """What was not used, in words; None if all was."""
    details = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n)
    return f"left out: {details}" if details else None
