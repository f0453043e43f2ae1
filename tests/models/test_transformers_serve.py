"""Against a real server that speaks OpenAI's schema: ``transformers serve``, with the bundled model.

It gives no probabilities of tokens; those are tested against a stub with OpenAI's schema, in test_openai.py.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.models.local.bundled import bundled_path
from sandbox.models.remote.openai import OpenAIModel

pytestmark = pytest.mark.slow

QUESTION = (Message("user", "What is the capital of France? Answer in one short sentence."),)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Starts the server; gives ``NAME@URL``, and ends it when all tests are done."""
    pytest.importorskip("fastapi", reason="transformers serve needs FastAPI: pip install -e '.[dev]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("hub")
    (home / "hub").mkdir()
    model = str(bundled_path())
    command = [str(Path(sys.executable).with_name("transformers")), "serve", model, "--port", str(port)]
    command += ["--device", "cpu", "--dtype", "float32"]
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        waited = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                said = (home / "log").read_text(errors="replace")
                assert process.poll() is None, said
                assert time.monotonic() < waited, said
                time.sleep(0.5)
        yield f"{model}@http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_it_chats_and_completes_as_the_local_model_does(served: str) -> None:
    """Greedy, so that the texts are those of the same weights here."""
    request = Request(QUESTION, max_tokens=16, temperature=0.0)
    local = load_model("hf:smollm2").generate([request])[0]
    chat: Any = load_model(f"openai:{served}")
    [reply] = chat.generate([request])
    assert (reply.error, reply.text) == (None, local.text)
    assert reply.prompt_tokens == local.prompt_tokens
    assert reply.completion_tokens > 0
    completion = OpenAIModel(served, api="completion")
    replies = completion.generate([Request(QUESTION, max_tokens=8, seed=n) for n in range(3)])
    assert [r.error for r in replies] == [None] * 3
    assert any(r.text for r in replies)


def test_a_society_speaks_through_it_and_is_rated_in_words(served: str, tiny_world: Callable[..., Any]) -> None:
    """A whole round of 3x3 agents. The server has neither probabilities nor schemas: ratings are read from words, and
    what such a small model says instead of one is kept as unreadable."""
    settings = {"reviewers": 1, "max_tokens": 8, "score_only": True, "rater": "lm", "observer_rater": "values"}
    run = tiny_world(model=f"openai:{served}", **settings, **{"model.max_in_flight": 4}).run(1)
    found = run.interactions()
    assert [it.error for it in found] == [None] * 9
    assert all(it.draft and it.revision and len(it.feedback) == 1 for it in found)
    assert any(f.rating.value is not None for it in found for f in it.feedback)
    assert run.manifest["tokens"]["completion"] > 0
