"""Finished calls of an evaluation, in a file, so that an interrupted one repeats none."""

from __future__ import annotations

from pathlib import Path

from sandbox.conversation.call_file import CallFile
from sandbox.errors import RunExists
from sandbox.folders import refuse_link

FILE = "calls.jsonl"


class EvaluationCallLog(CallFile):
    """The finished calls in the folder of an evaluation.

    Args:
        folder: Of the evaluation.
        resume: Go on with what is there.

    Raises:
        RunExists: something is there, and ``resume`` was not given.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        path = refuse_link(folder / FILE)
        if path.exists() and not resume:
            raise RunExists(
                f"{folder} holds an evaluation that was interrupted; continue it with --resume, or choose another --out"
            )
        super().__init__(path)
