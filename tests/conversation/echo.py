"""Models and conversations for tests of the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from sandbox.conversation.scheduler import Scheduler
from sandbox.conversation.steps import Call
from sandbox.models.base import Message, Reply, Request


class Echo:
    """Answers ``x`` with ``<x>``, fails on what begins with ``fail``, and remembers its batches."""

    uri = "scripted:echo"
    fingerprint = "echo"
    default_rater = "lm"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.batches.append([r.messages[-1].content for r in requests])
        return [self.reply(r) for r in requests]

    def reply(self, request: Request) -> Reply:
        text = request.messages[-1].content
        if text.startswith("fail"):
            return Reply("", finish_reason="error", error=f"no {text}")
        if request.choices:
            return Reply("4", {c: float(c == "4") for c in request.choices})
        return Reply(f"<{text}>")


class RemoteEcho(Echo):
    """The same over a network: the later a request is made, the sooner it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    async def agenerate(self, request: Request) -> Reply:
        self.made += 1
        await asyncio.sleep(0.02 / self.made)
        return self.reply(request)


class Lengths:
    """An embedder: the length of a text, as a vector of one."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.batches.append(list(texts))
        return np.array([[len(t)] for t in texts], np.float32)


def ask(model: Any, text: str) -> Call:
    return Call(model, Request((Message("user", text),)))


def say(model: Any, *texts: str) -> Generator[Any, Any, list[str]]:
    """A conversation of calls one after the other."""
    replies = []
    for text in texts:
        reply = yield ask(model, text)
        replies.append(reply.text)
    return replies


def run(conversations: Sequence[Any], in_flight: int = 1000, **settings: Any) -> list[tuple[Any, Any, Any]]:
    return list(Scheduler(in_flight=in_flight, **settings).run(enumerate(conversations)))


class Log:
    """Knows the replies it is given, and keeps the texts of what it is told to record."""

    def __init__(self, **known: str) -> None:
        self.known = known
        self.recorded: list[str] = []
        self.kept: list[str] = []

    def recall(self, call: Call) -> Reply | None:
        text = self.known.get(call.request.messages[-1].content)
        return None if text is None else Reply(text)

    def record(self, finished: Sequence[tuple[Call, Reply]]) -> None:
        self.recorded += [call.request.messages[-1].content for call, _ in finished]

    def flush(self) -> None:
        self.kept = list(self.recorded)
