"""What pictures read: runs, and the JSON files that training and evaluation leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from sandbox.errors import DataFileError, RunVersion
from sandbox.store.run import Run, open_run

# A run, or the folder of a run, a trained model, an evaluation or a sweep.
Source: TypeAlias = Run | str | Path
SCHEMA = 1
NO_ROUND = "no finished round yet"


def as_run(source: Source) -> Run:
    """A run, given as such or as its folder.

    Raises:
        RunNotFound: the folder is not a run.
        RunVersion: it was written under another schema.
    """
    return source if isinstance(source, Run) else open_run(source)


def settled(run: Run) -> pd.DataFrame:
    """The run's interactions in finished rounds; while none is finished, all there are.

    A round half done would show the first rows of the grid as if they were the society.
    """
    frame = run.frame()
    finished = frame[frame["round"] < run.rounds]
    return finished if len(finished) else frame


def unfinished_note(run: Run) -> str:
    """A remark for a picture of a run whose first round is under way, else an empty string."""
    return "" if run.rounds else " (round 0 is under way)"


def final_scores(frame: pd.DataFrame, dimension: str) -> pd.Series[float]:
    """What observers gave each final answer: the revision, else the draft. NaN where neither was rated."""
    return frame[f"{dimension}_after"].fillna(frame[f"{dimension}_before"])


def read_training(folder: Source) -> dict[str, Any]:
    """``training.json`` of a trained model.

    Args:
        folder: The model's, or the file itself.

    Raises:
        DataFileError: it is not there or not JSON.
        RunVersion: it was written under another schema.
    """
    return _read(folder, "training.json", "a trained model; make one with: sandbox train RUN --out DIR")


def read_evaluation(folder: Source) -> dict[str, Any]:
    """``evaluation.json`` of an evaluation.

    Args:
        folder: Where it is, or the file itself.

    Raises:
        DataFileError: it is not there or not JSON.
        RunVersion: it was written under another schema.
    """
    return _read(folder, "evaluation.json", "an evaluation; make one with: sandbox evaluate URI --out DIR")


def read_sweep(folder: Source) -> dict[str, Any]:
    """``sweep.json`` of a sweep.

    Args:
        folder: Where it is, or the file itself.

    Raises:
        DataFileError: it is not there or not JSON.
        RunVersion: it was written under another schema.
    """
    return _read(folder, "sweep.json", "a sweep; make one with: sandbox sweep SCENARIO --grid key=a,b --out DIR")


def read_evolution(folder: Source) -> dict[str, Any]:
    """``evolve.json`` of an evolution.

    Args:
        folder: Where it is, or the file itself.

    Raises:
        DataFileError: it is not there or not JSON.
        RunVersion: it was written under another schema.
    """
    return _read(folder, "evolve.json", "an evolution; make one with: sandbox evolve SCENARIO --out DIR")


def _read(folder: Source, name: str, what: str) -> dict[str, Any]:
    path = folder.path if isinstance(folder, Run) else Path(folder)
    path = path if path.name == name else path / name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataFileError(f"{path.parent} is not {what} ({name}: {error.strerror})") from None
    except ValueError as error:
        raise DataFileError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise DataFileError(f"{path} holds a {type(found).__name__}; expected an object with the key 'schema'")
    if found.get("schema") != SCHEMA:
        raise RunVersion(
            f"{path} was written under schema {found.get('schema')}; this version reads schema {SCHEMA}. "
            "Read it with the version that wrote it"
        )
    return found
