"""Errors of disks and databases, as errors that the user can fix.

Where the program reads or writes a file it lets the system's error through; the command line turns it into one message here.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.errors import DamagedFile, SandboxError, StorageError

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder with --out",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder with --out",
    errno.EROFS: "the disk is read-only: choose a folder that can be written with --out",
    errno.EACCES: "permission denied: choose a folder that you may read and write",
    errno.EPERM: "permission denied: choose a folder that you may read and write",
    errno.ENOTDIR: "a part of the path is a file and not a folder: choose another path",
    errno.EISDIR: "it is a folder where a file is expected: choose another path",
    errno.EEXIST: "a file of that name is there already: choose another path",
    errno.ENOENT: "there is no such file or folder: check the path",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ELOOP: "its links lead in a circle: choose another path",
    errno.EMFILE: "too many files are open: raise the limit, for example with ulimit -n 4096",
    errno.EIO: "the disk cannot be read or written: check it",
    errno.ENODEV: "the device is gone: check the disk",
    errno.ESTALE: "the network disk has lost the file: mount it again",
}
_STORAGE = {
    "database or disk is full": _ADVICE[errno.ENOSPC],
    "disk I/O error": "the disk is full or damaged: free some space or check it",
    "unable to open database file": "the folder cannot be written, or does not exist",
    "attempt to write a readonly database": "the folder is read-only: copy it to one that can be written",
    "database is locked": "another process is writing to it: wait for it to end",
}
_DAMAGED = ("malformed", "not a database", "database corruption", "no such table", "no such column")
_KEPT = (
    "What was finished before is kept: once the cause is removed, repeat the command; run, train and evaluate continue with "
    "--resume"
)


@contextmanager
def read_as_written(what: str) -> Iterator[None]:
    """Use content that the program wrote: values that are missing or of another type mean that it is damaged.

    Args:
        what: The file or folder, for the message.

    Raises:
        DamagedFile: names it and what did not fit.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedFile(
            f"{what} is damaged, or was not written by this program ({type(error).__name__}: {_short(error)}). Use a copy "
            "of it, or repeat the command that wrote it"
        ) from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def storage_error(error: BaseException) -> SandboxError | None:
    """The error of a disk or a damaged file behind an exception, in words; None for anything else."""
    if isinstance(error, sqlite3.Error):
        words = str(error)
        for known, advice in _STORAGE.items():
            if known in words:
                return StorageError(f"the record of the run (run.sqlite): {words}; {advice}. {_KEPT}")
        if any(known in words for known in _DAMAGED):
            return DamagedFile(
                f"the record of the run (run.sqlite) is damaged: {words}. Use a copy of the folder, or run again to "
                "another --out"
            )
        return None
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return DamagedFile(f"a file is damaged, or is not in the format that is expected: {error}")
    if isinstance(error, OSError) and error.errno in _ADVICE:
        where = error.filename2 or error.filename
        what = f"{str(where)!r}: " if where is not None else ""
        return StorageError(f"{what}{_ADVICE[error.errno]}. {_KEPT}")
    return None
