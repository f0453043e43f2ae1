"""Peak memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far, in MiB.

    On Linux from ``VmHWM``, since ``ru_maxrss`` starts with the memory of the parent process.
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
