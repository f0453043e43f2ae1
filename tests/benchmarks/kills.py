"""Kills societies with state, stages, groups, events, births and memories at random moments, and resumes them.

For each society and each number of conversations at once, runs are killed by the system at random moments, and resumed by
another number of conversations at once. Their tables must be those of a run that was never killed, byte for byte; so must those
of a branch and of a replay of both. Prints counts as JSON::

    python tests/benchmarks/kills.py --moments 30
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox import Scenario, ScriptedModel, World, dialogue, keyed_rng

IN_FLIGHT = (1, 7, 1000)
ROUNDS = 4
# What runs at once, and its order, may differ: calls are found by their keys.
UNORDERED = ("calls", "embeddings", "branch_calls")


def give(agent: Any, question: str, world: Any) -> Any:
    """First stage: free text, and a word to a neighbour."""
    said = yield agent.answer(question)
    others = world.space.neighbors(agent)
    if others:
        others[0].hear(said.text, from_=agent)
    return world.interaction(agent, question, draft=said.text)


def take(agent: Any, question: str, world: Any) -> Any:
    """Second stage: reads the first, and chooses."""
    before = world.said("give").get(agent.index)
    chosen = yield agent.choose(f"Take 1 or 2, after {before.draft if before else 'nothing'}?", ["1", "2"])
    taken = chosen.draw(keyed_rng(world.seed, world.round, agent.index, "take"))
    return world.interaction(agent, question, draft=taken, extra={"taken": int(taken)})


def talk(members: Any, question: str, world: Any) -> Any:
    """A group talks in turn."""
    said = yield dialogue(members, question, turns=4)
    return [world.interaction(one, question, draft=" ".join(t for who, t in said if who is one)) for one in members]


def settle(world: Any, interactions: Any) -> None:
    """The poor leave, the rich have children."""
    for it in interactions:
        if it.agent not in world.members.numbers:
            continue
        agent = world.members[it.agent]
        gain = it.extra.get("taken", len(it.draft or "") % 3) - 1.4
        agent.state["purse"] = round(agent.state["purse"] + gain, 3)
        if agent.state["purse"] < 3.5 and len(world.members) > 4:
            agent.remove()
        elif agent.state["purse"] > 5.2 and world.space.free_near(agent):
            world.add(label=agent.label, near=agent, state={"purse": 4})
    world.state["sum"] = round(sum(a.state["purse"] for a in world.members), 3)


def flood(world: Any) -> None:
    """Everybody loses a coin, and somebody is told."""
    for agent in world.members:
        agent.state["purse"] -= 0.5
    world.tell("It floods.", list(world.members)[:2])


def trios(world: Any) -> Any:
    """Groups of three, drawn anew."""
    drawn = keyed_rng(world.seed, world.round, "groups").sample(list(world.members), len(world.members))
    return [drawn[i : i + 3] for i in range(0, len(drawn), 3)]


def payoff(interaction: Any, world: Any) -> float:
    """What the round brought."""
    agent = world.members[interaction.agent]
    return float(agent.state["purse"] - agent.state_before.get("purse", 0))


COMMON: dict[str, Any] = {
    "questions": ["What do you give?", "What do you keep?"],
    "state": {"purse": 4.0},
    "world_state": {"sum": 0},
    "settle": settle,
    "events": {2: flood},
    "reward": {"payoff": payoff},
    "measures": {"alive": lambda interactions, world: len(world.members)},
}
SOCIETIES = {
    "stages": Scenario(**COMMON, name="stages", stages=[give, take]),
    "groups": Scenario(**COMMON, name="groups", groups=trios, protocol=talk),
}


def society(name: str, out: Path, in_flight: int, *, delay_s: float = 0.0, **given: Any) -> World:
    """A society of twelve agents on sixteen places, who move and remember."""
    settings: dict[str, Any] = {
        "model": ScriptedModel(delay_s=delay_s), "embedder": "hashing", "rater": "lm", "size": 4, "agents": 12, "radius": 1,
        "movement": 0.5, "memory": "summary", "memory.every": 2, "resume": True,
    } | given  # fmt: skip
    return World(replace(SOCIETIES[name]), out=out, in_flight=in_flight, **settings)


def tables(path: Path) -> dict[str, str]:
    """A hash of the rows of each table."""
    found = {}
    with closing(sqlite3.connect(path / "run.sqlite")) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name").fetchall():
            rows = [repr(row) for row in db.execute(f"SELECT * FROM {table}")]
            rows = sorted(rows) if table in UNORDERED else rows
            found[table] = hashlib.blake2b("\n".join(rows).encode(), digest_size=8).hexdigest()
    return found


def run(name: str, out: Path, in_flight: int, rounds: int = ROUNDS, **given: Any) -> dict[str, str]:
    """Run a society to its end, and read its tables."""
    with closing(society(name, out, in_flight, **given)) as world:
        world.run(rounds)
    return tables(out)


def killed_after(name: str, out: Path, in_flight: int, wait_s: float, delay_s: float) -> bool:
    """Start a run in a process of its own and kill it: whether it was still running."""
    child = os.fork()
    if not child:
        with suppress(BaseException):
            run(name, out, in_flight, delay_s=delay_s)
        os._exit(0)
    time.sleep(wait_s)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def stress(name: str, in_flight: int, moments: int, folder: Path, draw: random.Random) -> dict[str, Any]:
    """Kill a society so many times, and count in how many runs anything differs."""
    delay_s = 0.004 if in_flight == 1 else 0.015
    started = time.monotonic()
    whole = run(name, folder / "whole", in_flight, delay_s=delay_s)
    lasts_s = time.monotonic() - started
    two = run(name, folder / "branch", in_flight, branch=f"{folder / 'whole'}@2", seed=7)
    again = run(
        name,
        folder / "replay",
        in_flight,
        model=f"replay:{folder / 'whole'}",
        embedder="replay:" + str(folder / "whole"),
    )
    counts, differs, places = Counter[str](), Counter[str](), set[tuple[str, ...]]()
    for table in whole:
        if table not in ("calls", "agents", "branch_calls") and again[table] != whole[table]:
            differs[f"{table} of the replay"] += 1
    while counts["killed"] < moments:
        counts["started"] += 1
        out = folder / f"{counts['started']}"
        if not killed_after(name, out, in_flight, draw.random() * lasts_s, delay_s):
            counts["ended before"] += 1
            continue
        counts["killed"] += 1
        if (out / "manifest.json").exists():
            places.add(tuple(tables(out).values()))
        other = draw.choice(IN_FLIGHT)
        resumed = run(name, out, other)
        for table in whole:
            if resumed[table] != whole[table]:
                differs[table] += 1
        branch = run(name, folder / f"b{counts['started']}", other, branch=f"{out}@2", seed=7)
        for table in two:
            if branch[table] != two[table]:
                differs[f"{table} of the branch"] += 1
    return {
        "society": name, "in flight": in_flight, **counts, "different states at the kill": len(places),
        "differing tables": dict(differs), "tables compared": len(whole),
    }  # fmt: skip


def main() -> None:
    """Print the counts of all societies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=30)
    given = parser.parse_args()
    draw = random.Random(0)
    for name in SOCIETIES:
        for in_flight in IN_FLIGHT:
            with tempfile.TemporaryDirectory() as folder:
                sys.stdout.write(json.dumps(stress(name, in_flight, given.moments, Path(folder), draw)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
