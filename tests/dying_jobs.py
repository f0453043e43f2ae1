"""A job for worker processes; in a file of its own, since every worker imports the file that its job is in."""

from __future__ import annotations

import os
import time
from pathlib import Path


def double_or_die(job: int) -> int:
    """Twice the job; the third kills its process."""
    if job == 3:
        os._exit(1)
    return 2 * job


def write_and_wait(file: str) -> None:
    """Write this process's number into a file, and go on for ever."""
    Path(file).write_text(str(os.getpid()))
    while True:
        time.sleep(0.1)
