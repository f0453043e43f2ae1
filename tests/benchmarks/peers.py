"""The same conversation by Social Sandbox, mesa-llm, Concordia and OASIS, side by side against one stub server.

    python tests/benchmarks/peers.py [--quick] [--peers mesa-llm,concordia] [--cache FOLDER] [--json FILE] [--markdown FILE]...

Each agent drafts an answer, k others give feedback in free text, the agent revises; R rounds. Every framework runs in a
process and a virtual environment of its own (made in ``--cache`` the first time: minutes, and 3 GB) and calls the same
server, which waits before each answer and counts requests. Then each is killed in mid-run and started again. See README.md
beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT, SCRIPTS = Path(__file__).parents[2], Path(__file__).parent / "peer_societies"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from peer_societies.environments import NotInstalled, Peer, environment  # noqa: E402
from tables import markdown, measured_on, publish  # noqa: E402

from sandbox.models.local.fingerprint import cache_dir  # noqa: E402

OURS = "social-sandbox"
MESA, CONCORDIA = ("mesa-llm==0.3.2",), ("gdm-concordia[openai]==2.4.0",)
# OASIS asks for any torch; of this one there is a build for CPUs where such wheels are at hand. And for any mcp, whose second
# version has no longer what OASIS imports.
OASIS = ("camel-oasis==0.2.5", "torch==2.13.0", "mcp<2")
PEERS = [
    Peer(OURS, "Social Sandbox", "sandbox_society.py",
         differs="stores every call, reply and interaction in SQLite as it ends, and resumes from there"),
    Peer("mesa-llm", "mesa-llm, one call a turn", "mesa_llm_society.py", "3.12", MESA,
         differs="calls each agent's own model directly, without its reasoning; messages go into memories that prompts "
         "of such calls do not contain; keeps nothing on disk, and has no way to resume"),
    Peer("mesa-llm-plans", "mesa-llm, agents that plan", "mesa_llm_society.py", "3.12", MESA, {"PEER_PLANS": "1"},
         differs="has agents plan as its examples do (`CoTReasoning`), with two calls a turn and memories in the prompts"),
    Peer("concordia", "Concordia", "concordia_society.py", "3.12", CONCORDIA,
         differs="runs threads, and an agent does one thing at a time, so that its k reviews follow each other; prompts hold "
         "its observations; a checkpoint after each round, from which it resumes"),
    Peer("oasis", "OASIS", "oasis_society.py", "3.11", OASIS,
         differs="interviews its agents, all drafts, then all reviews, then all revisions; stores the interviews in "
         "SQLite and logs them, and has no way to resume; words are counted in place of its tokens"),
]  # fmt: skip
COLUMNS = (
    "framework", "calls an interaction", "interactions/s", "of ours", "CPU ms an interaction", "times ours",
    "peak memory MB", "times ours", "calls made twice after a kill",
)  # fmt: skip
RUN_S = 600


class Server:
    """The counting stub server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def counts(self) -> dict[str, int]:
        """How many ``requests`` have arrived so far, and how many of them are ``under_way``."""
        with urllib.request.urlopen(f"{self.url}/counts", timeout=10) as answer:
            return dict(json.load(answer))

    def requests(self) -> int:
        """How many have arrived so far."""
        return self.counts()["requests"]


@contextlib.contextmanager
def counting_server(delay_s: float) -> Iterator[Server]:
    """The server in a process of its own."""
    command = [sys.executable, str(SCRIPTS / "counting_server.py"), "--delay", str(delay_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().strip())
        finally:
            process.terminate()


class Runner:
    """Runs a peer's script; the shape of the conversation is the same for all."""

    def __init__(self, server: Server, agents: int, reviewers: int) -> None:
        self.server, self.agents, self.reviewers = server, agents, reviewers

    def _start(self, peer: Peer, python: str, out: Path, warm_up: int, rounds: int) -> subprocess.Popen[str]:
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        env |= {"OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **peer.variables}
        if peer.name == OURS:
            env["PYTHONPATH"] = str(ROOT)
        command = [
            python, str(SCRIPTS / peer.script), "--url", self.server.url, "--agents", str(self.agents), "--reviewers",
            str(self.reviewers), "--warm-up", str(warm_up), "--rounds", str(rounds), "--out", str(out),
        ]  # fmt: skip
        out.mkdir(exist_ok=True)
        with (out / "errors.log").open("w", encoding="utf-8") as errors:
            return subprocess.Popen(command, env=env, cwd=out, stdout=subprocess.PIPE, stderr=errors, text=True)

    def whole(self, peer: Peer, python: str, out: Path, warm_up: int, rounds: int) -> dict[str, Any]:
        """What a run takes from its beginning (or from where it can go on) to its end.

        Raises:
            RuntimeError: it failed, or did not end.
        """
        before = self.server.requests()
        with self._start(peer, python, out, warm_up, rounds) as process:
            try:
                said, _ = process.communicate(timeout=RUN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise RuntimeError(f"{peer.shown} took more than {RUN_S} s") from None
        if process.returncode:
            errors = (out / "errors.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{peer.shown} failed: {errors[-1500:]}")
        return {**json.loads(said.splitlines()[-1]), "requests": self.server.requests() - before}

    def killed(self, peer: Peer, python: str, out: Path, rounds: int, after_s: float) -> dict[str, int]:
        """Kill a run some seconds after its first request; how many had arrived ``before``, and were ``under_way``.

        By time, as a run that is killed by its number of requests always ends when a batch of them has just been sent.

        Raises:
            RuntimeError: it ended before.
        """
        before = self.server.requests()
        with self._start(peer, python, out, 0, rounds) as process:
            began = time.monotonic()
            while self.server.requests() == before and process.poll() is None and time.monotonic() - began < RUN_S:
                time.sleep(0.002)
            time.sleep(after_s)
            counts, ended = self.server.counts(), process.poll() is not None
            process.kill()
            process.communicate()
        if ended or counts["requests"] == before:
            raise RuntimeError(f"{peer.shown} could not be killed in mid-run")
        return {"before": counts["requests"] - before, "under_way": counts["under_way"]}


def measure(
    runner: Runner,
    pythons: dict[str, str],
    folder: Path,
    warm_up: int,
    rounds: int,
    repeats: int,
    kills: Sequence[float],
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """What each peer takes, by turns, and what it repeats after a kill; for those that fail here, why."""
    seen: dict[str, list[dict[str, Any]]] = {}
    twice: dict[str, list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}

    def run(peer: Peer, turn: int) -> None:
        found = runner.whole(peer, pythons[peer.name], folder / f"{peer.name}-{turn}", warm_up, rounds)
        wanted = (warm_up + rounds) * runner.agents
        if found["conversations"] != wanted or found["requests"] < wanted * (runner.reviewers + 2):
            raise RuntimeError(f"{peer.shown} held {found['conversations']} of {wanted} conversations: {found}")
        seen.setdefault(peer.name, []).append({**found, "calls_each": found["requests"] / wanted})

    def kill(peer: Peer, share: float) -> None:
        needed = round(statistics.median(one["calls_each"] for one in seen[peer.name]) * rounds * runner.agents)
        out = folder / f"{peer.name}-killed-{share}"
        seconds = statistics.median(one["seconds"] for one in seen[peer.name])
        found = runner.killed(peer, pythons[peer.name], out, rounds, share * seconds)
        after = runner.whole(peer, pythons[peer.name], out, 0, rounds)["requests"]
        one = {"share": share, **found, "after": after, "twice": found["before"] + after - needed}
        twice.setdefault(peer.name, []).append(one)

    steps = [functools.partial(run, turn=turn) for turn in range(repeats)]
    for step in [*steps, *(functools.partial(kill, share=share) for share in kills)]:
        for peer in PEERS:
            if peer.name not in pythons or peer.name in failed:
                continue
            note(f"{peer.shown}: {step.keywords}")
            try:
                step(peer)
            except RuntimeError as error:
                if peer.name == OURS:
                    raise
                failed[peer.name] = str(error)
    kept = [peer.name for peer in PEERS if peer.name in seen and peer.name not in failed]
    return {name: summary(seen[name], twice.get(name, [])) for name in kept}, failed


def summary(seen: Sequence[dict[str, Any]], twice: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of a peer's runs."""
    return {
        "version": seen[0]["version"],
        "python": seen[0]["python"],
        "calls_each": statistics.median(one["calls_each"] for one in seen),
        "interactions_per_s": statistics.median(one["interactions"] / one["seconds"] for one in seen),
        "cpu_ms_each": statistics.median(one["cpu_s"] / one["interactions"] * 1e3 for one in seen),
        "peak_mb": statistics.median(one["peak_mb"] for one in seen),
        "start_s": statistics.median(one["start_s"] for one in seen),
        "kills": list(twice),
    }


def cells(found: dict[str, dict[str, Any]]) -> list[list[str]]:
    """The table's rows."""
    ours = found[OURS]
    rows = []
    for peer in PEERS:
        if (seen := found.get(peer.name)) is None:
            continue
        row = [f"{peer.shown} ({seen['version']})", f"{seen['calls_each']:.1f}"]
        for name, digits in (("interactions_per_s", 1), ("cpu_ms_each", 1), ("peak_mb", 0)):
            row += [f"{seen[name]:.{digits}f}", f"{seen[name] / ours[name]:.2f}"]
        lost = [f"{one['twice']} of {one['before']} ({one['under_way']})" for one in seen["kills"]]
        rows.append([*row, ", ".join(lost) or "–"])
    return rows


def words(found: dict[str, dict[str, Any]], skipped: dict[str, str], shape: str, kills: Sequence[float]) -> str:
    """What stands below the table."""
    shown = {peer.name: peer for peer in PEERS}
    differs = "; ".join(f"{shown[name].shown} {shown[name].differs}" for name in found)
    pythons = ", ".join(f"{shown[name].shown} Python {one['python']}" for name, one in found.items())
    shares = ", ".join(f"{share:.0%}" for share in kills)
    said = [
        shape,
        f"Killed {shares} of such a run's time after the first call, and started again: of the calls made until then, those "
        "made again; in brackets those that were under way, which no framework can keep."
        if kills
        else "",
        f"{differs}.",
        f"{pythons}.",
        *(f"{shown[name].shown} was left out: {reason}." for name, reason in skipped.items()),
    ]
    return " ".join(filter(None, said))


def note(text: str) -> None:
    """A line on a terminal."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def set_up(names: Sequence[str], cache: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The interpreter of each peer, and for those that cannot be installed the reason."""
    pythons, skipped = {OURS: sys.executable}, dict[str, str]()
    for peer in PEERS:
        if peer.name in names and peer.name != OURS:
            note(f"{peer.shown}: environment below {cache}")
            try:
                pythons[peer.name] = environment(peer, cache)
            except NotInstalled as error:
                skipped[peer.name] = str(error)
    return pythons, skipped


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all that can be installed."""
    known = [peer.name for peer in PEERS if peer.name != OURS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="16 agents, 2 rounds, one run and one kill of each")
    parser.add_argument(
        "--peers", default=",".join(known), help=f"some of {', '.join(known)}, or an empty text for none"
    )
    parser.add_argument(
        "--cache", type=Path, help="folder for the environments; by default that of this project's cache"
    )  # fmt: skip
    parser.add_argument("--agents", type=int, help="number of agents, a square")
    parser.add_argument("--reviewers", type=int, default=3, help="reviews of a draft (k)")
    parser.add_argument("--rounds", type=int, help="rounds that are measured, behind one that is not")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that the server waits before each answer")
    parser.add_argument("--json", type=Path, help="write the numbers here instead of printing them")
    parser.add_argument("--markdown", type=Path, action="append", default=[], help="write the table into this file too")
    given = parser.parse_args(arguments)
    names = [name for name in given.peers.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no peers {', '.join(unknown)}; there are {', '.join(known)}")
    agents, rounds = given.agents or (16 if given.quick else 64), given.rounds or (2 if given.quick else 4)
    repeats, kills = (1, (0.6,)) if given.quick else (3, (0.3, 0.8))
    if agents**0.5 % 1 or not 1 <= given.reviewers < agents:
        parser.error(f"--agents {agents} must be a square, above --reviewers {given.reviewers}, which is at least 1")
    pythons, skipped = set_up(names, (given.cache or cache_dir() / "peers").absolute())
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="sandbox-benchmark-") as made, counting_server(given.delay) as server:
        runner = Runner(server, agents, given.reviewers)
        found, failed = measure(runner, pythons, Path(made), 1, rounds, repeats, kills)
    skipped |= failed
    shape = (
        f"{agents} agents, k={given.reviewers}, {rounds} rounds behind one that is not measured, {given.delay * 1e3:.0f} ms "
        f"a call; medians of {repeats} run{'s' * (repeats > 1)}. At most {agents / 3 / given.delay:.0f} interactions/s are "
        "possible where a round begins when the last has ended."
    )
    text = f"{markdown(COLUMNS, cells(found))}\n\n{words(found, skipped, shape, kills)} {measured_on(load)}"
    publish(given, "peers", text, {"peers": found, "skipped": skipped, "agents": agents, "rounds": rounds})


if __name__ == "__main__":
    main()
