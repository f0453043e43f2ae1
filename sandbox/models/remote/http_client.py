"""JSON over HTTP from whatever event loop the caller runs. Knows nothing of language models.

Connections belong to the loop they were made on and are kept alive as long as it runs. What a server sends back is
bounded, redirects are not followed (a key would go with them), and proxies come from the environment.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from sandbox.models.remote.concurrency_limit import AdaptiveLimit

_Loop = asyncio.AbstractEventLoop


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, whole.

    Attributes:
        status: HTTP's number.
        headers: Without regard to case.
        body: As it was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """No whole answer came: the server cannot be reached, or the connection broke."""


class TooLong(Exception):
    """The answer is longer than what was asked for can be."""


class Lane:
    """The connections of one event loop, and how many requests they carry at once."""

    def __init__(self, headers: Mapping[str, str], connections: int, proxy: str | None) -> None:
        self.limit = AdaptiveLimit(connections)
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the caller bounds the whole exchange
        )

    async def post(self, url: str, body: bytes, *, longest: int) -> Answer:
        """Send a body, and read the answer.

        Args:
            url: Where to.
            body: What.
            longest: Bytes of the answer at most; of an error no more are read.

        Raises:
            NoAnswer: the exchange broke off.
            TooLong: the answer is longer than ``longest``.
        """
        try:
            async with self._session.post(url, data=body, allow_redirects=False, proxy=self._proxy) as response:
                received = await _read(response, longest)
                if len(received) > longest and response.status == 200:
                    raise TooLong(f"the answer is longer than {longest} bytes")
                return Answer(response.status, response.headers, received)
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def abandon(self) -> None:
        """Close the connections without waiting until they are closed, on the loop that runs just now."""
        closing = self._session.close()
        with suppress(StopIteration):
            closing.send(None)  # all it does before it would wait
        closing.close()


class Lanes:
    """A :class:`Lane` for each event loop that asks for one.

    Args:
        url: Of the server; decides whether a proxy is used.
        headers: Sent with every request.
        connections: Of one loop, at most.
    """

    def __init__(self, url: str, headers: Mapping[str, str], connections: int) -> None:
        # An answer that is not compressed has the length that it says.
        self._headers = {"content-type": "application/json", "accept-encoding": "identity", **headers}
        self._connections = connections
        self._proxy = _proxy(url)
        self._lanes: dict[_Loop, Lane] = {}

    def lane(self) -> Lane:
        """The lane of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._lanes.get(loop)
        if found is None:
            # Loops come and go with the worlds that share a model, and nobody else knows what they leave behind.
            self._close([known for known in list(self._lanes) if not known.is_running()])
            found = self._lanes[loop] = Lane(self._headers, self._connections, self._proxy)
        return found

    def close(self) -> None:
        """Close all connections, from any thread. They are opened again when they are needed."""
        self._close(list(self._lanes))

    def _close(self, loops: Iterable[_Loop]) -> None:
        for loop in loops:
            lane = self._lanes.pop(loop, None)
            if lane is not None:
                _close(loop, lane)


async def _read(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """The body, or a little more than ``longest`` bytes of a longer one."""
    length = response.content_length
    if length is not None and length <= longest:
        return await response.read()
    received = bytearray()
    async for chunk in response.content.iter_any():
        received += chunk
        if len(received) > longest:
            break
    return bytes(received)


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _close(loop: _Loop, lane: Lane) -> None:
    """Close a lane, whether its loop runs, has stopped or is closed."""
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is loop:
        lane.abandon()
    elif loop.is_running():
        wait([asyncio.run_coroutine_threadsafe(lane.close(), loop)], timeout=1.0)
    else:
        run = asyncio.run if loop.is_closed() else loop.run_until_complete
        if here is None:
            run(lane.close())
        else:  # a thread runs one loop at a time
            thread = threading.Thread(target=run, args=(lane.close(),))
            thread.start()
            thread.join()
