"""Where a training that was killed goes on from.

Checkpoints stand in a hidden folder beside the model's own, ``.NAME.checkpoints``, and go when the model is there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.errors import RunExists
from sandbox.folders import write_json
from trainers.finetuning.model_folder import check_same

# The last file of a checkpoint: one without it was not finished.
_SEAL = "sandbox.json"


class Checkpoints:
    """The checkpoints of one training.

    Args:
        target: The folder of the model to be.
        who: The training's :func:`~trainers.finetuning.model_folder.identity`.

    Attributes:
        folder: Where they are.
        last: The newest whole one; None at the beginning.
    """

    def __init__(self, target: Path, who: Mapping[str, Any]) -> None:
        self.folder = target.parent / f".{target.name}.checkpoints"
        self._who = who
        self.last: Path | None = None

    def begin(self, resume: bool) -> None:
        """Look for what an earlier process left.

        Raises:
            RunExists: there is something, and ``resume`` is False.
            SettingsError: it is another training's.
        """
        whole = [path for path in self.folder.glob("checkpoint-*") if (path / _SEAL).is_file()]
        if not whole:
            return
        last = max(whole, key=_step)
        if not resume:
            raise RunExists(
                f"{self.folder} holds checkpoints of a training that was stopped after step {_step(last)}; go on with "
                f"it with --resume, or remove that folder"
            )
        check_same(self._read(last)["who"], self._who, last)
        self.last = last

    def history(self) -> list[dict[str, float]]:
        """What was recorded before the last checkpoint."""
        return [] if self.last is None else list(self._read(self.last)["history"])

    def seal(self, step: int, history: list[dict[str, float]]) -> None:
        """Say that the checkpoint of a step is whole."""
        folder = self.folder / f"checkpoint-{step}"
        write_json(folder / _SEAL, {"who": self._who, "history": history}, indent=None)

    def hand_over(self, draft: Path) -> None:
        """Move what trackers wrote beside the checkpoints, as ``runs``, to the model's folder."""
        for path in self.folder.glob("*"):
            if not path.name.startswith("checkpoint-"):
                path.rename(draft / path.name)

    def remove(self) -> None:
        """Remove them all: the model is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, folder: Path) -> dict[str, Any]:
        return dict(json.loads((folder / _SEAL).read_text(encoding="utf-8")))


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])
