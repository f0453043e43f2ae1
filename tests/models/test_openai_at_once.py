"""The remote model with many requests at once and on several event loops; and the stub server itself."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_requests import DIGITS, RATE, ask
from stub_server import REPLY, Answer, Asked, StubServer, error

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import Call
from sandbox.models.base import Request
from sandbox.models.remote.async_calls import AsyncCalls
from sandbox.models.remote.openai import OpenAIModel

# -- many at once -------------------------------------------------------------------------------------------------


def echo(asked: Asked, number: int) -> Answer:
    """Says what it was asked, the later the sooner; fails for good on every seventh."""
    text = asked.body["messages"][-1]["content"]
    if int(text) % 7 == 3:
        return error(400, f"no {text}")
    said = {"choices": [{"message": {"content": f"<{text}>"}, "finish_reason": "stop"}]}
    return Answer(body=json.dumps(said).encode(), delay_s=0.05 / (number + 1))


def expected(number: int) -> str:
    return "" if number % 7 == 3 else f"<{number}>"


def test_replies_come_in_the_order_of_requests_and_one_failure_is_one(at: Callable[..., OpenAIModel]) -> None:
    with StubServer(echo) as server:
        replies = at(server).generate([ask(str(n)) for n in range(50)])
    assert [r.text for r in replies] == [expected(n) for n in range(50)]
    assert [r.error is None for r in replies] == [n % 7 != 3 for n in range(50)]


def test_no_requests_no_replies(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        assert at(server).generate([]) == []
        assert server.connections == 0


def test_connections_are_kept_alive_and_bounded(at: Callable[..., OpenAIModel]) -> None:
    """Two batches of 30 with four at once: never more than four requests, on four connections in all."""
    with StubServer(delay_s=0.005) as server:
        model = at(server, max_in_flight=4)
        for _ in range(2):
            model.generate([ask(str(n)) for n in range(30)])
        assert (server.peak, server.connections, len(server.asked)) == (4, 4, 60)


def test_the_scheduler_keeps_many_calls_in_the_air(at: Callable[..., OpenAIModel]) -> None:
    """40 conversations of 3 calls, 50 ms each: 0.15 s in waves, 6 s one after the other."""

    def talk(model: OpenAIModel, number: int) -> Any:
        texts = []
        for _ in range(3):
            reply = yield Call(model, ask(f"hello {number}"))
            texts.append(reply.text)
        return texts

    with StubServer(delay_s=0.05) as server:
        model = at(server)
        results = run_conversations([talk(model, number) for number in range(40)])
        assert server.peak == 40
    assert results == [[REPLY] * 3] * 40


# -- event loops --------------------------------------------------------------------------------------------------


def test_every_event_loop_has_its_own_connections(at: Callable[..., OpenAIModel]) -> None:
    """Loops come and go with worlds; what one leaves behind is closed when the next asks."""
    with StubServer() as server:
        model = at(server)
        for _ in range(3):
            assert asyncio.run(model.agenerate(ask())).text == REPLY
        assert server.connections == 3
        gc.collect()
        wait_for(lambda: len(server._open) == 1)


def test_closing_closes_the_connections_of_a_loop_in_another_thread(at: Callable[..., OpenAIModel]) -> None:
    with StubServer() as server:
        model = at(server)
        calls = AsyncCalls()
        calls.submit([Call(model, ask())])
        assert calls.finished()[0][1].text == REPLY
        assert len(server._open) == 1
        model.close()
        wait_for(lambda: not server._open)
        assert model.generate([ask()])[0].text == REPLY  # it can be used again
        calls.close()


def test_a_model_let_go_of_closes_its_connections() -> None:
    with StubServer() as server:
        model = OpenAIModel(f"m@{server.url}")
        model.generate([ask()])
        assert len(server._open) == 1
        del model
        gc.collect()
        wait_for(lambda: not server._open)


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 3
    while not holds():
        assert time.monotonic() < until, "it did not come about in 3 s"
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["generate", "agenerate", "within", "given up"])
def test_nothing_is_said_when_a_program_ends(how: str) -> None:
    """Nobody closes the model; the process must end without complaints of connections left open."""
    ways = {
        "generate": "model.generate([request])",
        "agenerate": "asyncio.run(model.agenerate(request))",
        "within": "asyncio.run(within())",
        "given up": "calls = AsyncCalls(); calls.submit([Call(model, slow)]); time.sleep(0.1)",
    }
    program = f"""
import asyncio, sys, time
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stub_server import Answer, StubServer
from sandbox.models.base import Message, Request
from sandbox.models.remote.openai import OpenAIModel
from sandbox.models.remote.async_calls import AsyncCalls
from sandbox.conversation.steps import Call
request, slow = (Request((Message("user", text),)) for text in ("quick", "slow"))
async def within():
    model = OpenAIModel("m@" + server.url)
    await model.agenerate(request)
    model.close()
plan = lambda asked, n: Answer(silent=True) if "slow" in str(asked.body) else None
server = StubServer(plan).__enter__()
model = OpenAIModel("m@" + server.url)
{ways[how]}
print("done")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert (ended.stdout, ended.stderr) == ("done\n", "")


def test_http_is_not_imported_before_it_is_needed() -> None:
    program = "import sandbox, sandbox.models, sys; print([m for m in sys.modules if m.startswith('aiohttp')])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


# -- the stub itself ----------------------------------------------------------------------------------------------


def test_the_stub_and_the_requests_fit_openais_own_client() -> None:
    """What these tests rest on: OpenAI's library reads the stub's replies, and knows every field that is sent."""
    import openai
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming as Chat
    from openai.types.completion_create_params import CompletionCreateParamsNonStreaming as Completion

    with StubServer() as server, openai.OpenAI(api_key="x", base_url=server.url) as client:
        chat = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "rate"}], logprobs=True, top_logprobs=20
        )
        logprobs = chat.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content is not None
        assert logprobs.content[0].top_logprobs[0].token == chat.choices[0].message.content == "5"
        said = client.completions.create(model="m", prompt="rate", logprobs=20).choices[0]
        assert said.logprobs is not None
        assert said.logprobs.top_logprobs is not None
        assert said.logprobs.top_logprobs[0]["5"] == pytest.approx(-0.693, abs=0.001)

        for api, known in (("chat", Chat), ("completion", Completion)):
            model = OpenAIModel(f"m@{server.url}", api=api)  # type: ignore[arg-type]
            model.generate([Request(RATE.messages, stop=("#",), choices=DIGITS)])
            assert server.asked[-1].body.keys() <= known.__annotations__.keys()
            model.close()


def test_the_stub_serves_alone() -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "stub_server.py"), "--delay", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            assert process.stdout is not None
            model = OpenAIModel(f"m@{process.stdout.readline().strip()}")
            assert model.generate([ask()])[0].text == REPLY
            model.close()
        finally:
            process.terminate()
