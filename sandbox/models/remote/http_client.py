"""JSON over HTTP, on the event loop of the caller. Knows no language models.

Connections belong to an event loop and are kept alive while it runs. Responses have a maximum size, redirects are not followed
(they would forward the key), and proxies are taken from the environment.
"""

from __future__ import annotations

import asyncio
import threading
import zlib
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
    """A complete HTTP response.

    Attributes:
        status: HTTP status code.
        headers: Headers, case-insensitive.
        body: Body as received.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """No complete response: the server is unreachable, or the connection broke."""


class TooLong(Exception):
    """The response exceeds the maximum size."""


class Lane:
    """The connections of one event loop, and the limit on its concurrent requests."""

    def __init__(self, headers: Mapping[str, str], connections: int, proxy: str | None) -> None:
        self.limit = AdaptiveLimit(connections)
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            headers=headers,
            auto_decompress=False,  # a small body may inflate to any size; see _read
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the caller sets a timeout for the whole exchange
        )

    async def post(self, url: str, body: bytes, *, longest: int) -> Answer:
        """POST a body, and read the response; see :meth:`exchange`."""
        return await self.exchange("POST", url, body, longest=longest)

    async def exchange(
        self, method: str, url: str, body: bytes | aiohttp.MultipartWriter | None = None, *, longest: int
    ) -> Answer:
        """Send a request, and read the response.

        Args:
            method: ``GET`` or ``POST``.
            url: The URL.
            body: JSON, or a form with its own content type.
            longest: Maximum size of the response, in bytes; errors are truncated to it.

        Raises:
            NoAnswer: the server is unreachable, or the connection broke.
            TooLong: the response is longer than ``longest``.
        """
        of_form = {"content-type": body.headers["content-type"]} if isinstance(body, aiohttp.MultipartWriter) else None
        try:
            async with self._session.request(
                method, url, data=body, headers=of_form, allow_redirects=False, proxy=self._proxy
            ) as response:
                received = _inflated(await _read(response, longest), response.headers, longest)
                if len(received) > longest and response.status == 200:
                    raise TooLong(f"the response is longer than {longest} bytes")
                return Answer(response.status, response.headers, received)
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def abandon(self) -> None:
        """Start closing the connections, on the running event loop, without waiting for the end."""
        closing = self._session.close()
        with suppress(StopIteration):
            closing.send(None)  # runs up to its first await
        closing.close()


class Lanes:
    """A :class:`Lane` for each event loop.

    Args:
        url: URL of the server; decides whether a proxy is used.
        headers: Headers of every request.
        connections: Maximum number of connections per loop.
    """

    def __init__(self, url: str, headers: Mapping[str, str], connections: int) -> None:
        # Without compression, Content-Length is the size of the body.
        self._headers = {"content-type": "application/json", "accept-encoding": "identity", **headers}
        self._connections = connections
        self._proxy = _proxy(url)
        self._lanes: dict[_Loop, Lane] = {}

    def lane(self) -> Lane:
        """The lane of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._lanes.get(loop)
        if found is None:
            # Worlds that share a model each have a loop; connections of ended loops are closed here.
            self._close([known for known in list(self._lanes) if not known.is_running()])
            found = self._lanes[loop] = Lane(self._headers, self._connections, self._proxy)
        return found

    def close(self) -> None:
        """Close all connections, from any thread. They are reopened on demand."""
        self._close(list(self._lanes))

    def _close(self, loops: Iterable[_Loop]) -> None:
        for loop in loops:
            lane = self._lanes.pop(loop, None)
            if lane is not None:
                _close(loop, lane)


async def _read(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """Read the body, or slightly more than ``longest`` bytes of a longer one."""
    length = response.content_length
    if length is not None and length <= longest:
        return await response.read()
    received = bytearray()
    async for chunk in response.content.iter_any():
        received += chunk
        if len(received) > longest:
            break
    return bytes(received)


def _inflated(body: bytes, headers: Mapping[str, str], longest: int) -> bytes:
    """The body without the compression that some servers use unasked; at most slightly more than ``longest`` bytes."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity") or len(body) > longest:
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise NoAnswer(
            f"the response is compressed by {encoding[:40]!r}, which was not asked for; gzip and deflate are read"
        )
    for form in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # with a header, and deflate without one
        inflater = zlib.decompressobj(form)
        try:
            received = inflater.decompress(body, longest + 1)
        except zlib.error:
            continue
        if not inflater.eof and len(received) <= longest:
            raise NoAnswer("the compressed response ends too early")
        return received
    raise NoAnswer(f"the response is not {encoding}, which its header names")


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _close(loop: _Loop, lane: Lane) -> None:
    """Close a lane, whether its loop is running, stopped or closed."""
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
