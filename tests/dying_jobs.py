"""A job for worker processes; in a file of its own, since every worker imports the file that its job is in."""

from __future__ import annotations

import os


def double_or_die(job: int) -> int:
    """Twice the job; the third kills its process."""
    if job == 3:
        os._exit(1)
    return 2 * job
