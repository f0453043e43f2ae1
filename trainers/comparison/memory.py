"""The most memory that this process has had."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_memory_mib() -> float:
    """The most that this process had resident so far, in MiB.

    On Linux from ``VmHWM``: ``ru_maxrss`` there begins with what the parent had when it started this process, however
    small this one stays.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In bytes on macOS, in KiB elsewhere.
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
