"""Killed at any moment, a run goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import Reward, load_scenario
from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.store.run import is_run, open_run
from sandbox.world import World

MOMENTS = 50

# Imports everything once and forks a process for every run it is told of, so that fifty of them take seconds.
SERVER = """
import os, sys, tempfile
sys.path.insert(0, sys.argv[1])
from test_kill import society
with tempfile.TemporaryDirectory() as folder:
    society(folder, "local").run(1)
print("ready", flush=True)
for line in sys.stdin:
    out, kind = line.split()
    child = os.fork()
    if not child:
        society(out, kind, delay_s=0.002).run(2)
        os._exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


class Remote(ScriptedModel):
    """The same script over an imagined network: replies come in an order of their own."""

    def __init__(self, delay_s: float = 0.0) -> None:
        super().__init__()
        self._longest_s = delay_s

    async def agenerate(self, request: Request) -> Reply:
        import asyncio

        self.history.append(request)
        await asyncio.sleep(self._longest_s * (int(request.key(), 16) % 100) / 50)
        return self._reply(request)


def words(interaction: Any, world: Any) -> float:
    """Words of the draft, and the round's number."""
    return float(len(interaction.draft.split()) + world.round)


def society(out: str | Path, kind: str, *, delay_s: float = 0.0, model: Any = None) -> World:
    """Nine agents who move, of whom two thirds are asked in a round and rewarded; four conversations at once."""
    made = (Remote if kind == "remote" else ScriptedModel)(delay_s=delay_s) if model is None else model
    rewarded = replace(load_scenario("value_alignment", {}), reward={"words": Reward(words, discount=0.5)})
    return World(
        rewarded, model=made, embedder="hashing", size=4, agents=9, movement=0.5, active=2 / 3, reviewers=2,
        radius=2, prior_memories=5, out=out, in_flight=4, resume=True,
    )  # fmt: skip


def everything(path: Path) -> str:
    """All that a run says of conversations, memories, places, measures and rewards."""
    run = open_run(path)
    minds = [run.memories(agent) for agent in run.agents()["agent"]]
    homes = [run.positions(r).to_dict("list") for r in range(run.rounds + 1)]
    credits = sorted(run.credits("words").items())
    assert len(credits) == len(run.interactions())
    told = [[i.as_dict() for i in run.interactions()], minds, homes, run.metrics(), credits]
    return json.dumps(told, ensure_ascii=False, sort_keys=True)


def kept_calls(path: Path) -> set[str]:
    """Keys of the finished calls that a run keeps."""
    if not (path / "run.sqlite").exists():
        return set()
    with sqlite3.connect(path / "run.sqlite") as db:
        try:
            return {key for (key,) in db.execute("SELECT key FROM calls")}
        except sqlite3.OperationalError:
            return set()  # its tables had not been made


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SERVER, str(Path(__file__).parent)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def begin(server: subprocess.Popen[str], out: Path, kind: str) -> int:
    """Start a run in a process of its own; its id."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{out} {kind}\n")
    server.stdin.flush()
    return int(server.stdout.readline())


def status(server: subprocess.Popen[str]) -> int:
    """How the process that was started last ended."""
    assert server.stdout is not None
    return int(server.stdout.readline())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_a_run_killed_at_any_of_fifty_moments_goes_on(tmp_path: Path, server: subprocess.Popen[str]) -> None:
    """Killed by the system at a random moment between its start and its end, by turns with a local and a remote model.

    What the resumed run ends with is what the uninterrupted run has, and it asks for no call that the first process
    had finished.
    """
    whole, lasts_s = {}, {}
    for kind in ("local", "remote"):
        started = time.monotonic()
        begin(server, tmp_path / kind, kind)
        assert status(server) == 0
        lasts_s[kind] = time.monotonic() - started
        whole[kind] = everything(tmp_path / kind)
    assert whole["local"] == whole["remote"]

    draw = random.Random(0)
    moments: set[tuple[bool, int]] = set()
    n_killed = number = 0
    while n_killed < MOMENTS:
        number += 1
        assert number < 3 * MOMENTS, "runs end before they can be killed"
        kind = ("local", "remote")[number % 2]
        out = tmp_path / f"{number}"
        process = begin(server, out, kind)
        time.sleep(draw.random() * lasts_s[kind])
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        if status(server) != signal.SIGKILL:
            continue  # it was over already
        n_killed += 1
        paid = kept_calls(out)
        moments.add((is_run(out), len(paid)))
        model = Remote() if kind == "remote" else ScriptedModel()
        world = society(out, kind, model=model)
        world.run(2)
        world.close()
        assert everything(out) == whole[kind], f"run {number}"
        assert paid.isdisjoint(request.key() for request in model.history)
        assert kept_calls(out) == kept_calls(tmp_path / kind)
    assert len(moments) > 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_a_run_killed_again_and_again_ends_too(tmp_path: Path, server: subprocess.Popen[str]) -> None:
    begin(server, tmp_path / "whole", "local")
    assert status(server) == 0
    out = tmp_path / "killed"
    draw = random.Random(1)
    for _ in range(10):
        process = begin(server, out, "local")
        time.sleep(0.02 + 0.08 * draw.random())
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        status(server)
    world = society(out, "local")
    world.run(2)
    world.close()
    assert everything(out) == everything(tmp_path / "whole")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_a_branch_killed_at_its_beginning_is_a_branch_still(tmp_path: Path, run_dir: Path) -> None:
    """A branch is written whole before its folder counts as a run: resumed, it has the rounds it began with."""
    script = (
        "import sys, os\nimport sandbox.store.writer as writer\nfrom sandbox.world import World\n"
        "writer.RunWriter.save_manifest = lambda self: os.kill(os.getpid(), 9)\n"
        f"World('value_alignment', model='scripted:', embedder='hashing', size=3, out={str(tmp_path / 'b')!r}, "
        f"branch='{run_dir}@2')\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert not is_run(tmp_path / "b")
    world = World(
        "value_alignment", model="scripted:", embedder="hashing", size=3, out=tmp_path / "b", branch=f"{run_dir}@2",
        resume=True,
    )  # fmt: skip
    assert world.round == 2
    world.run(3)
    world.close()
    assert open_run(tmp_path / "b").interactions() == open_run(run_dir).interactions()


BUNDLED = """
import sys
from sandbox.world import World
World("value_alignment", model="smollm2", size=2, rater="lm", embedder="hashing", reviewers=1, max_tokens=8,
      reason_tokens=4, prior_memories=2, n_questions=6, out=sys.argv[1], in_flight=2, resume=True).run(2)
"""


@pytest.mark.slow
def test_a_run_of_the_bundled_model_killed_now_and_then_goes_on(tmp_path: Path) -> None:
    """Killed after its 9th finished call (of about 70), and resumed by a new process.

    All texts are the same; probabilities are to 1e-5, since the resumed process batches other calls together, and
    batches of another shape round differently.
    """

    def run_it(out: Path, kill_after: int | None = None) -> int:
        with subprocess.Popen([sys.executable, "-c", BUNDLED, str(out)]) as process:
            while kill_after is not None and process.poll() is None and len(kept_calls(out)) < kill_after:
                time.sleep(0.02)
            if kill_after is not None:
                process.kill()
        return process.returncode

    assert run_it(tmp_path / "whole") == 0
    assert run_it(tmp_path / "killed", 9) == -signal.SIGKILL
    seen = kept_calls(tmp_path / "killed")
    assert len(seen) >= 9
    assert run_it(tmp_path / "killed") == 0
    assert seen <= kept_calls(tmp_path / "killed")
    assert kept_calls(tmp_path / "killed") == kept_calls(tmp_path / "whole")
    runs = [open_run(tmp_path / name) for name in ("killed", "whole")]
    killed, whole = (
        [(i.agent, i.draft, i.revision, i.recalled, [(f.reviewer, f.rating.reason) for f in i.feedback], i.error)
         for i in run.interactions()]
        for run in runs
    )  # fmt: skip
    assert killed == whole
    assert len(whole) == 8
    ours, theirs = (run.frame()[["rating", "alignment_before", "alignment_after"]].to_numpy() for run in runs)
    assert ours == pytest.approx(theirs, abs=1e-5)
