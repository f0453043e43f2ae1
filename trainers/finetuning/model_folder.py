"""Where a model appears, whole or not at all, and where a training that was killed goes on from.

A model is written into a hidden folder beside its own, which it becomes at the end. Checkpoints stand in another,
``.NAME.checkpoints``, and go when the model is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import RunExists, SettingsError

if TYPE_CHECKING:
    from datasets import Dataset

# The last file of a checkpoint: one without it was not finished.
_SEAL = "sandbox.json"
# Settings that change nothing of what is learnt.
_FREE = ("progress", "threads", "report_to")


def is_main_process() -> bool:
    """Whether this is the process that writes, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def check_free(target: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        RunExists: it does.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RunExists(f"{target} already exists and is not an empty folder; choose another --out")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that becomes it if all goes well, and goes away if not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield draft
        if is_main_process():
            # Temporary folders, and what safetensors writes, are for their owner's eyes only.
            draft.chmod(0o755)
            for path in draft.rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
            if target.exists():
                target.rmdir()
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def identity(trainer: str, base: str, settings: Mapping[str, Any], rows: Dataset) -> dict[str, Any]:
    """What makes a training the same one: its trainer, base, rows and settings, as JSON can hold them."""
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    kept = {name: value for name, value in settings.items() if name not in _FREE}
    return {"trainer": trainer, "base": base, "rows": digest.hexdigest(), "settings": kept}


def check_same(known: Mapping[str, Any], mine: Mapping[str, Any], where: Path) -> None:
    """Refuse to go on with another training.

    Raises:
        SettingsError: names what differs.
    """
    names = ("trainer", "base", "rows")
    differ = [f"{name} ({known.get(name)}, now {mine[name]})" for name in names if known.get(name) != mine[name]]
    before, now = known.get("settings", {}), mine["settings"]
    differ += [
        f"{name} ({before.get(name)}, now {now.get(name)})"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if differ:
        raise SettingsError(
            f"{where} belongs to another training: {', '.join(differ)}. Go on with what it was begun with, or "
            "choose another --out"
        )


class Checkpoints:
    """The checkpoints of one training.

    Args:
        target: The folder of the model to be.
        who: The training's :func:`identity`.

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
        fresh = folder / (_SEAL + ".new")
        fresh.write_text(json.dumps({"who": self._who, "history": history}), encoding="utf-8")
        fresh.replace(folder / _SEAL)

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
