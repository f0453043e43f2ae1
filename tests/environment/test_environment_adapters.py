"""Environments of other packages: the record is that of our own engine. Each needs its package."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sandbox import Observation, SocietyEnv, open_run
from sandbox.environment.one_by_one import OneByOne
from sandbox.environment.tools import ToolEnvironments
from sandbox.errors import ToolNotFound
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


@pytest.mark.skipif(find_spec("openenv") is None, reason="needs openenv-core: pip install 'social-sandbox[openenv]'")
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
