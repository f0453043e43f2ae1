"""What a command costs before it has done anything: CPU seconds and wall seconds of whole processes.

    python tests/benchmarks/startup.py [--quick] [--rows help,plot] [--json FILE] [--markdown FILE]...

Each command runs in a process of its own, some times over; the least counts, as the others met other work of the machine.
Nothing is counted of a first, unmeasured run, which fills the caches of files. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
# One thread, so that CPU seconds are those of the work and not of threads that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])

from tables import markdown, measured_on, publish  # noqa: E402

COLUMNS = ("command", "loads", "target: CPU s", "CPU s", "wall s", "result")
SANDBOX = (sys.executable, "-m", "sandbox")
SOCIETY = ("run", "value_alignment", "--model", "scripted:", "--size", "2", "--rounds", "1")

EMBED = "load_embedder('minilm').embed(['a'])"


@dataclass(frozen=True)
class Start:
    """A command, and what it may cost.

    Attributes:
        words: Its arguments; RUN stands for the folder of a run, NEW for one that does not exist.
        loads: What it needs of libraries.
        target_s: CPU seconds at most.
        shown: Its words in the table.
        until: Text of its output at which it is stopped; empty where it ends by itself.
    """

    words: Sequence[str]
    loads: str
    target_s: float
    shown: str
    until: str = ""


STARTS = {
    "help": Start(("--help",), "the command line", 0.5, "`sandbox --help`"),
    "ls": Start(("ls",), "rich", 1.0, "`sandbox ls`"),
    "doctor": Start(("doctor", "RUN", "--no-quality"), "pandas", 1.5, "`sandbox doctor RUN --no-quality`"),
    "plot": Start(("plot", "RUN", "grid", "--out", "NEW"), "pandas, matplotlib", 2.0, "`sandbox plot RUN grid`"),
    "show": Start(("show", "RUN", "--port", "0"), "solara, mesa, matplotlib", 6.0, "`sandbox show RUN`, to its address",
                  "http"),
    "prompts": Start(("show-prompts", "value_alignment"), "mesa", 2.0, "`sandbox show-prompts`"),
    "dry": Start((*SOCIETY, "--dry-run"), "mesa", 2.0, "`sandbox run --dry-run`"),
    "run": Start((*SOCIETY, "--set", "embedder=hashing", "--out", "NEW"), "mesa", 2.0,
                 "`sandbox run`, 4 agents, scripted model, hashed words"),
    "minilm": Start(("-c", f"from sandbox.embedders.base import load_embedder; {EMBED}"), "torch", 2.5, f"`{EMBED}`"),
    "recall": Start((*SOCIETY, "--out", "NEW"), "mesa, torch", 5.0,
                    "`sandbox run` as above, with the sentence embedder (119 texts)"),
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds of a process."""

    cpu_s: float
    wall_s: float


def start(one: Start, folder: Path, run: Path) -> Cost:
    """Run a command to its end, or until it prints what is waited for.

    Raises:
        RuntimeError: it failed.
    """
    new = str(Path(tempfile.mkdtemp(dir=folder)) / "new")
    program = (sys.executable,) if one.words[0] == "-c" else SANDBOX
    command = [*program, *(word.replace("RUN", str(run)).replace("NEW", new) for word in one.words)]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True
    ) as process:  # fmt: skip
        assert process.stdout is not None
        if one.until:
            seen = next((line for line in process.stdout if one.until in line), None)
            process.send_signal(signal.SIGTERM)
        else:
            seen = process.stdout.read()
        wall_s = time.perf_counter() - began
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if seen is None or (not one.until and process.returncode):
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {errors.read()[-500:]}")
    return Cost(used.ru_utime + used.ru_stime, wall_s)


def measure(names: Sequence[str], times: int) -> dict[str, Cost]:
    """The least cost of each command over some times."""
    with tempfile.TemporaryDirectory(prefix="sandbox-benchmark-") as made:
        folder, run = Path(made), Path(made) / "run"
        start(Start((*SOCIETY, "--set", "embedder=hashing", "--out", str(run)), "", 0, ""), folder, run)
        found = {}
        for name in names:
            seen = [start(STARTS[name], folder, run) for _ in range(times + 1)][1:]
            found[name] = Cost(min(one.cpu_s for one in seen), min(one.wall_s for one in seen))
        return found


def cells(found: dict[str, Cost]) -> list[list[str]]:
    """The table's rows."""
    return [
        [one.shown, one.loads, f"≤ {one.target_s:g}",
         f"{cost.cpu_s:.2f}", f"{cost.wall_s:.2f}", "pass" if cost.cpu_s <= one.target_s else "fail"]
        for name, cost in found.items()
        for one in [STARTS[name]]
    ]  # fmt: skip


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one measured start of each command in place of five")
    parser.add_argument("--rows", default=",".join(STARTS), help=f"some of {', '.join(STARTS)}")
    parser.add_argument("--json", type=Path, help="write the numbers here instead of printing them")
    parser.add_argument("--markdown", type=Path, action="append", default=[], help="write the table into this file too")
    given = parser.parse_args()
    names = given.rows.split(",")
    if unknown := [name for name in names if name not in STARTS]:
        parser.error(f"no rows {', '.join(unknown)}; there are {', '.join(STARTS)}")
    load = os.getloadavg()[0]
    found = measure(names, 1 if given.quick else 5)
    said = {name: {**asdict(cost), "target_cpu_s": STARTS[name].target_s} for name, cost in found.items()}
    publish(given, "startup", f"{markdown(COLUMNS, cells(found))}\n\nOne thread. {measured_on(load)}", said)


if __name__ == "__main__":
    main()
