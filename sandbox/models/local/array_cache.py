"""Arrays that take long to compute and depend on their inputs alone, kept in the cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from sandbox.folders import whole_file
from sandbox.models.local.fingerprint import cache_dir

# Seconds that another process is waited for without a word, and in all; after that the array is computed twice.
_SILENT, _PATIENCE = 3, 1800


def cached_array(
    key: Sequence[str], compute: Callable[[], NDArray[np.float32]], *, fingerprint: str | None
) -> NDArray[np.float32]:
    """An array from the cache folder, or computed and kept there; by one process at a time.

    Args:
        key: All texts that it depends on, in order.
        compute: Computes it.
        fingerprint: Identifies the model and the code that compute it; None computes it every time.
    """
    if fingerprint is None:
        return compute()
    digest = hashlib.blake2b(digest_size=16)
    for part in (fingerprint, *key):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    path = cache_dir() / "features" / f"{digest.hexdigest()}.npy"
    if (kept := _load(path)) is not None:
        return kept
    with _alone(path):
        if (kept := _load(path)) is not None:
            return kept
        found = compute()
        try:
            with whole_file(path) as fresh, fresh.open("wb") as file:
                np.save(file, found)
        except OSError:
            pass  # a cache that cannot be written only costs time
    return found


def _load(path: Path) -> NDArray[np.float32] | None:
    try:
        kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # never computed, or the file is damaged
    return kept


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait for another process that computes the same array; without a folder that can be locked, do not wait."""
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_SILENT)
        except Timeout:
            Console(stderr=True).print(f"Waiting for another process that fills {path.parent} ...", highlight=False)
            lock.acquire(timeout=_PATIENCE)
    except (OSError, NotImplementedError, Timeout):
        yield
        return
    try:
        yield
    finally:
        lock.release()
