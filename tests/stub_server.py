"""An HTTP server that speaks OpenAI's schema: for tests, with every fault a real one has, and for benchmarks.

In a test it runs in a thread of its own: ``with StubServer([Answer(429)]) as server: ... server.url``. Alone, as
``python tests/stub_server.py --delay 0.05``, it prints its address and serves until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

REPLY = "I would talk to them first, and listen to what they say."
RATING = "5"
# What the server thinks of each rating, before it is told what temperature to use.
RATING_PROBS: Mapping[str, float] = {"5": 0.5, "6": 0.2, "4": 0.2, "7": 0.04, "3": 0.03, "2": 0.02, "1": 0.01}


@dataclass(frozen=True)
class Answer:
    """What the server does with a request.

    Attributes:
        status: HTTP's number.
        body: What is sent, instead of a completion.
        headers: ``content-type`` is ``application/json`` unless it is among them, and the length right unless it or
            a ``transfer-encoding`` is; the body is sent as it stands.
        delay_s: Instead of the server's own.
        cut: Reset the connection in the middle of the body.
        silent: Never answer.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float | None = None
    cut: bool = False
    silent: bool = False


def error(status: int, message: str, *, code: str | None = None, param: str | None = None, **headers: str) -> Answer:
    """An error in OpenAI's schema; ``retry_after="1"`` and the like become headers."""
    said = {"error": {"message": message, "type": "stub_error", "param": param, "code": code}}
    return Answer(status, json.dumps(said).encode(), {k.replace("_", "-"): v for k, v in headers.items()})


@dataclass(frozen=True)
class Asked:
    """A request as it arrived.

    Attributes:
        path: As ``/v1/chat/completions``.
        headers: By lower-case name.
        body: The JSON that was sent.
        at: When, by ``time.monotonic``.
        connection: The number of the connection it came on, from 0.
    """

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float
    connection: int


Plan = Callable[[Asked, int], Answer | None]


class StubServer:
    """Serves ``/v1/chat/completions``, ``/v1/completions`` and ``/v1/embeddings`` on a free port of the loopback interface.

    Args:
        plan: What to do with the first, second, ... request, or a function of the request and its number (from 0).
            What it says nothing of is answered with a completion.
        delay_s: How long every answer takes.
        logprobs: Whether the probabilities of tokens come back when they are asked for.

    Attributes:
        url: The base URL, once it serves.
        asked: Every request, in the order they arrived.
        in_flight: Requests not answered yet.
        peak: The most there were at once.
        connections: How many were opened.
    """

    def __init__(
        self, plan: Sequence[Answer | None] | Plan = (), *, delay_s: float = 0.0, logprobs: bool = True
    ) -> None:
        self._plan: Plan = plan if callable(plan) else lambda _, n: plan[n] if n < len(plan) else None
        self.delay_s = delay_s
        self.logprobs = logprobs
        self.url = ""
        self.asked: list[Asked] = []
        self.keep_asked = True
        self.in_flight = self.peak = self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._open: set[_Connection] = set()
        self._thread = threading.Thread(target=self._run, name="stub-server", daemon=True)
        self._serving = threading.Event()

    def __enter__(self) -> StubServer:
        self._thread.start()
        self._serving.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def start(self, port: int = 0) -> asyncio.Server:
        """Serve on the running loop."""
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server

    def answer(self, asked: Asked) -> tuple[Answer, bytes]:
        """What to do with a request, and the bytes of the body."""
        planned = self._plan(asked, len(self.asked)) or Answer()
        if self.keep_asked:
            self.asked.append(asked)
        if planned.body is not None:
            return planned, planned.body
        if asked.path.endswith("/embeddings"):
            return planned, embeddings(asked.body)
        return planned, completion(asked.body, chat=asked.path.endswith("/chat/completions"), logprobs=self.logprobs)

    def _run(self) -> None:
        server = self._loop.run_until_complete(self.start())
        self._serving.set()
        self._loop.run_forever()
        server.close()
        for connection in list(self._open):
            connection.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _Connection(asyncio.Protocol):
    """One kept-alive connection of HTTP/1.1, one request after the other."""

    def __init__(self, server: StubServer) -> None:
        self._server = server
        self._number = server.connections
        self._seen = b""
        server.connections += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._open.discard(self)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, found, body = self._seen.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        length = int(headers.get("content-length", 0))
        if len(body) < length:
            return
        self._seen = body[length:]
        asked = Asked(first.split()[1], headers, json.loads(body[:length] or b"{}"), time.monotonic(), self._number)
        server = self._server
        server.in_flight += 1
        server.peak = max(server.peak, server.in_flight)
        planned, payload = server.answer(asked)
        if planned.silent:
            return
        delay_s = server.delay_s if planned.delay_s is None else planned.delay_s
        if delay_s:
            server_loop = asyncio.get_running_loop()
            server_loop.call_later(delay_s, self._send, planned, payload)
        else:
            self._send(planned, payload)

    def _send(self, planned: Answer, payload: bytes) -> None:
        self._server.in_flight -= 1
        headers = {"content-type": "application/json", **planned.headers}
        if "transfer-encoding" not in headers:
            headers.setdefault("content-length", str(len(payload)))
        lines = [f"HTTP/1.1 {planned.status} Stub", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        if planned.cut:
            self._transport.write("\r\n".join(lines).encode() + payload[: len(payload) // 2])
            # Let the first half out, then reset instead of ending in good order.
            asyncio.get_running_loop().call_later(0.01, self._transport.abort)
            return
        self._transport.write("\r\n".join(lines).encode() + payload)


def completion(body: Mapping[str, Any], *, chat: bool, logprobs: bool) -> bytes:
    """A reply in OpenAI's schema: a rating where probabilities are asked for, else a sentence."""
    asks_probs = bool(body.get("logprobs"))
    return _completion(str(body.get("model")), chat, RATING if asks_probs else REPLY, asks_probs and logprobs)


@lru_cache(maxsize=64)
def _completion(model: str, chat: bool, text: str, logprobs: bool) -> bytes:
    tops = {token: math.log(p) for token, p in RATING_PROBS.items()}
    tops |= {f" word{n}": -20.0 - n for n in range(20 - len(tops))}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    if chat:
        choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        if logprobs:
            shown = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in tops.items()]
            choice["logprobs"] = {"content": [{**shown[0], "top_logprobs": shown}], "refusal": None}
    else:
        choice["text"] = text
        if logprobs:
            choice["logprobs"] = {
                "tokens": [text],
                "token_logprobs": [tops[text]],
                "top_logprobs": [tops],
                "text_offset": [0],
            }
    said = {
        "id": "stub-1",
        "object": "chat.completion" if chat else "text_completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [choice],
        "usage": {"prompt_tokens": 120, "completion_tokens": 12, "total_tokens": 132},
        "system_fingerprint": "stub",
    }
    return json.dumps(said).encode()


def embeddings(body: Mapping[str, Any]) -> bytes:
    """Vectors in OpenAI's schema, the last text's first: how often each of the first eight letters is in a text."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    letters = "abcdefgh"[: body.get("dimensions", 8)]
    data = [
        {"object": "embedding", "index": i, "embedding": [float(text.lower().count(letter)) for letter in letters]}
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return json.dumps({"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}).encode()


async def _serve(port: int, delay_s: float) -> None:
    stub = StubServer(delay_s=delay_s)
    stub.keep_asked = False
    server = await stub.start(port)
    print(stub.url, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--port", type=int, default=0, help="by default a free one")
    arguments.add_argument("--delay", type=float, default=0.0, help="seconds before every answer")
    given = arguments.parse_args()
    asyncio.run(_serve(given.port, given.delay))
