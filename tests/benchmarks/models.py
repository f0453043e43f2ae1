"""How fast language models are spoken to, row by row, against what must be reached.

    python tests/benchmarks/models.py [--quick] [--rows ratings,http] [--json FILE] [--markdown FILE]... [--profile]

The bundled model, and for the last row a stub behind a real HTTP server. See README.md beside this file.
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

from rows import Row  # noqa: E402
from speech import ROWS  # noqa: E402
from tables import markdown, put  # noqa: E402

COLUMNS = ("what", "target", "measured", "result")


def cells(found: list[Row]) -> list[list[str]]:
    """The table's rows."""
    return [
        [
            row.what,
            f"≥ {row.target:g} {row.unit}",
            f"{row.measured:.2f}" if row.measured < 10 else f"{row.measured:.1f}",
            "pass" if row.reached else "fail",
        ]
        for row in found
    ]


def circumstances(found: list[Row], before: float, after: float) -> str:
    """On what the numbers were measured, and what those of the first rows were made from."""
    import torch

    said = ""
    rates = next((row.details["tokens_per_s"] for row in found if row.name == "generation"), {})
    ways = {"ours": "ours", "one": "`model.generate` one at a time", "sixteen": "in batches of 16"}
    if rates:
        shown = (
            f"{words} {', '.join(f'{r[way]:.0f} ({dtype})' for dtype, r in rates.items())}"
            for way, words in ways.items()
        )
        said += f"Tokens a second: {'; '.join(shown)}. "
    for row in found:
        if row.name == "ratings":
            ours, written = row.details["pairs_per_s"]["ours"], row.details["pairs_per_s"]["written"]["float32"]
            said += (
                f"Pairs a second: ours {', '.join(f'{rate:.1f} ({dtype})' for dtype, rate in ours.items())}; written "
                f"{written:.2f} (float32). Ratings of both types differ by {row.details['types_apart_mean']:.2f} on average. "
            )
        if row.name == "http":
            seen = row.details
            ours, bare = seen["calls_per_s"], seen["bare_aiohttp_calls_per_s"]
            said += (
                f"Calls a second over HTTP: ours {ours:.0f}; a bare loop of aiohttp {bare:.0f}, of the openai client on "
                f"aiohttp {seen['bare_openai_aiohttp_calls_per_s']:.0f}, of the openai client as it comes "
                f"{seen['bare_openai_httpx_calls_per_s']:.0f}. A call costs our process {seen['cpu_ms_a_call']:.2f} ms of CPU, "
                f"the bare loop of aiohttp {seen['bare_aiohttp_cpu_ms_a_call']:.2f}. "
            )
    return said + (
        f"Measured on {os.cpu_count()} cores with {torch.get_num_threads()} threads, torch {torch.__version__}, Python "
        f"{platform.python_version()}, in float32 where no type is named; the machine's load was {before:.1f} before the "
        f"benchmark began and {after:.1f} at its end."
    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer prompts; a minute or two")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--json", type=Path, help="write the numbers here instead of printing them")
    parser.add_argument("--markdown", type=Path, action="append", default=[], help="write the table into this file too")
    parser.add_argument("--profile", action="store_true", help="print what the time of these rows is made of")
    given = parser.parse_args()
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
    print(markdown(COLUMNS, cells(found)))
    for file in given.markdown:
        put(file, "models", f"{markdown(COLUMNS, cells(found))}\n\n{circumstances(found, load, os.getloadavg()[0])}")
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
