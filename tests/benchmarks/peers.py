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
import random
import signal
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
         differs="keeps every call, reply and interaction in SQLite as it ends, and resumes from there"),
    Peer("mesa-llm", "mesa-llm, one call a turn", "mesa_llm_society.py", "3.12", MESA,
         differs="calls the language model of each agent directly, without its reasoning; messages go into memories, which are "
         "no part of such prompts. It keeps nothing on disk and cannot resume"),
    Peer("mesa-llm-plans", "mesa-llm, agents that plan", "mesa_llm_society.py", "3.12", MESA, {"PEER_PLANS": "1"},
         differs="has agents plan as in its examples (`CoTReasoning`): two calls a turn, with memories in the prompts"),
    Peer("concordia", "Concordia", "concordia_society.py", "3.12", CONCORDIA,
         differs="runs its conversations in threads; an entity does one thing at a time, so that its reviews follow each "
         "other. What it heard is part of later prompts. It resumes from a checkpoint after each round"),
    Peer("oasis", "OASIS", "oasis_society.py", "3.11", OASIS,
         differs="interviews its agents: all drafts, then all reviews, then all revisions. It keeps interviews in SQLite and "
         "writes them into logs, and cannot resume. Words are counted in place of its tokens"),
]  # fmt: skip
COLUMNS = (
    "framework", "calls an interaction", "interactions/s", "of ours", "CPU ms an interaction", "times ours",
    "peak memory MB", "times ours", "calls made twice after a kill",
)  # fmt: skip
RUN_S, KILL_TRIES = 600, 3


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

    def __init__(self, server: Server, agents: int, reviewers: int, delay_s: float) -> None:
        self.server, self.agents, self.reviewers, self.delay_s = server, agents, reviewers, delay_s

    def _start(self, peer: Peer, python: str, out: Path, warm_up: int, rounds: int) -> subprocess.Popen[bytes]:
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        env |= {"OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **peer.variables}
        if peer.name == OURS:
            env["PYTHONPATH"] = str(ROOT)
        command = [
            python, str(SCRIPTS / peer.script), "--url", self.server.url, "--agents", str(self.agents), "--reviewers",
            str(self.reviewers), "--warm-up", str(warm_up), "--rounds", str(rounds), "--out", str(out),
        ]  # fmt: skip
        out.mkdir(exist_ok=True)
        with (out / "said.log").open("w") as said, (out / "errors.log").open("w") as errors:
            # Files and no pipe: what writes much, such as OASIS, would wait for a reader.
            return subprocess.Popen(command, env=env, cwd=out, stdout=said, stderr=errors)

    def whole(self, peer: Peer, python: str, out: Path, warm_up: int, rounds: int) -> dict[str, Any]:
        """What a run takes from its beginning (or from where it can go on) to its end.

        Raises:
            RuntimeError: it failed, or did not end.
        """
        before = self.server.requests()
        with self._start(peer, python, out, warm_up, rounds) as process:
            try:
                process.wait(timeout=RUN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise RuntimeError(f"{peer.shown} took more than {RUN_S} s") from None
        if process.returncode:
            errors = (out / "errors.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{peer.shown} failed: {errors[-1500:]}")
        said = (out / "said.log").read_text(encoding="utf-8", errors="replace")
        return {**json.loads(said.splitlines()[-1]), "requests": self.server.requests() - before}

    def killed(
        self, peer: Peer, python: str, out: Path, rounds: int, after: int, later_s: float
    ) -> dict[str, int] | None:
        """Kill a run some time after its first ``after`` requests; how many had arrived ``before``, and were ``under_way``.

        None if it ended before, as it may where this process has to wait for a core. The time is there so that a kill does not
        always meet the moment in which requests have just been sent.

        Raises:
            RuntimeError: the requests do not arrive.
        """
        before, reached, began = self.server.requests(), False, time.monotonic()
        with self._start(peer, python, out, 0, rounds) as process:
            while not reached and process.poll() is None:
                if time.monotonic() - began > RUN_S:
                    process.kill()
                    raise RuntimeError(f"{peer.shown} took more than {RUN_S} s")
                time.sleep(0.002)
                reached = self.server.requests() - before >= after
            time.sleep(later_s)
            ended = process.poll() is not None
            process.send_signal(signal.SIGSTOP)  # no call begins between the count and the kill
            counts = self.server.counts()
            process.kill()
        return None if ended else {"before": counts["requests"] - before, "under_way": counts["under_way"]}


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
    draw = random.Random(0)

    def run(peer: Peer, turn: int) -> None:
        found = runner.whole(peer, pythons[peer.name], folder / f"{peer.name}-{turn}", warm_up, rounds)
        wanted = (warm_up + rounds) * runner.agents
        if found["conversations"] != wanted or found["requests"] < wanted * (runner.reviewers + 2):
            raise RuntimeError(f"{peer.shown} held {found['conversations']} of {wanted} conversations: {found}")
        seen.setdefault(peer.name, []).append({**found, "calls_each": found["requests"] / wanted})

    def kill(peer: Peer, share: float) -> None:
        needed = round(statistics.median(one["calls_each"] for one in seen[peer.name]) * rounds * runner.agents)
        start = functools.partial(runner.killed, peer, pythons[peer.name], rounds=rounds, after=round(needed * share))
        outs = (folder / f"{peer.name}-killed-{share}-{attempt}" for attempt in range(KILL_TRIES))
        tries = ((out, start(out=out, later_s=draw.random() * runner.delay_s)) for out in outs)
        out, found = next((one for one in tries if one[1] is not None), (None, None))
        if out is None or found is None:
            raise RuntimeError(f"{peer.shown} could not be killed in mid-run in {KILL_TRIES} tries")
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


def words(
    found: dict[str, dict[str, Any]], skipped: dict[str, str], shape: str, kills: Sequence[float], on: str
) -> str:
    """What stands below the table."""
    shares = " and ".join(f"{share:.0%}" for share in kills)
    killed = (
        f"Killed soon after {shares} of a run's calls had arrived, and started again: of the calls made until then, those made "
        "again; in brackets those under way when it was killed, which no framework can keep."
    )
    lines = [
        f"* {peer.shown} {found[peer.name]['version']} (Python {found[peer.name]['python']}) {peer.differs}."
        if peer.name in found
        else f"* {peer.shown} was left out: {skipped[peer.name]}."
        for peer in PEERS
        if peer.name in found or peer.name in skipped
    ]
    return "\n".join([f"{shape} {killed} {on}", "", *lines])


def note(text: str) -> None:
    """A line on a terminal."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def set_up(names: Sequence[str], cache: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The interpreter of each peer, and for those that cannot be installed the reason."""
    pythons, skipped = {OURS: sys.executable}, dict[str, str]()
    reasons: dict[Sequence[str], str] = {}
    for peer in PEERS:
        if peer.name in names and peer.name != OURS:
            note(f"{peer.shown}: environment below {cache}")
            try:
                if peer.requirements in reasons:
                    raise NotInstalled(reasons[peer.requirements])
                pythons[peer.name] = environment(peer, cache)
            except NotInstalled as error:
                skipped[peer.name] = reasons[peer.requirements] = str(error)
    return pythons, skipped


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all that can be installed."""
    known = [peer.name for peer in PEERS if peer.name != OURS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="16 agents for 36, one run for three, one kill for two",
    )
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
    agents, rounds = given.agents or (16 if given.quick else 36), given.rounds or 2
    # Of two rounds these are halves of one, so that a checkpoint after each round is neither favoured nor harmed.
    repeats, kills = (1, (0.75,)) if given.quick else (3, (0.25, 0.75))
    if agents**0.5 % 1 or not 1 <= given.reviewers < agents:
        parser.error(f"--agents {agents} must be a square, above --reviewers {given.reviewers}, which is at least 1")
    pythons, skipped = set_up(names, (given.cache or cache_dir() / "peers").absolute())
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="sandbox-benchmark-") as made, counting_server(given.delay) as server:
        runner = Runner(server, agents, given.reviewers, given.delay)
        found, failed = measure(runner, pythons, Path(made), 1, rounds, repeats, kills)
    skipped |= failed
    shape = (
        f"{agents} agents, k={given.reviewers}, {rounds} rounds behind one that is not measured, {given.delay * 1e3:.0f} ms "
        f"a call; medians of {repeats} run{'s' * (repeats > 1)}. At most {agents / 3 / given.delay:.0f} interactions/s are "
        "possible where a round begins when the last has ended."
    )
    text = f"{markdown(COLUMNS, cells(found))}\n\n{words(found, skipped, shape, kills, measured_on(load))}"
    publish(given, "peers", text, {"peers": found, "skipped": skipped, "agents": agents, "rounds": rounds})


if __name__ == "__main__":
    main()
