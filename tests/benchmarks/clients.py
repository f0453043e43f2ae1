"""Bare loops around HTTP clients: what the society's calls are measured against."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from sandbox.models.base import Request
from sandbox.models.remote.openai_schema import Dialect


class Pace(NamedTuple):
    """What a client does.

    Attributes:
        calls_per_s: How many calls it makes.
        cpu_ms: What one costs this process.
    """

    calls_per_s: float
    cpu_ms: float


Call = Callable[[dict[str, Any]], Awaitable[str]]


def bodies(requests: Sequence[Request], name: str) -> list[dict[str, Any]]:
    """What the ``openai:`` model would send, so that both sides send and read the same."""
    return [json.loads(Dialect("chat").body(name, request)) for request in requests]


def bare_aiohttp(url: str, sent: Sequence[dict[str, Any]], in_flight: int) -> Pace:
    """How fast a plain loop around aiohttp is."""
    import aiohttp

    async def run() -> Pace:
        connector = aiohttp.TCPConnector(limit=in_flight)
        async with aiohttp.ClientSession(connector=connector, headers={"authorization": "Bearer none"}) as session:

            async def call(body: dict[str, Any]) -> str:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    return str((await response.json())["choices"][0]["message"]["content"])

            return await _pace(call, sent, in_flight)

    return asyncio.run(run())


def bare_openai(url: str, sent: Sequence[dict[str, Any]], in_flight: int, *, aio: bool) -> Pace:
    """How fast a plain loop around OpenAI's client is, over httpx or over aiohttp."""
    import httpx2
    import openai

    async def run() -> Pace:
        limits = httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
        kind = openai.DefaultAioHttpClient if aio else openai.DefaultAsyncHttpxClient
        async with openai.AsyncOpenAI(api_key="none", base_url=url, http_client=kind(limits=limits)) as client:

            async def call(body: dict[str, Any]) -> str:
                return str((await client.chat.completions.create(**body)).choices[0].message.content)

            return await _pace(call, sent, in_flight)

    return asyncio.run(run())


async def _pace(call: Call, sent: Sequence[dict[str, Any]], in_flight: int) -> Pace:
    async def work(left: list[dict[str, Any]]) -> None:
        while left:
            if not await call(left.pop()):
                raise RuntimeError("the server sent an empty reply")

    # Once round to open the connections.
    warm_up = list(sent[:in_flight])
    await asyncio.gather(*(work(warm_up) for _ in range(in_flight)))
    left = list(sent)
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(left) for _ in range(in_flight)))
    n = len(sent)
    return Pace(n / (time.perf_counter() - began), (time.process_time() - cpu) / n * 1e3)
