"""Environments of other packages: the record is that of our own engine. Each needs its package."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from stub_server import Answer, Asked, StubServer, completion, error

from sandbox import Observation, SocietyEnv, open_run
from sandbox.environment.one_by_one import OneByOne
from sandbox.environment.tools import ToolEnvironments
from sandbox.errors import SettingsError, ToolNotFound
from sandbox.testing import tiny_lm

SETTINGS: dict[str, Any] = {"others": "scripted:", "learner": "player", "rounds": 2, "size": 2, "embedder": "hashing"}


def policy(choices: list[str], messages: list[dict[str, str]]) -> str:
    """A choice by the length of what is asked."""
    return choices[len(messages[-1]["content"]) % len(choices)]


def as_bytes(folder: Path) -> bytes:
    [path] = folder.iterdir()
    run = open_run(path)
    calls = sorted(run._db.execute("SELECT key, request, reply FROM calls"))
    return json.dumps([[i.as_dict() for i in run.interactions()], calls, run.metrics()], sort_keys=True).encode()


@pytest.fixture
def expected(tmp_path: Path) -> tuple[bytes, dict[str, Any]]:
    """The record of our own engine, and the episode."""

    def act(one: Observation) -> str:
        return policy([*one.choices], one.messages)

    [episode] = SocietyEnv("public_goods", **SETTINGS, out=tmp_path / "own").rollout(act, seed=4)
    return as_bytes(tmp_path / "own"), episode.as_dict()


def test_one_observation_at_a_time(tmp_path: Path, expected: tuple[bytes, dict[str, Any]]) -> None:
    env = OneByOne(SocietyEnv("public_goods", **SETTINGS, out=tmp_path / "serial"))
    one, rewards = env.reset(4), []
    while one is not None:
        rewards.append(env.step(policy([*one.choices], one.messages)))
        one = env.observation
    # Four players, two stages, two rounds: a reward with the last action of each round.
    assert [number for number, reward in enumerate(rewards) if reward is not None] == [7, 15]
    assert sum(reward or 0 for reward in rewards) == pytest.approx(expected[1]["total"])
    assert env.episode.as_dict() == expected[1]
    given = sum(float(turn.action) for turn in env.episode.turns if "20" in turn.choices)
    paid = pytest.approx(env.episode.total)  # all four are one group, whose welfare is the mean of its payoffs
    assert env.episode.totals == {"payoff": paid, "welfare": paid, "contribution": given}
    assert as_bytes(tmp_path / "serial") == expected[0]


def test_an_environment_with_a_tool(tmp_path: Path, expected: tuple[bytes, dict[str, Any]]) -> None:
    env = ToolEnvironments(SocietyEnv("public_goods", **SETTINGS, out=tmp_path / "tool"))()
    asked = env.reset(seed=4, prompt="not used").removeprefix("\n\n")
    while asked != "The episode is over.":
        choices = ["no", "yes"] if asked.endswith("no, yes.") else ["0", "5", "10", "15", "20"]
        asked = env.answer(policy(choices, [{"content": asked.split("\n\n", 1)[1]}]))
    assert env.answer("more") == "The episode is over."
    assert env.get_reward() == pytest.approx(expected[1]["total"])
    assert as_bytes(tmp_path / "tool") == expected[0]


SERVER = """
import sys, uvicorn
from sandbox import SocietyEnv
from sandbox.environment.openenv import make_app
env = SocietyEnv("public_goods", out=sys.argv[1], others="scripted:", learner="player", rounds=2, size=2, embedder="hashing")
uvicorn.run(make_app(env), port=int(sys.argv[2]), log_level="warning")
"""


@pytest.mark.skipif(find_spec("openenv") is None, reason="needs openenv-core: pip install -e '.[openenv]'")
def test_openenv_over_a_socket(tmp_path: Path, expected: tuple[bytes, dict[str, Any]]) -> None:
    """The server in a process of its own, and OpenEnv's own client."""
    import socket
    import time

    from openenv.core import GenericEnvClient

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path / "served"), str(port)])
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        with GenericEnvClient(base_url=f"http://127.0.0.1:{port}").sync() as client:
            result, rewards = client.reset(seed=4), []
            while not result.done:
                text = policy(result.observation["choices"], result.observation["messages"])
                result = client.step({"text": text})
                rewards.append(result.reward)
            assert client.state()["step_count"] == 16
    finally:
        server.terminate()
        server.wait(10)
    assert [number for number, reward in enumerate(rewards) if reward is not None] == [7, 15]
    assert sum(reward or 0 for reward in rewards) == pytest.approx(expected[1]["total"])
    assert as_bytes(tmp_path / "served") == expected[0]


@pytest.mark.skipif(find_spec("openenv") is not None, reason="openenv-core is installed")
def test_without_openenv_it_says_what_to_install() -> None:
    with pytest.raises(ToolNotFound, match="openenv"):
        importlib.import_module("sandbox.environment.openenv")


needs_verifiers = pytest.mark.skipif(
    find_spec("verifiers") is None,
    reason="needs verifiers: pip install -e '.[verifiers]', without social-sandbox[dev]",
)
ENVIRONMENTS = Path(__file__).parents[2] / "docs" / "environments.md"


def reply(asked: Asked, number: int) -> Answer:
    """What the policy says to the last message, from the server."""
    del number
    text = asked.body["messages"][-1]["content"]
    choices = ["no", "yes"] if text.endswith("no, yes.") else ["0", "5", "10", "15", "20"]
    said = json.loads(completion(asked.body, chat=True, logprobs=False))
    said["choices"][0]["message"]["content"] = policy(choices, [{"content": text}])
    return Answer(body=json.dumps(said).encode())


@pytest.mark.slow
@needs_verifiers
def test_verifiers_by_its_own_command(tmp_path: Path, expected: tuple[bytes, dict[str, Any]]) -> None:
    """The module and the command of the documents, with another society and a server that answers by the policy."""
    page = ENVIRONMENTS.read_text(encoding="utf-8")
    [module] = re.findall(r"^```python\n(# society.py\n.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    society = ", ".join(f"{name}={value!r}" for name, value in {**SETTINGS, "out": str(tmp_path / "played")}.items())
    module = module.replace('"prisoners", learner=0, others="smollm2", rounds=5', f'"public_goods", {society}')
    (tmp_path / "society.py").write_text(module.replace("range(100)", "(4, 5)"), encoding="utf-8")
    [command] = re.findall(r"^PYTHONPATH=\. (vf-eval society .*)$", page, flags=re.MULTILINE)
    with StubServer(reply) as server:
        command = command.replace("http://127.0.0.1:8000/v1", server.url).replace("-n 4 -r 2", "-n 1")
        words = [str(Path(sys.executable).parent / "vf-eval"), *shlex.split(command)[1:], "--no-rich", "-o", "out"]
        paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
        env = {**os.environ, "PYTHONPATH": paths, "HOME": str(tmp_path)}
        ended = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert as_bytes(tmp_path / "played") == expected[0]
        bodies = [asked.body for asked in server.asked]
    [traces] = tmp_path.glob("out/*/traces.jsonl")
    [episode] = map(json.loads, traces.read_text(encoding="utf-8").splitlines())
    [trace] = episode["traces"]
    assert trace["ok"]
    assert trace["info"]["episode"] == expected[1]
    assert trace["rewards"]["payoff"]["score"] == pytest.approx(expected[1]["total"])
    given = sum(float(turn["action"]) for turn in expected[1]["turns"] if "20" in turn["choices"])
    welfare = pytest.approx(expected[1]["total"])
    assert trace["metrics"] == {"welfare": welfare, "contribution": given, "rounds": 2, "actions": 16}
    # The messages are those of the society, and each prompt is a branch of its own.
    assert [body["messages"] for body in bodies] == [turn["messages"] for turn in expected[1]["turns"]]
    assert sum(node["sampled"] for node in trace["nodes"]) == 16
    assert {(body["temperature"], body["max_tokens"]) for body in bodies} == {(0.8, 24)}


def play_with_verifiers(monkeypatch: pytest.MonkeyPatch, server: StubServer, env: SocietyEnv, **config: Any) -> Any:
    """One episode in this process."""
    import verifiers.v1 as vf

    from sandbox.environment import verifiers as ours

    module: Any = type(sys)("played_society")
    module.Society = ours.make_taskset(env, seeds=[4])
    module.SocietyGame, module.SocietyHarness = ours.SocietyGame, ours.SocietyHarness
    module.__all__ = ["Society", "SocietyGame", "SocietyHarness"]
    monkeypatch.setitem(sys.modules, "played_society", module)
    made = vf.load_environment(vf.resolve_env_config({"taskset": {"id": "played-society"}, **config}))
    context = vf.ModelContext("stub", vf.EvalClientConfig(base_url=server.url))

    async def play() -> Any:
        async with made.serving():
            [task] = made.taskset
            return await made.run_slot(made.slots(task)[0], context)

    return asyncio.run(play())


@needs_verifiers
def test_a_conversation_of_verifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each prompt is a turn of one conversation, with the system message once; the record is that of our own engine."""
    settings = {**SETTINGS, "learner": 0}
    [alone] = SocietyEnv("public_goods", **settings, out=tmp_path / "own").rollout(
        lambda one: policy([*one.choices], one.messages), seed=4
    )
    env = SocietyEnv("public_goods", **settings, out=tmp_path / "played")
    with StubServer(reply) as server:
        episode = play_with_verifiers(monkeypatch, server, env, conversation=True)
        last = server.asked[-1].body["messages"]
    [trace] = episode.traces
    assert episode.ok
    assert trace.info["episode"] == alone.as_dict()
    assert as_bytes(tmp_path / "played") == as_bytes(tmp_path / "own")
    assert [one["role"] for one in last] == ["system", *["user", "assistant"] * 3, "user"]
    assert [one["content"] for one in last if one["role"] == "user"] == [
        turn.messages[-1]["content"] for turn in alone.turns
    ]
    assert trace.num_branches == 1


@needs_verifiers
def test_a_limit_of_verifiers_leaves_the_rounds_that_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    env = SocietyEnv("public_goods", **{**SETTINGS, "learner": 0})
    with StubServer(reply) as server:
        episode = play_with_verifiers(monkeypatch, server, env, agent={"max_turns": 3})
    [trace] = episode.traces
    assert trace.stop_condition == "max_turns"
    assert (trace.metrics["rounds"], trace.metrics["actions"]) == (1, 3)
    assert trace.reward == trace.info["episode"]["rewards"]["0"][0] != 0


@needs_verifiers
def test_the_same_prompt_twice_is_two_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fishers say before they choose does not depend on what they said before, and here they say the same again."""
    env = SocietyEnv("commons", learner=0, others="scripted:", rounds=2, size=2, embedder="hashing")
    with StubServer() as server:
        episode = play_with_verifiers(monkeypatch, server, env)
        asked = [one.body["messages"] for one in server.asked]
    [trace] = episode.traces
    assert asked[0] == asked[2]
    assert trace.metrics["actions"] == trace.num_branches == 4


@needs_verifiers
def test_faults_of_verifiers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox.environment import verifiers as ours

    all_learn, one = (SocietyEnv("public_goods", **{**SETTINGS, "learner": learner}) for learner in ("player", 0))
    with StubServer(lambda asked, number: error(400, "no such model")) as server:
        with pytest.raises(SettingsError, match="learner='player' may be several agents, and conversation=True"):
            play_with_verifiers(monkeypatch, server, all_learn, conversation=True)
        episode = play_with_verifiers(monkeypatch, server, one)
    assert not episode.ok
    assert "no such model" in episode.traces[0].errors[0].message
    assert episode.traces[0].rewards == {}
    with pytest.raises(SettingsError, match="seeds is empty"):
        ours.make_taskset(one, seeds=[])
    with pytest.raises(SettingsError, match="has no reward 'payof'. Did you mean 'payoff'"):
        ours.make_taskset(SocietyEnv("public_goods", **SETTINGS, reward="payof"))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.3.1")
    with pytest.raises(ToolNotFound, match="needs verifiers 0.4, and 0.3.1 is installed"):
        importlib.reload(ours)


@pytest.mark.skipif(find_spec("verifiers") is not None, reason="verifiers is installed")
def test_without_verifiers_it_says_what_to_install() -> None:
    with pytest.raises(ToolNotFound, match="an environment of verifiers needs verifiers, .*pip install verifiers"):
        importlib.import_module("sandbox.environment.verifiers")


@pytest.mark.slow
@pytest.mark.needs_torch
def test_trl_takes_the_factory(tmp_path: Path) -> None:
    """A tiny random model calls no tool; the trainer of TRL resets, generates, asks for the reward and makes its step."""
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    base = tiny_lm(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    templates = Path(trl.__file__).parent / "chat_templates"
    tokenizer.chat_template = (templates / "qwen3.jinja").read_text(encoding="utf-8")
    env = SocietyEnv("prisoners", learner=0, others="scripted:", agents=4, embedder="hashing")
    rows = [{"prompt": [{"role": "user", "content": "Play."}], "seed": seed} for seed in (3, 4)]
    trainer = GRPOTrainer(
        str(base), environment_factory=ToolEnvironments(env), train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        args=GRPOConfig(
            output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, num_generations=2,
            max_completion_length=4, use_cpu=True, report_to="none", logging_steps=1, save_strategy="no", disable_tqdm=True,
        ),
    )  # fmt: skip
    trainer.train()
    assert any("rewards/ToolEnvironment/mean" in record for record in trainer.state.log_history)
