"""A large society in which everybody speaks in every round: is memory flat, and an interaction as cheap as in a small one?

    python tests/benchmarks/large.py [--quick] [--agents N] [--rounds N] [--folder FOLDER] [--json FILE] [--markdown FILE]...

100,000 agents and 20 rounds, or 10,000 and 3 with ``--quick``. The language model is a stub in this process, and everything is
stored: replies, ratings, reasons, memories. Before and after, 100 agents in the same process give the measure of time. See
README.md beside this file.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rows import SIZE, disk, peak_gb, run_rounds, world  # noqa: E402
from stubs import StubModel  # noqa: E402
from tables import markdown, measured_on, publish  # noqa: E402

from sandbox.errors import SettingsError  # noqa: E402

COLUMNS = ("what", "target", "measured", "result")
MOST_TIME, MOST_MEMORY, MOST_BYTES = 1.3, 1.1, 1.1
BYTES_EACH = 20_000  # of an interaction, amply


def resident_gb() -> float:
    """Memory of this process, in GB (1e9 bytes); the most it ever held where the system does not say."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return peak_gb()
    return int(status.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9


def small(rounds: int) -> float:
    """CPU milliseconds of an interaction among 100 agents, the median of some rounds."""
    with world(StubModel(), radius=1) as society:
        run_rounds(society, 2)
        return statistics.median(run_rounds(society, 1)["cpu_ms"] for _ in range(rounds))


def large(agents: int, rounds: int) -> dict[str, Any]:
    """What each round of a large society takes."""
    began = time.perf_counter()
    with world(StubModel(), size=math.isqrt(agents), radius=1) as society:
        built_s, built_gb = time.perf_counter() - began, resident_gb()
        seen = []
        for number in range(rounds):
            found = run_rounds(society, 1)
            seen.append({**found, "gb": resident_gb()})
            if sys.stderr.isatty():
                print(f"round {number + 1}: {seen[-1]}", file=sys.stderr, flush=True)
        return {
            "agents": len(society.members), "built_s": built_s, "built_gb": built_gb, "rounds": seen, "peak_gb": peak_gb(),
            "stored_gb": disk(society) / 1e9,
        }  # fmt: skip


def measure(agents: int, rounds: int) -> dict[str, Any]:
    """A large society between two small ones."""
    repeats = 10 if rounds > 5 else 5
    before = small(repeats)
    found = large(agents, rounds)
    return {**found, "few_cpu_ms": [before, small(repeats)]}


def cells(found: dict[str, Any]) -> list[list[str]]:
    """The table's rows; the first round, which allocates, is compared with nothing."""
    rounds, n = found["rounds"], len(found["rounds"])
    many = statistics.median(one["cpu_ms"] for one in rounds[1:] or rounds)
    memory = rounds[-1]["gb"] / rounds[min(1, n - 1)]["gb"]
    stored = rounds[-1]["bytes"] / rounds[min(1, n - 1)]["bytes"]
    said = [
        (f"CPU per interaction, {found['agents']:,} agents over {SIZE * SIZE}", MOST_TIME,
         many / statistics.mean(found["few_cpu_ms"])),
        (f"memory after round {n} over that after round {min(2, n)}", MOST_MEMORY, memory),
        (f"bytes stored of an interaction, round {n} over round {min(2, n)}", MOST_BYTES, stored),
    ]  # fmt: skip
    return [[what, f"≤ {most:g} times", f"{seen:.2f}", "pass" if seen <= most else "fail"] for what, most, seen in said]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a large society."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 agents and 3 rounds")
    parser.add_argument("--agents", type=int, help="number of agents, a square")
    parser.add_argument("--rounds", type=int, help="number of rounds")
    parser.add_argument(
        "--folder", type=Path, help="where the run is written meanwhile; by default for temporary files"
    )
    parser.add_argument("--json", type=Path, help="write the numbers here instead of printing them")
    parser.add_argument("--markdown", type=Path, action="append", default=[], help="write the table into this file too")
    given = parser.parse_args(arguments)
    agents = given.agents or (10_000 if given.quick else 99_856)
    rounds = given.rounds or (3 if given.quick else 20)
    if given.folder is not None:
        tempfile.tempdir = str(given.folder)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < agents * rounds * BYTES_EACH:
        parser.error(
            f"{agents:,} agents and {rounds} rounds need some {agents * rounds * BYTES_EACH / 1e9:.0f} GB of disk, and "
            f"{tempfile.gettempdir()} has {free / 1e9:.0f}; give another --folder"
        )
    load = os.getloadavg()[0]
    try:
        found = measure(agents, rounds)
    except SettingsError as error:
        parser.error(str(error))
    many = statistics.median(one["cpu_ms"] for one in found["rounds"])
    last = found["rounds"][-1]
    words = (
        f"{found['agents']:,} agents, {rounds} rounds, {found['agents'] * rounds:,} interactions: {many:.2f} ms of CPU and "
        f"{last['bytes'] / 1e3:.1f} KB each, at most {found['peak_gb']:.2f} GB of memory, {found['stored_gb']:.1f} GB stored. "
        f"{measured_on(load)}"
    )
    publish(given, "large", f"{markdown(COLUMNS, cells(found))}\n\n{words}", found)


if __name__ == "__main__":
    main()
