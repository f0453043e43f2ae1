"""How fast the society's engine is, row by row, against its targets.

    python tests/benchmarks/engine.py [--quick] [--rows cpu,http] [--json FILE] [--markdown FILE]... [--profile]

Language models are stubs: in this process, or behind a real HTTP server. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import sys
from dataclasses import asdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent), str(Path(__file__).parents[1])]
# The engine is one thread; those of numpy would only get into its way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rows import IN_FLIGHT, ROWS, SIZE, Row, child  # noqa: E402
from tables import markdown, put  # noqa: E402

COLUMNS = ("what", "authors' release", "target", "measured", "result")


def cells(found: list[Row]) -> list[list[str]]:
    """The table's rows."""
    return [
        [
            row.what,
            row.release,
            f"{'≥' if row.at_least else '≤'} {row.target:g} {row.unit}",
            f"{row.measured:.2f}" if row.measured < 10 else f"{row.measured:.0f}",
            "pass" if row.reached else "fail",
        ]
        for row in found
    ]


def show(found: list[Row]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS)
    for row in cells(found):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def reasons(found: list[Row]) -> str:
    """Where the time of calls over HTTP goes, in a sentence; nothing if that was not measured."""
    for row in found:
        if row.name == "http":
            d = row.details
            own, bare = d["cpu_ms_a_call"], d["bare_aiohttp_cpu_ms_a_call"]
            idle = 1 - own * d["calls_per_s"] / 1e3
            return (
                f" Over HTTP a call costs our process {own:.2f} ms of CPU, of which the bare loop alone needs {bare:.2f}; the "
                f"rest is the society itself, its record and the reading of probabilities. {idle:.0%} of the time nothing is "
                f"left to do but wait: {SIZE * SIZE} conversations begin and end a round together, while the bare loop always "
                f"has {IN_FLIGHT} calls under way."
            )
    return ""


def circumstances(before: float, after: float) -> str:
    """On what the numbers were measured, in a sentence."""
    return (
        f"Measured on {os.cpu_count()} cores with Python {platform.python_version()}; the machine's load (processes that "
        f"want a core) was {before:.1f} before the benchmark began and {after:.1f} at its end, 1 of it the benchmark's own. "
        "Where it is higher, others took part of the machine, and rows in seconds show that."
    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller societies; under a minute")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--json", type=Path, help="write the numbers here instead of printing them")
    parser.add_argument("--markdown", type=Path, action="append", default=[], help="write the table into this file too")
    parser.add_argument("--profile", action="store_true", help="print what the time of these rows is made of")
    parser.add_argument("--child-side", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child_side:
        child(given.child_side)
        return
    names = given.rows.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"no rows {', '.join(unknown)}; there are {', '.join(ROWS)}")
    found: list[Row] = []
    load = os.getloadavg()[0]
    for name in names:
        profile = cProfile.Profile()
        if given.profile:
            profile.enable()
        made = ROWS[name](given.quick)
        profile.disable()
        found += made if isinstance(made, list) else [made]
        if given.profile:
            print(f"-- {name}")
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    show(found)
    for file in given.markdown:
        put(
            file,
            "engine",
            f"{markdown(COLUMNS, cells(found))}\n\n{circumstances(load, os.getloadavg()[0])}{reasons(found)}",
        )
    said = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": load},
        "quick": given.quick,
        "rows": [{**asdict(row), "reached": row.reached} for row in found],
    }
    if given.json is None:
        print(json.dumps(said))
    else:
        given.json.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
