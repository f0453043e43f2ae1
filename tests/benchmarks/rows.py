"""What is measured: one function a row, each against its target."""

from __future__ import annotations

import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients import bare_aiohttp, bare_openai, bodies
from stubs import DelayedModel, StubModel

from sandbox import World

HERE = Path(__file__).parent

DELAY_S = 0.05
IN_FLIGHT = 256
SIZE = 10  # 100 agents


@dataclass
class Row:
    """One row of the table.

    Attributes:
        name: As ``--rows`` takes it.
        what: What is measured.
        unit: Of ``measured`` and ``target``.
        measured: The median where there are several.
        target: What must be reached.
        at_least: Whether more is better.
        release: What the authors' release does, as it was measured.
        details: What the number was made from.
    """

    name: str
    what: str
    unit: str
    measured: float
    target: float
    at_least: bool
    release: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether the target is reached."""
        return self.measured >= self.target if self.at_least else self.measured <= self.target


@contextmanager
def world(model: Any, **settings: Any) -> Iterator[World]:
    """A society of the scenario ``value_alignment`` in a run folder of its own; k = 4, language models rate."""
    with tempfile.TemporaryDirectory(prefix="sandbox-benchmark-") as folder:
        given = {"size": SIZE, "reviewers": 4, "rater": "lm", "embedder": str(HERE / "stubs.py"), **settings}
        made = World("value_alignment", model=model, out=Path(folder) / "run", in_flight=IN_FLIGHT, **given)
        try:
            yield made
        finally:
            made.close()


def run_rounds(society: World, rounds: int) -> dict[str, float]:
    """Run so many rounds more; wall and CPU seconds, calls and bytes for each interaction."""
    calls, began, cpu, size = society.budget.counts["calls"], time.perf_counter(), time.process_time(), disk(society)
    start = society.round
    society.run(start + rounds)
    n = rounds * len(society.active_agents())
    if society.round != start + rounds or society.metrics["failed"]:
        raise RuntimeError(f"{society.metrics.get('failed')} interactions failed")
    return {
        "s": (time.perf_counter() - began) / n,
        "cpu_ms": (time.process_time() - cpu) / n * 1e3,
        "calls": (society.budget.counts["calls"] - calls) / n,
        "bytes": (disk(society) - size) / n,
    }


def disk(society: World) -> int:
    """Bytes of the run folder: of the database, all its pages, wherever SQLite has them just now."""
    with closing(sqlite3.connect(society.path / "run.sqlite")) as database:
        [pages], [size] = (database.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
    files = (file for file in society.path.rglob("*") if file.is_file() and not file.name.startswith("run.sqlite"))
    return int(pages * size) + sum(file.stat().st_size for file in files)


def in_process(quick: bool) -> Row:
    """Interactions per second where every call takes 50 ms and costs nothing."""
    with world(DelayedModel(DELAY_S)) as society:
        run_rounds(society, 1)
        seen = [run_rounds(society, 1) for _ in range(4 if quick else 12)]
    rates = sorted(1 / s["s"] for s in seen)
    return Row(
        "in_process", f"{SIZE * SIZE} agents, k=4, {DELAY_S * 1e3:.0f} ms a call, in process", "interactions/s",
        statistics.median(rates), 300, True, "12",
        {"slowest": rates[0], "fastest": rates[-1], "calls_each": seen[0]["calls"],
         "cpu_ms_each": statistics.median(s["cpu_ms"] for s in seen)},
    )  # fmt: skip


def http(quick: bool) -> Row:
    """Calls per second through ``openai:`` against a bare loop's, taken by turns in this run."""
    recorder = StubModel(keeps=True)
    with world(recorder) as society:
        society.run(2)
    sent = bodies(recorder.asked, "stub")
    ours, ratios, costs, others = [], [], [], {}
    with stub_server() as url:
        # What else the machine does changes by the second: each measurement stands between two of the bare loop.
        bare = [bare_aiohttp(url, sent, IN_FLIGHT)]
        for _ in range(3 if quick else 8):
            with world(f"openai:stub@{url}") as society:
                run_rounds(society, 1)
                seen = run_rounds(society, 2)
            bare.append(bare_aiohttp(url, sent, IN_FLIGHT))
            ours.append(seen["calls"] / seen["s"])
            ratios.append(ours[-1] / statistics.mean(pace.calls_per_s for pace in bare[-2:]))
            costs.append(seen["cpu_ms"] / seen["calls"])
        # OpenAI's own client is many times slower: a few calls show that, and do not wait for a busy machine.
        for name, aio in (("openai_httpx", False), ("openai_aiohttp", True)):
            others[f"bare_{name}_calls_per_s"] = bare_openai(url, sent[:300], 64, aio=aio).calls_per_s
    return Row(
        "http", f"the same over HTTP through openai:, {IN_FLIGHT} in flight", "of a bare client's calls/s",
        statistics.median(ratios), 0.7, True, "–",
        {"calls_per_s": statistics.median(ours), **others,
         "bare_aiohttp_calls_per_s": statistics.median(pace.calls_per_s for pace in bare),
         "least": min(ratios), "most": max(ratios), "cpu_ms_a_call": statistics.median(costs),
         "bare_aiohttp_cpu_ms_a_call": statistics.median(pace.cpu_ms for pace in bare)},
    )  # fmt: skip


def cpu(quick: bool) -> Row:
    """CPU of the engine where calls take no time, with memories of 384 numbers and everything on disk."""
    with world(StubModel()) as society:
        run_rounds(society, 1)
        seen = [run_rounds(society, 1) for _ in range(5 if quick else 15)]
    with world(StubModel(), score_only=True) as society:
        run_rounds(society, 1)
        brief = run_rounds(society, 3)
    return Row(
        "cpu", "engine CPU per interaction, no delay, 384-d memories, everything stored", "ms",
        statistics.median(s["cpu_ms"] for s in seen), 1.0, False, "6–10",
        {"calls_each": seen[0]["calls"], "bytes_each": seen[-1]["bytes"],
         "without_reasons_ms": brief["cpu_ms"], "without_reasons_calls_each": brief["calls"]},
    )  # fmt: skip


def rounds(quick: bool) -> Row:
    """Time and bytes of late rounds against early ones."""
    n = 12 if quick else 60
    with world(StubModel()) as society:
        run_rounds(society, 2)
        seen = [run_rounds(society, 1) for _ in range(n)]
    third = n // 3
    early, late = seen[:third], seen[-third:]
    ratio = {key: _median(late, key) / _median(early, key) for key in ("cpu_ms", "bytes")}
    return Row(
        "rounds", f"growth with rounds: the last third of {n} over the first", "times",
        max(ratio.values()), 1.25, False, "time linear, bytes quadratic",
        {"time": ratio["cpu_ms"], "bytes": ratio["bytes"], "cpu_ms_late": _median(late, "cpu_ms"),
         "bytes_each_late": _median(late, "bytes")},
    )  # fmt: skip


def agents(quick: bool) -> Row:
    """Time per interaction of a large society against that of a small one, with as many interactions a round."""
    side, share = (100, 0.05) if quick else (316, 0.01)
    with world(StubModel(), size=side, radius=5, active=share) as society:
        n_many = len(society.members)
        run_rounds(society, 1)
        many = run_rounds(society, 2)
        each_round = len(society.active_agents())
    with world(StubModel(), radius=5) as society:
        run_rounds(society, 2)
        few = run_rounds(society, 2 * max(1, each_round // (SIZE * SIZE)))
    return Row(
        "agents", f"time per interaction, {n_many:,} agents over {SIZE * SIZE}", "times",
        many["cpu_ms"] / few["cpu_ms"], 1.5, False, "full scan",
        {"cpu_ms_few": few["cpu_ms"], "cpu_ms_many": many["cpu_ms"], "interactions_a_round": each_round},
    )  # fmt: skip


def million(quick: bool) -> list[Row]:
    """Memory and time of a process that builds a large society and steps it once."""
    side = 300 if quick else 1000
    ended = subprocess.run(
        [sys.executable, str(HERE / "engine.py"), "--child-side", str(side)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr[-2000:])
    found = json.loads(ended.stdout)
    what = f"building and stepping {side * side:,} agents, radius 5, 1% active"
    return [
        Row("million", f"{what}: memory", "GB", found["gb"], 3.0, False, "not possible", found),
        Row("million", f"{what}: time", "s", found["build_s"] + found["step_s"], 120.0, False, "not possible", found),
    ]


def child(side: int) -> None:
    """What :func:`million` measures, in a process of its own; prints JSON."""
    began = time.perf_counter()
    with world(StubModel(), size=side, radius=5, active=0.01) as society:
        built = time.perf_counter()
        built_gb = peak_gb()
        society.step()
        stepped = time.perf_counter()
        n = society.metrics["interactions"]
        stored = disk(society)
    print(json.dumps({
        "gb": peak_gb(), "built_gb": built_gb, "build_s": built - began, "step_s": stepped - built,
        "cpu_s": time.process_time(),
        "interactions": n, "run_folder_mb": stored / 1e6,
    }))  # fmt: skip


def peak_gb() -> float:
    """The most memory this process has held, in GB (1e9 bytes)."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held * (1 if sys.platform == "darwin" else 1024) / 1e9


@contextmanager
def stub_server() -> Iterator[str]:
    """The stub server in a process of its own; its address."""
    command = [sys.executable, str(HERE.parent / "stub_server.py"), "--delay", str(DELAY_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _median(seen: list[dict[str, float]], key: str) -> float:
    return statistics.median(s[key] for s in seen)


ROWS: dict[str, Callable[[bool], Row | list[Row]]] = {
    "in_process": in_process,
    "http": http,
    "cpu": cpu,
    "rounds": rounds,
    "agents": agents,
    "million": million,
}
