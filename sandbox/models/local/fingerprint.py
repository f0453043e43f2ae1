"""Where the project keeps files it has made, and how it tells one set of weights from another.

Knows files and folders only; loads no model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from sandbox.errors import ModelNotFound

_WEIGHTS = ("*.safetensors", "*.bin")
# What transformers' trainers leave beside the weights; it changes from run to run and nobody speaks with it.
_NOT_WEIGHTS = frozenset({"training_args.bin", "optimizer.bin", "scheduler.bin"})


def cache_dir() -> Path:
    """The folder for converted models and remembered hashes; made if it is not there.

    ``SANDBOX_CACHE`` names it; else it is ``social-sandbox`` in ``XDG_CACHE_HOME`` or in ``~/.cache``.

    Raises:
        ModelNotFound: it cannot be made or written.
    """
    own = os.environ.get("SANDBOX_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = (Path(own) if own else Path(base) / "social-sandbox").expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelNotFound(
            f"the cache folder {path} cannot be made ({error.strerror}); set SANDBOX_CACHE to a folder you may write"
        ) from error
    return path


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file as hex digits, read again only when its size or time of change differs.

    Raises:
        OSError: the file cannot be read.
    """
    path = path.resolve()
    stat = path.stat()
    seen = [stat.st_size, stat.st_mtime_ns]
    note = cache_dir() / "digests" / f"{hashlib.blake2b(str(path).encode(), digest_size=16).hexdigest()}.json"
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
        if kept["seen"] == seen:
            return str(kept["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never hashed, or the note is damaged: hash again
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(note, {"path": str(path), "seen": seen, "sha256": digest})
    return digest


def _remember(note: Path, content: dict[str, object]) -> None:
    # Written beside and renamed, so that another process never reads half a note.
    draft = note.with_suffix(f".{os.getpid()}")
    try:
        note.parent.mkdir(exist_ok=True)
        draft.write_text(json.dumps(content), encoding="utf-8")
        draft.replace(note)
    except OSError:
        draft.unlink(missing_ok=True)  # a cache that cannot be written only costs time


def weight_files(folder: Path) -> list[Path]:
    """The files of a model or adapter folder that hold weights, by name; safetensors alone where there are any."""
    for pattern in _WEIGHTS:
        found = sorted(p for p in folder.glob(pattern) if p.name not in _NOT_WEIGHTS)
        if found:
            return found
    return []


def fingerprint(folders: Iterable[Path]) -> str:
    """Hash the weights in one or several folders, as a base model and its adapter, to 16 hex digits.

    The hash depends on the files' contents and order, not on where they are.
    """
    whole = hashlib.blake2b(digest_size=8)
    for folder in folders:
        for path in weight_files(folder):
            whole.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return whole.hexdigest()
