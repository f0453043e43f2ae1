"""Atomic writes, locks and identity checks of result folders, and names for new ones.

What the folders hold is not known here. Files in them may come from strangers: nothing is written through a link.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sandbox.errors import RunExists, RunLocked, SandboxError, StorageError

_DRAFT = ".draft"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, and rename it to ``path`` if the block ends without an error.

    A reader or a killed process therefore never sees half a file.

    Args:
        path: The file; replaced if it exists. Missing parent folders are created.

    Raises:
        OSError: the file cannot be written; an existing one is left unchanged.
    """
    with draft_folder(path) as draft:
        fresh = draft / path.name
        try:
            yield fresh
            fresh.replace(path)
        except OSError as error:
            if error.filename is not None and Path(os.fsdecode(error.filename)) == fresh:
                error.filename, error.filename2 = str(path), None
            raise


@contextmanager
def draft_folder(target: Path, *, alone: bool = False) -> Iterator[Path]:
    """Yield a new hidden folder beside ``target``, for work that is moved to its place when complete.

    The folder is locked while its process lives and is removed at the end. Drafts of the same target that killed processes
    left behind are removed first.

    Args:
        target: File or folder that is made; missing parent folders are created.
        alone: Refuse to start while another process has a draft of the same target.

    Raises:
        RunLocked: another process has one.
        OSError: the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A long name leaves no room for what is added to it.
    prefix = f".{target.name.encode()[:200].decode(errors='ignore')}-"
    try:
        draft, lock = _locked_draft(prefix, target.parent)
    except OSError as error:
        error.filename, error.filename2 = str(target), None
        raise
    try:
        if _remove_abandoned(prefix, target.parent, own=draft) and alone:
            raise RunLocked(f"another process is writing to {target}; wait for it, or choose another --out")
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_draft(prefix: str, parent: Path) -> tuple[Path, int | None]:
    while True:
        # Absolute from Python 3.12 on, relative to the working directory before, if the parent is.
        draft = Path(tempfile.mkdtemp(prefix=prefix, suffix=_DRAFT, dir=parent))
        lock, is_free = _lock_folder(draft)
        # Another process may have taken the new folder for an abandoned one before it was locked.
        if lock is None or (is_free and draft.is_dir()):
            return draft, lock
        os.close(lock)


def _lock_folder(folder: Path) -> tuple[int | None, bool]:
    """Try to lock a folder: its descriptor, None where folders cannot be locked, and whether nobody else holds it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return None, False
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None, False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return descriptor, False
    except OSError:
        os.close(descriptor)
        return None, False
    return descriptor, True


def _remove_abandoned(prefix: str, parent: Path, *, own: Path) -> bool:
    """Remove drafts whose process is gone; whether any is left whose process lives."""
    name = re.compile(re.escape(prefix) + r"\w{8}" + re.escape(_DRAFT))
    is_any_alive = False
    for found in [entry for entry in parent.iterdir() if name.fullmatch(entry.name) and entry.name != own.name]:
        lock, is_free = _lock_folder(found)
        if lock is None:
            continue
        if is_free:
            shutil.rmtree(found, ignore_errors=True)
        else:
            is_any_alive = True
        os.close(lock)
    return is_any_alive


def refuse_link(path: Path) -> Path:
    """Return a path inside a result folder, unless it is a link: writing to it would change a file elsewhere.

    Raises:
        StorageError: it is a symbolic link.
    """
    if path.is_symlink():
        raise StorageError(
            f"{path} is a link, and its target is not written to; remove the link, or choose another --out"
        )
    return path


def subfolder(folder: Path, name: str) -> Path:
    """Create a folder inside a result folder if it is missing, and return it.

    Raises:
        StorageError: it is a symbolic link.
        OSError: it cannot be created.
    """
    path = refuse_link(folder / name)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; see :func:`whole_file`."""
    with whole_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, *, indent: int | None = 2) -> None:
    """Write an object as JSON atomically; NaN and infinities become null. See :func:`whole_file`."""
    write_text(path, json.dumps(finite(content), indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def finite(content: Any) -> Any:
    """Replace NaN and infinities, which JSON cannot represent, by None."""
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


@contextmanager
def locked(path: Path, *, keep: bool = True) -> Iterator[None]:
    """Hold a lock file during the block, so that only one process writes to its folder.

    Args:
        path: The lock file; its folder is created if missing. The operating system releases the lock of a killed process.
        keep: Leave the file behind. If not, a folder that was created and is empty at the end is removed as well.

    Raises:
        RunLocked: another process holds the lock.
        StorageError: the file is a symbolic link.
    """
    from filelock import FileLock, Timeout

    is_new = not path.parent.exists()
    refuse_link(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path).acquire(timeout=0)
    except Timeout:
        raise RunLocked(f"another process is writing to {path.parent}; wait for it, or choose another --out") from None
    with lock:
        try:
            yield
        finally:
            if not keep:
                path.unlink(missing_ok=True)
                if is_new:
                    with suppress(OSError):  # it is not empty
                        path.parent.rmdir()


@contextmanager
def removed_if_refused(folder: Path, is_worth_keeping: Callable[[], bool]) -> Iterator[None]:
    """Remove a result folder that was new or empty, and folders made for it, if the user's error ends the block too early.

    That is before anything was finished.

    The same command, put right, can then use the same folder.

    Args:
        folder: The result folder.
        is_worth_keeping: Whether a part of the result is finished.
    """
    is_new, was_there = not folder.exists(), folder.is_dir()
    missing = [parent for parent in folder.absolute().parents if not parent.exists()]
    is_empty = is_new or (was_there and not any(folder.iterdir()))
    try:
        yield
    except SandboxError:
        if is_empty and not is_worth_keeping():
            shutil.rmtree(folder, ignore_errors=True)
            if was_there:
                folder.mkdir(exist_ok=True)
            with suppress(OSError):  # something else was written into one of them
                for parent in missing:
                    parent.rmdir()
        raise


def check_same_identity(
    path: Path,
    kept: Mapping[str, Any],
    ours: Mapping[str, Any],
    *,
    what: str,
    advice: str = "Resume it with its own settings, or choose another --out",
) -> None:
    """Refuse to resume work that was started with another configuration.

    Args:
        path: The folder, for the message.
        kept: What the folder records, for example its manifest. Keys that ``ours`` lacks are ignored.
        ours: The configuration that is asked for now.
        what: Kind of work, for example ``run`` or ``training``.
        advice: What to do; the last sentence of the message.

    Raises:
        RunExists: names everything that differs, as it was and as it is now.
    """
    was, now = (json.loads(json.dumps(finite(given))) for given in (kept, ours))
    changes = [change for name in now for change in _changes(name, was.get(name), now[name])]
    if changes:
        raise RunExists(f"{path} holds another {what}: {'; '.join(changes)}. {advice}")


def _changes(name: str, was: Any, now: Any) -> list[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        return [change for key in {**was, **now} for change in _changes(f"{name}.{key}", was.get(key), now.get(key))]
    return [] if was == now else [f"{name} was {was!r}, now {now!r}"]


def next_free_name(parent: Path, stem: str) -> Path:
    """The first of PARENT/STEM-1, PARENT/STEM-2, ... that does not exist; ``trl:CPO`` becomes ``trl_CPO``."""
    number, stem = 1, stem.replace(":", "_")
    while (folder := parent / f"{stem}-{number}").exists():
        number += 1
    return folder
