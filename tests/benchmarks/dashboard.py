"""How soon the page of a run opens and answers a click, in a real browser.

    python tests/benchmarks/dashboard.py [--quick] [--json FILE] [--markdown FILE]

Two societies: 100 agents and 50 rounds, which must answer a click in under half a second; and 10,000 agents, whose page
must open. Needs Chromium. A click is on an agent's square, and is answered when the agent's conversations are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE), str(HERE.parent / "visualize")]

from by_hand import told, write_run  # noqa: E402
from tables import markdown, put  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COLUMNS = ("society", "conversations", "opens in s", "click answered in s (median)", "slowest")
LONGEST_MS = 300_000


def society(folder: Path, side: int, rounds: int) -> Path:
    """A run of ``side * side`` agents, each reviewed by four others every round."""
    n = side * side
    said = [
        told(r, i, (2.0, 3.0), (4.0, 5.0), {(i + k) % n: 4.0 for k in range(1, 5)}, draft="words " * 50)
        for r in range(rounds)
        for i in range(n)
    ]
    return write_run(folder, said, labels=["good"] * n, width=side, name=f"{n}x{rounds}").path


@contextmanager
def served(run: Path) -> Iterator[str]:
    """The address of the run's page."""
    command = [sys.executable, "-m", "sandbox", "show", str(run), "--port", "0"]
    env = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"(http\S+)", process.stdout.readline())
            if found is None:
                raise RuntimeError("sandbox show printed no address")
            yield found[1]
        finally:
            process.terminate()


def measure(page: Any, run: Path, side: int, rounds: int, clicks: int) -> dict[str, Any]:
    """Open the page and click on agents."""
    with served(run) as address:
        began = time.perf_counter()
        page.goto(address, timeout=LONGEST_MS)
        page.wait_for_selector("canvas.map", timeout=LONGEST_MS)
        page.wait_for_selector(f"text=round {rounds} of {rounds}", timeout=LONGEST_MS)
        opened = time.perf_counter() - began
        times = []
        for number in range(clicks + 1):
            agent = (number * 37 + 11) % (side * side)
            row, column = divmod(agent, side)
            box = page.locator("canvas.map").bounding_box()
            place = {"x": box["width"] * (column + 0.5) / side, "y": box["height"] * (row + 0.5) / side}
            began = time.perf_counter()
            page.locator("canvas.map").click(position=place)
            page.wait_for_selector(f"h3:has-text('Agent {agent + 1}')", timeout=LONGEST_MS)
            times.append(time.perf_counter() - began)
            page.mouse.wheel(0, -5000)
            page.wait_for_timeout(200)
    return {"agents": side * side, "rounds": rounds, "opens_s": opened, "clicks_s": times[1:]}  # the first warms up


def main() -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller societies, fewer clicks")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--markdown", type=Path, help="write the table into this file too")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    sizes = [(10, 5), (30, 1)] if given.quick else [(10, 50), (100, 1)]
    load = os.getloadavg()[0]
    found = []
    with tempfile.TemporaryDirectory(prefix="sandbox-benchmark-") as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=next(path for name in BROWSERS if (path := shutil.which(name))),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for side, rounds in sizes:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            found.append(measure(page, society(Path(folder), side, rounds), side, rounds, 3 if given.quick else 9))
            page.close()
        browser.close()
    rows = [
        [
            f"{one['agents']:,} agents, {one['rounds']} rounds", f"{one['agents'] * one['rounds']:,}",
            f"{one['opens_s']:.1f}", f"{statistics.median(one['clicks_s']):.2f}", f"{max(one['clicks_s']):.2f}",
        ]
        for one in found
    ]  # fmt: skip
    text = (
        f"{markdown(COLUMNS, rows)}\n\nMeasured on {os.cpu_count()} cores with Python {platform.python_version()}; the "
        f"machine's load was {load:.1f} before the benchmark began."
    )
    print(text)
    if given.markdown is not None:
        put(given.markdown, "dashboard", text)
    if given.json is not None:
        given.json.write_text(json.dumps({"load": load, "pages": found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
