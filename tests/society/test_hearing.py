"""What agents hear: recorded with who said it, recalled behind the next barrier, restored whatever happens to the process."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sandbox import Scenario, World, open_run
from sandbox.chat import agent_role
from sandbox.models.base import Reply, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.preview.prompt_preview import render_prompts
from sandbox.records import Heard
from sandbox.store.export import export_run
from visualize.page.data import PageData

MakeWorld = Callable[..., World]


def talk(agent, question, world):
    """Answers, and tells the next agent what it answered and what it remembers."""
    reply = yield agent.answer(question)
    world.members[(agent.index + 1) % len(world.members)].hear(reply, from_=agent)
    return world.interaction(agent, question, draft=reply.text, recalled=agent.recall(question))


def reply(agent, question, world):
    answer = yield agent.answer(f"{question} (again)")
    agent.hear("Think twice.", from_="The chair", importance=1.0)
    return world.interaction(agent, question, draft=answer.text)


def news(world):
    """The radio speaks to one agent."""
    world.members[0].hear(f"News of round {world.round}", from_="radio")


def verdict(world, interactions):
    for it in interactions:
        if it.agent == 1:
            world.members[1].hear(f"{world.stage} is over", from_=world.members[0])


def village(**more: Any) -> Scenario:
    rules = {"questions": ["May I?", "Must I?"], "protocol": talk, "events": {1: news}, "settle": verdict, **more}
    return Scenario(name="village", **rules)


STAGES: dict[str, Any] = {"protocol": "back_scatter", "stages": [talk, reply]}
KINDS = {
    "nearest": {}, "stream": {"memory.items": 3}, "summary": {"memory.every": 2, "memory.items": 2},
}  # fmt: skip


def make(out: Path | str | None, memory: str, *, stages: bool = True, model: Any = None, **more: Any) -> World:
    return World(
        village(**(STAGES if stages else {})), model=model or ScriptedModel(), rater="lm", embedder="hashing", size=2,
        out=out, resume=True, memory=memory, **{**KINDS[memory], **more},
    )  # fmt: skip


def everything(path: Path) -> str:
    """All that is recorded of a run but calls and times."""
    run = open_run(path)
    with sqlite3.connect(path / "run.sqlite") as db:
        tables = [
            db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
            for name in ("heard", "notes", "memories", "states")
        ]
        vectors = db.execute("SELECT hex(vector) FROM embeddings ORDER BY question").fetchall()
    return json.dumps([[it.as_dict() for it in run.interactions()], run.metrics(), tables, vectors])


def asked(model: ScriptedModel) -> list[str]:
    return [request.messages[-1].content for request in model.history]


def test_who_heard_what_from_whom_is_recorded(tmp_path: Path) -> None:
    world = make(tmp_path / "run", "stream", stages=False)
    run = world.run(2)
    first = run.interactions(0)
    assert [it.heard for it in first] == [
        (Heard((it.agent + 1) % 4, it.agent, f"Agent {it.agent + 1}", it.draft, None, 1),) for it in first
    ]
    told = run.heard()
    assert list(told.columns) == ["round", "agent", "speaker", "name", "text", "importance", "conversation"]
    assert len(told) == 2 * (4 + 1) + 1
    radio = told[told["name"] == "radio"].iloc[0]
    assert (radio["round"], radio["agent"], radio["text"]) == (1, 0, "News of round 1")
    assert radio.isna()[["speaker", "conversation"]].all()
    assert run.interactions() == open_run(tmp_path / "run").interactions()
    [shown] = [one for one in PageData(run).conversations(0) if one["round"] == 0]
    assert shown["heard"] == [{"agent": "Agent 2", "name": "Agent 1", "text": first[0].draft}]
    rows = pd.read_parquet(export_run(run, "parquet", tmp_path / "x.parquet"))
    assert rows["heard"][0].tolist() == [
        {"agent": 1, "speaker": 0, "name": "Agent 1", "text": first[0].draft, "importance": None}
    ]


def test_what_is_heard_is_recalled_from_the_next_stage_on(tmp_path: Path) -> None:
    """In round 0, with stages: nothing in `talk`; in `reply` what the neighbour said and the verdict, not yet the chair."""
    model = ScriptedModel()
    world = make(tmp_path / "run", "stream", model=model, prior_memories=0, **{"memory.items": 9})
    world.run(1)
    sent = asked(model)
    before, after = [s for s in sent if s.endswith("I?")], [s for s in sent if s.endswith("(again)")]
    assert all("You remember" not in text for text in before)
    said = {it.agent: it.extra["stages"]["talk"]["draft"] for it in open_run(tmp_path / "run").interactions()}
    assert sorted(text.split("\n\n")[0] for text in after) == sorted(
        f'You remember:\n- Agent {(n - 1) % 4 + 1} said: "{said[(n - 1) % 4]}"'
        + ('\n- Agent 1 said: "talk is over"' if n == 1 else "")
        for n in range(4)
    )
    last = world.members[1].recall("May I?")
    assert last is not None
    assert last[0] == "May I?"
    assert last[1].split("\n")[2:] == [
        '- The chair said: "Think twice."',
        f'- Asked "Must I?", you answered: "{open_run(tmp_path / "run").interactions(0)[1].draft}"',
        '- Agent 1 said: "reply is over"',
    ]


def test_the_memory_of_the_paper_says_once_that_it_ignores_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = make(tmp_path / "run", "nearest", stages=False)
    world.run(2)
    words = (
        "what agents heard is recorded but not recalled: the memory 'nearest' keeps their own answers only; --set "
        "memory=stream and --set memory=summary recall it"
    )
    assert caplog.messages.count(words) == 1
    assert open_run(tmp_path / "run").manifest["notes"].count(words) == 1
    assert len(open_run(tmp_path / "run").heard()) == 11


def test_a_summary_is_rewritten_by_the_agents_own_model(tmp_path: Path) -> None:
    """Every second round; its calls are stored, and until the next the two newest items are listed behind it."""
    model = ScriptedModel(
        replies=lambda r: f"I saw {len(r.messages[-1].content)}." if "Write down" in r.messages[-1].content else "Yes."
    )
    world = make(tmp_path / "run", "summary", stages=False, model=model, prior_memories=0)
    run = world.run(3)
    assert [(round_, agent, of) for round_, agent, of, _, _ in run.notes()] == [(1, n, "summary") for n in range(4)]
    wanted = [text for text in asked(model) if "Write down" in text]
    assert len(wanted) == 4
    assert wanted[2].startswith(
        'What you remember so far: -\nWhat happened since:\n- Agent 2 said: "Yes."\n- Asked "May I?", you answered: "Yes."\n'
    )
    assert run.notes()[2][3] == f"I saw {len(wanted[2])}."
    third = [text for text in asked(model) if f"You remember:\nI saw {len(wanted[2])}." in text]
    assert third
    recalled = world.members[2].recall("May I?")
    assert recalled is not None
    assert recalled[1].split("\n") == [
        f"I saw {len(wanted[2])}.", '- Agent 2 said: "Yes."', '- Asked "May I?", you answered: "Yes."',
    ]  # fmt: skip
    role = agent_role(run, 2, scenario=village())
    found = role.recall("May I?")
    assert found is not None
    assert found.text == recalled[1]


@pytest.mark.parametrize("memory", KINDS)
@pytest.mark.parametrize("stages", [False, True])
def test_resumed_branched_and_replayed_runs_are_the_same(tmp_path: Path, memory: str, stages: bool) -> None:
    make(tmp_path / "whole", memory, stages=stages, in_flight=7).run(5)
    whole = everything(tmp_path / "whole")
    for rounds in (1, 2, 3, 5):
        world = make(tmp_path / "parts", memory, stages=stages, in_flight=1)
        world.run(rounds)
        world.close()
    assert everything(tmp_path / "parts") == whole
    make(tmp_path / "branch", memory, stages=stages, branch=f"{tmp_path / 'whole'}@3").run(5)
    assert everything(tmp_path / "branch") == whole
    replay = f"replay:{tmp_path / 'whole'}"
    world = World(
        village(**(STAGES if stages else {})), model=replay, rater=replay, embedder=replay, size=2, memory=memory,
        out=tmp_path / "replayed", **KINDS[memory],
    )  # fmt: skip
    world.run(5)
    assert everything(tmp_path / "replayed") == whole


@pytest.mark.parametrize("memory", ["stream", "summary"])
def test_a_capped_run_ends_as_one_without_caps(tmp_path: Path, memory: str) -> None:
    """A cap may end a round before its memories are rewritten, or in the middle of it."""
    make(tmp_path / "whole", memory, stages=False).run(4)
    calls = open_run(tmp_path / "whole").manifest["tokens"]["calls"]
    for cap in range(1, calls + 1, 3):
        world = make(tmp_path / "capped", memory, stages=False, max_calls=cap, in_flight=3)
        world.run(4)
        assert open_run(tmp_path / "capped").manifest["tokens"]["calls"] <= cap
        world.close()
    make(tmp_path / "capped", memory, stages=False).run(4)
    assert everything(tmp_path / "capped") == everything(tmp_path / "whole")


def test_a_call_that_fails_leaves_the_summary_as_it_was_and_is_told(tmp_path: Path) -> None:
    def answer(request: Request) -> str | Reply:
        return Reply("", error="no power") if "Write down" in request.messages[-1].content else "Yes."

    world = make(tmp_path / "run", "summary", stages=False, model=ScriptedModel(replies=answer))
    run = world.run(2)
    assert {(text, error) for _, _, _, text, error in run.notes()} == {(None, "no power")}
    assert run.manifest["notes"] == [
        "4 memories could not be rewritten after round 1 and stay as they were, the first: no power"
    ]


SCRIPT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from test_hearing import make
from sandbox.models.scripted import ScriptedModel
print("ready", flush=True)
for line in sys.stdin:
    out, memory, in_flight = line.split()
    child = os.fork()
    if not child:
        make(out, memory, in_flight=int(in_flight), model=ScriptedModel(delay_s=0.002)).run(4)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_a_run_killed_at_any_of_thirty_moments_goes_on(tmp_path: Path) -> None:
    whole = {}
    for memory in ("stream", "summary"):
        make(tmp_path / memory, memory).run(4)
        whole[memory] = everything(tmp_path / memory)
    draw, n_killed = random.Random(0), 0
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        for number in range(90):
            memory, in_flight = ("stream", "summary")[number % 2], (1, 7)[number // 2 % 2]
            out = tmp_path / f"{number}"
            server.stdin.write(f"{out} {memory} {in_flight}\n")
            server.stdin.flush()
            process = int(server.stdout.readline())
            time.sleep(0.01 + 0.25 * draw.random())
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            if int(server.stdout.readline()) != signal.SIGKILL:
                continue  # it was over already
            n_killed += 1
            make(out, memory, in_flight=8 - in_flight).run(4)
            assert everything(out) == whole[memory], f"run {number}"
            if n_killed == 30:
                break
        server.stdin.close()
    assert n_killed == 30


class Flaky(ScriptedModel):
    """Agent 3 gets no reply in round 1 as long as the server is down."""

    def __init__(self, is_down: bool) -> None:
        super().__init__()
        self.is_down = is_down

    def _reply(self, request: Request) -> Reply:
        text = request.messages[-1].content
        if self.is_down and request.messages[0].content.startswith("You are Agent 3,") and "News" in text:
            return Reply("", error="down")
        return super()._reply(request)


@pytest.mark.parametrize("memory", ["stream", "summary"])
def test_a_conversation_that_is_repeated_says_what_it_would_have_said(tmp_path: Path, memory: str) -> None:
    """Agent 3 fails in round 1, so that Agent 4 hears nothing of it; repaired, it heard it, and so did its memory.

    Later rounds stay as they were. The scenario's functions say to agents what follows from the repaired round.
    """

    def to_all(world):
        for agent in world.members:
            agent.hear("News.", from_="radio")

    def count(world, interactions):
        world.members[0].hear(f"{sum(it.error is None for it in interactions)} spoke", from_="clerk")

    def told(run):
        return run.heard().fillna(-1).values.tolist()

    scenario = village(events={1: to_all}, settle=count)
    options = {
        "rater": "lm",
        "embedder": "hashing",
        "size": 2,
        "memory": memory,
        "prior_memories": 0,
        "memory.items": 9,
    }
    for name in ("good", "bad"):
        first = World(scenario, model=Flaky(name == "bad"), out=tmp_path / name, **options)
        first.run(2)
        first.close()
    good = open_run(tmp_path / "good")
    bad = open_run(tmp_path / "bad")
    assert [it.agent for it in bad.interactions(1) if it.error] == [2]
    assert len(told(bad)) == len(told(good)) - 1
    world = World(scenario, model=Flaky(False), out=tmp_path / "bad", resume=True, **options)
    assert world.repair() == 1
    assert bad.interactions() == good.interactions()
    assert told(bad) == told(good)
    again = World(scenario, model=Flaky(False), out=tmp_path / "good", resume=True, **options)
    assert [a.recall("May I?") for a in world.members] == [a.recall("May I?") for a in again.members]


def test_a_branch_may_remember_in_another_way(tmp_path: Path) -> None:
    """What was heard is in the record of a run with the paper's memory; the notes of another memory are not taken over."""
    for memory in ("nearest", "summary"):
        make(tmp_path / memory, memory).run(3)
        world = make(tmp_path / f"from_{memory}", "stream", branch=f"{tmp_path / memory}@2", **{"memory.items": 99})
        lines = world.members[1].recall("May I?")[1].split("\n")  # type: ignore[index]
        assert sum('The chair said: "Think twice."' in line for line in lines) == 2
        assert sum("Agent 1 said:" in line for line in lines) == 2 * 3
        assert all(line.endswith('"') for line in lines)
        world.run(3)
        assert {note[2] for note in world.store.notes()} <= {"summary"}


def test_the_prompts_of_memories_are_shown() -> None:
    """Whatever round they are sent in; templates are named."""
    shown = {one.templates: one for one in render_prompts(village(), memory="summary")}
    assert [*shown][-1] == (
        "answer_system", "remembered_answer", "remembered_heard", "summarise",
    )  # fmt: skip
    assert [*shown.values()][-1].note == "sent at the end of a round, as often as the setting memory.every says"
    first = next(iter(shown.values()))
    assert first.templates == ("answer_system", "answer", "remembered", "remembered_answer", "remembered_heard")
    assert first.messages[1][1].startswith("You remember:\n- Agent 9 said: ")
