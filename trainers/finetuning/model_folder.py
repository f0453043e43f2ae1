"""Where a model appears, whole or not at all, and what makes a training the same one.

A model is written into a hidden folder beside its own, which it becomes at the end. Checkpoints are not known here.
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
