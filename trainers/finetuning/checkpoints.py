"""Checkpoints, from which an interrupted training resumes.

They are in a hidden folder beside the model folder, ``.NAME.checkpoints``, and are removed when the model is saved, unless one
is kept for more epochs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.errors import RunExists
from sandbox.folders import check_same_identity, write_json
from trainers.finetuning.model_folder import without_length

# The last file of a checkpoint: without it a checkpoint is incomplete.
_MARKER = "sandbox.json"


class Checkpoints:
    """The checkpoints of one training.

    Args:
        target: Model folder of the training.
        who: Its :func:`~trainers.finetuning.model_folder.identity`.

    Attributes:
        folder: Folder of the checkpoints.
        last: The newest complete checkpoint; None if there is none.
    """

    def __init__(self, target: Path, who: Mapping[str, Any]) -> None:
        self.folder = target.parent / f".{target.name}.checkpoints"
        self._who = who
        self.last: Path | None = None

    def begin(self, resume: bool) -> None:
        """Find the checkpoints of an earlier process.

        Raises:
            RunExists: there are checkpoints and ``resume`` is False, or they belong to another training.
        """
        whole = [path for path in self.folder.glob("checkpoint-*") if (path / _MARKER).is_file()]
        if not whole:
            return
        last = max(whole, key=_step)
        if not resume:
            raise RunExists(
                f"{self.folder} contains checkpoints of a training that was interrupted after step {_step(last)}; continue "
                f"it with --resume, or remove that folder"
            )
        kept = {**self._read(last)["who"]}
        # Epochs may have been raised since.
        check_same_identity(last, without_length(kept), without_length(self._who), what="training")
        self.last = last

    def check_length(self, steps: int) -> None:
        """Refuse a training that would end before the last checkpoint.

        Raises:
            RunExists: the checkpoint is of a later step.
        """
        if self.last is not None and _step(self.last) > steps:
            raise RunExists(
                f"{self.last} is of step {_step(self.last)}, but the training would end after step "
                f"{steps}; use at least as many epochs or steps, or choose another --out"
            )

    def history(self) -> list[dict[str, float]]:
        """The history up to the last checkpoint."""
        return [] if self.last is None else list(self._read(self.last)["history"])

    def mark_complete(self, step: int, history: list[dict[str, float]]) -> None:
        """Mark the checkpoint of a step as complete."""
        folder = self.folder / f"checkpoint-{step}"
        write_json(folder / _MARKER, {"who": self._who, "history": history}, indent=None)

    def move_tracker_logs(self, draft: Path) -> None:
        """Move the logs of trackers, ``runs``, from the checkpoints to the model folder."""
        for path in self.folder.glob("*"):
            if not path.name.startswith("checkpoint-"):
                path.rename(draft / path.name)

    def remove(self, *, keep_last: bool = False) -> None:
        """Remove all checkpoints, or all but the last."""
        if keep_last:
            whole = sorted(self.folder.glob("checkpoint-*"), key=_step)
            for folder in whole[:-1]:
                shutil.rmtree(folder, ignore_errors=True)
            return
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, folder: Path) -> dict[str, Any]:
        return dict(json.loads((folder / _MARKER).read_text(encoding="utf-8")))


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])
