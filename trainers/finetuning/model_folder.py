"""Atomic creation of a model folder, and the identity of a training.

A model is written into a hidden folder, which is renamed at the end. Knows no checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import RunExists
from sandbox.folders import draft_folder

if TYPE_CHECKING:
    from datasets import Dataset

# Settings that do not change the result.
_FREE = ("progress", "threads", "report_to", "keep_checkpoints")
# Settings that may grow when a training is resumed.
_LENGTH = ("epochs", "max_steps")


def is_main_process() -> bool:
    """Whether this is the main process of those started by torchrun, which writes files."""
    return os.environ.get("RANK", "0") == "0"


def check_free(target: Path) -> None:
    """Refuse a folder that is not empty.

    Raises:
        RunExists: the folder is not empty.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RunExists(f"{target} already exists and is not an empty folder; choose another --out")


@contextmanager
def new_folder(target: Path, *, replaces: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to the target, or removed after an error.

    Args:
        target: An empty or missing folder.
        replaces: The target may contain a model, which is replaced at the end.

    Raises:
        RunLocked: another process makes the same folder.
    """
    if not is_main_process():  # only the main process makes the folder; the others need somewhere to write
        with draft_folder(target.with_name(f"{target.name}-rank{os.environ['RANK']}")) as draft:
            yield draft
        return
    with draft_folder(target, alone=True) as parent:
        draft = parent / target.name
        draft.mkdir()
        yield draft
        # Files of safetensors are readable by their owner only.
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if target.exists():
            if replaces:
                target.rename(parent / "replaced")
            else:
                target.rmdir()
        draft.rename(target)


def identity(trainer: str, base: str, settings: Mapping[str, Any], rows: Dataset) -> dict[str, Any]:
    """The identity of a training: its trainer, base, rows and settings, as plain JSON types."""
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    kept = {name: value for name, value in settings.items() if name not in _FREE}
    return {"trainer": trainer, "base": base, "rows": digest.hexdigest(), "settings": kept}


def without_length(who: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a training without its epochs and steps."""
    return {**who, "settings": {name: value for name, value in who["settings"].items() if name not in _LENGTH}}
