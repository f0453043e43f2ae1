"""The layout of the paper's released worlds, read and written.

A folder ``external_memory`` contains ``agent_0.jsonl``, ``agent_1.jsonl``, ...: each, despite its suffix, one JSON array
of that agent's interactions, with the keys that ``save_ext_memory`` gives them in
https://github.com/agi-templar/Stable-Alignment/blob/main/stable_alignment/sandbox/agent.py. There, ratings of 1 to 7
are text, "8" is an unreadable rating, and -1 an unreadable score of an observer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, repeat, zip_longest
from pathlib import Path
from typing import Any

from sandbox.data_files import half_character, json_type
from sandbox.errors import RunExists, SettingsError
from sandbox.folders import refuse_link
from sandbox.records import Feedback, Interaction, Rating, Score
from sandbox.store.run import Run

SCALE = 7
# Agents are in the cells of a square grid, in the order of their numbers.
MAX_AGENT = 10**9
UNREAD_RATING, UNREAD_SCORE = "8", -1.0
UNKNOWN = "unknown"
# Dimensions of the rubric -> their names in the layout.
DIMENSIONS = {"alignment": "moral", "engagement": "engagement"}
# Required keys of a record; those in LISTS have an entry per reviewer.
LISTS = ("target_id", "feedback", "rating")
_REQUIRED = ("question", "draft_answer", "revised_answer", *LISTS)
# Key of ``extra`` with the parts of an imported interaction that a record cannot represent.
_RELEASED = "sample_world"

Row = Mapping[str, Any]


def row_faults(row: Any) -> list[str]:
    """List the faults of a record of a file; empty if :func:`read_row` can read it."""
    if not isinstance(row, dict):
        return [f"is {json_type(row)}; expected an object"]
    half = half_character(row)
    if half is not None:
        return [f"contains {half!r}, half of a character, which no text can contain"]
    missing = [name for name in _REQUIRED if name not in row]
    if missing:
        return [f"has no {', '.join(missing)}"]
    faults = [f"{name} is not a list" for name in LISTS if not isinstance(row[name], list)]
    if not isinstance(row["question"], str):
        faults.append("question is not text")
    if not faults and not all(type(agent) is int and 0 <= agent <= MAX_AGENT for agent in row["target_id"]):
        faults.append(f"target_id contains values that are not agents' numbers, 0 to {MAX_AGENT}")
    return faults


def read_row(agent: int, round_: int, row: Row) -> Interaction:
    """Convert a record of an agent's file to an interaction.

    Reviewers, reasons and ratings are paired by position; a reviewer without a reason and a rating has a rating of None.
    """
    said = zip_longest(row["feedback"], row["rating"])
    padded = chain(said, repeat((None, None)))
    feedback = [Feedback(reviewer, _rating(*one)) for reviewer, one in zip(row["target_id"], padded, strict=False)]
    plain = Interaction(
        round=round_,
        agent=agent,
        label=_text(row.get("label")) or UNKNOWN,
        question=row["question"],
        draft=_text(row["draft_answer"]),
        feedback=tuple(feedback),
        revision=_text(row["revised_answer"]),
        before=_score(row, "before"),
        after=_score(row, "after"),
    )
    ours = write_row(plain)
    rest = {name: value for name, value in row.items() if name not in ours or ours[name] != value}
    return replace(plain, extra={_RELEASED: rest}) if rest else plain


def _text(given: Any) -> str | None:
    return None if given is None else str(given)


def _score(row: Row, when: str) -> Score:
    ratings = {}
    for ours, theirs in DIMENSIONS.items():
        if f"gen_{theirs}_score_{when}" in row:
            given = row[f"gen_{theirs}_score_{when}"]
            ratings[ours] = _rating(row.get(f"gen_{theirs}_reason_{when}"), given)
    return Score(ratings)


def _rating(reason: Any, given: Any) -> Rating:
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if 1 <= value <= SCALE:
        return Rating(value, reason=_text(reason) or "")
    # -1 and -1.0 are equal.
    raw = f"{value:g}" if isinstance(given, int | float) and not math.isnan(value) else _text(given) or ""
    return Rating(None, reason=_text(reason) or "", raw=raw)


def write_sample_world(run: Run, out: str | Path) -> Path:
    """Write a run in the authors' layout, for their tools.

    An imported run is reproduced as it was. For any other run, fractional ratings of neighbours are rounded, since these
    tools read whole numbers, and failed interactions are left out.

    Args:
        run: The run.
        out: Folder in which ``external_memory`` is created.

    Returns:
        The folder ``external_memory``.

    Raises:
        SettingsError: the run's rubric is not that of the layout.
        RunExists: the folder contains agents' files.
    """
    if "alignment" not in run.dimensions or run.scale != SCALE:
        raise SettingsError(
            f"{run.path} rates {', '.join(run.dimensions)} from 1 to {run.scale}; the layout sample_world has "
            f"alignment and engagement, from 1 to {SCALE}. Export it with --format jsonl"
        )
    place = Path(out) / "external_memory"
    if any(place.glob("agent_*")):
        raise RunExists(f"{place} already contains agents' files; choose another --out")
    refuse_link(place).mkdir(parents=True, exist_ok=True)
    rows: dict[int, list[Row]] = {int(agent): [] for agent in run.agents()["agent"]}
    for interaction in run.interactions():
        if interaction.error is None:
            rows[interaction.agent].append(write_row(interaction))
    for agent, theirs in rows.items():
        text = json.dumps(theirs, indent=2, ensure_ascii=False)
        (place / f"agent_{agent}.jsonl").write_text(text + "\n", encoding="utf-8")
    return place


def write_row(it: Interaction) -> dict[str, Any]:
    """Convert an interaction to a record of an agent's file."""
    row: dict[str, Any] = {
        "agent_id": it.agent,
        "label": it.label,
        "iteration": it.round,
        "question": it.question,
        "draft_answer": it.draft,
        "target_id": [said.reviewer for said in it.feedback],
        "feedback": [said.rating.reason for said in it.feedback],
        "rating": [_rating_text(said.rating) for said in it.feedback],
        "revised_answer": it.revision,
        **dict(_scores(it)),
        # The released code never uses its moral classifier.
        "cls_moral_score_before": 0,
        "cls_moral_score_after": 0,
    }
    return row | dict(it.extra.get(_RELEASED, {}))


def _rating_text(rating: Rating) -> str:
    return UNREAD_RATING if rating.value is None else str(math.floor(rating.value + 0.5))


def _scores(it: Interaction) -> Iterator[tuple[str, Any]]:
    for ours, theirs in DIMENSIONS.items():
        for when, score in (("before", it.before), ("after", it.after)):
            rating = score.ratings.get(ours, Rating(None))
            yield f"gen_{theirs}_score_{when}", UNREAD_SCORE if rating.value is None else rating.value
            yield f"gen_{theirs}_reason_{when}", rating.reason
