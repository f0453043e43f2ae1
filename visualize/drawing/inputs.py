"""Reads what plots draw: run folders, and the JSON files that training, evaluation and the like write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd

from sandbox.errors import DataFileError, RunVersion
from sandbox.store.run import Run, open_run

# A run, or the folder of a run or of a result.
Source: TypeAlias = Run | str | Path
SCHEMA = 1
Result = Literal["training", "evaluation", "comparison", "sweep", "evolution", "what_if"]
# The file of each kind of result, what its folder is, and the command that makes one.
_RESULTS: dict[Result, tuple[str, str, str]] = {
    "training": ("training.json", "a trained model", "sandbox train RUN --out DIR"),
    "evaluation": ("evaluation.json", "an evaluation", "sandbox evaluate URI --out DIR"),
    "comparison": ("comparison.json", "a comparison of trainers", "sandbox compare RUN --trainers a,b --out DIR"),
    "sweep": ("sweep.json", "a sweep", "sandbox sweep SCENARIO --grid key=a,b --out DIR"),
    "evolution": ("evolve.json", "an evolution", "sandbox evolve SCENARIO --out DIR"),
    "what_if": ("what_if.json", "a what-if", "sandbox what-if RUN@ROUNDS --event TEXT --out DIR"),
}
NO_ROUND = "no finished round yet"


def as_run(source: Source) -> Run:
    """Return a run, opened from its folder if need be.

    Raises:
        RunNotFound: the folder is not a run.
        RunVersion: the run has another schema version.
    """
    return source if isinstance(source, Run) else open_run(source)


def finished_rounds(run: Run) -> pd.DataFrame:
    """The run's interactions in complete rounds; all interactions as long as no round is complete.

    An incomplete round would show the first rows of the grid as if they were the whole society.
    """
    frame = run.frame()
    complete = frame[frame["round"] < run.rounds]
    return complete if len(complete) else frame


def unfinished_note(run: Run) -> str:
    """Addition to the title of a plot of a run in its first round; otherwise an empty string."""
    return "" if run.rounds else " (in progress)"


def final_scores(frame: pd.DataFrame, dimension: str) -> pd.Series[float]:
    """Observers' ratings of final answers (the revision, else the draft), in 1..scale; NaN where neither was rated."""
    return frame[f"{dimension}_after"].fillna(frame[f"{dimension}_before"])


def read_result(source: Source, kind: Result) -> dict[str, Any]:
    """Read the JSON file of a training, evaluation, comparison, sweep, evolution or what-if.

    Args:
        source: The folder of the result, or the file itself.
        kind: Which result.

    Raises:
        DataFileError: the file is missing or not JSON.
        RunVersion: the file has another schema version.
    """
    name, what, command = _RESULTS[kind]
    path = source.path if isinstance(source, Run) else Path(source)
    path = path if path.name == name else path / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataFileError(
            f"{path.parent} is not {what}; make one with: {command} ({name}: {error.strerror})"
        ) from None
    except ValueError as error:
        raise DataFileError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DataFileError(f"{path} contains a {type(content).__name__}; expected an object with the key 'schema'")
    if content.get("schema") != SCHEMA:
        raise RunVersion(
            f"{path} has schema {content.get('schema')}; this version reads schema {SCHEMA}. "
            "Read it with the version that wrote it"
        )
    return content


def interval_table(rows: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], columns: Sequence[str]) -> pd.DataFrame:
    """A table of means with their intervals, one row each.

    Args:
        rows: The keys of a row, and its score: mean, low, high and n, of which any may be missing.
        columns: Names of the columns, in order; other entries of a score are left out.
    """
    table = pd.DataFrame([{**score, **keys} for keys, score in rows], columns=list(columns))
    numbers = [name for name in ("value", "mean", "low", "high") if name in columns]
    return table.astype(dict.fromkeys(numbers, "float64"))
