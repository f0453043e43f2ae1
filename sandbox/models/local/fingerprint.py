"""The cache folder, and fingerprints (hashes) of weights.

Knows only files and folders; loads no model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sandbox.errors import ModelNotFound
from sandbox.folders import write_json

_WEIGHTS = ("*.safetensors", "*.bin")
# Files of transformers' trainers beside the weights, which do not belong to the model.
_NOT_WEIGHTS = frozenset({"training_args.bin", "optimizer.bin", "scheduler.bin"})


def cache_dir() -> Path:
    """The cache folder, for converted models and hashes; created if missing.

    ``SANDBOX_CACHE`` names it; otherwise it is ``social-sandbox`` in ``XDG_CACHE_HOME`` or in ``~/.cache``.

    Raises:
        ModelNotFound: the folder cannot be created.
    """
    own = os.environ.get("SANDBOX_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = (Path(own) if own else Path(base) / "social-sandbox").expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelNotFound(
            f"the cache folder {path} cannot be created ({error.strerror}); set SANDBOX_CACHE to a writable folder"
        ) from error
    return path


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file as hex digits; cached until its size or modification time changes.

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
        pass  # not cached, or the entry is damaged
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(OSError):  # a read-only cache only costs time
        write_json(note, {"path": str(path), "seen": seen, "sha256": digest}, indent=None)
    return digest


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a model or adapter folder, by name; only safetensors if there are any."""
    for pattern in _WEIGHTS:
        found = sorted(p for p in folder.glob(pattern) if p.name not in _NOT_WEIGHTS)
        if found:
            return found
    return []


def fingerprint(folders: Iterable[Path]) -> str:
    """Hash the weights in one or more folders, for example a base model and its adapter, to 16 hex digits.

    The hash depends on the contents and the order of the files, not on their location.
    """
    whole = hashlib.blake2b(digest_size=8)
    for folder in folders:
        for path in weight_files(folder):
            whole.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return whole.hexdigest()
