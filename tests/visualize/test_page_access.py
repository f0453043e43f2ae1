"""Only a browser that was given the address reads the dashboard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from visualize.page.access import Guard

HOST = ("host", "127.0.0.1:8765")
COOKIE = ("cookie", "other=1; sandbox_show_8765=secret")


async def page(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"the society"})


def answers(kind: str, *headers: tuple[str, str], query: str = "") -> list[dict[str, Any]]:
    """What a server with the page behind its guard sends to one request."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": kind, "path": "/", "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }  # fmt: skip
    asyncio.run(Guard(page, port=8765, token="secret")(scope, receive, send))
    return sent


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([HOST], "token=secret"),
        ([("host", "localhost:8765")], "a=b&token=secret"),
        ([HOST, COOKIE], ""),
        ([HOST, COOKIE, ("origin", "http://127.0.0.1:8765")], ""),
    ],
)
def test_the_browser_that_was_given_the_address_reads_the_page(headers: list[tuple[str, str]], query: str) -> None:
    assert answers("http", *headers, query=query)[1]["body"] == b"the society"
    assert answers("websocket", *headers, query=query) == [{"type": "websocket.accept"}]


def test_the_token_becomes_a_cookie_that_other_sites_cannot_use() -> None:
    start, _ = answers("http", HOST, query="token=secret")
    assert (b"set-cookie", b"sandbox_show_8765=secret; Path=/; HttpOnly; SameSite=Strict") in start["headers"]
    start, _ = answers("http", HOST, COOKIE)
    assert start["headers"] == [(b"content-type", b"text/html")]


@pytest.mark.parametrize(
    ("headers", "query", "why"),
    [
        ([("host", "evil.example"), COOKIE], "token=secret", "this address is not that of the dashboard"),
        ([("host", "evil.example:8765"), COOKIE], "", "this address is not that of the dashboard"),
        ([("host", "127.0.0.1:9"), COOKIE], "", "this address is not that of the dashboard"),
        ([COOKIE], "", "this address is not that of the dashboard"),
        ([HOST, HOST, COOKIE], "", "this address is not that of the dashboard"),
        ([HOST, COOKIE, ("origin", "http://evil.example")], "", "pages of other sites may not read"),
        ([HOST, COOKIE, ("origin", "http://localhost:3000")], "", "pages of other sites may not read"),
        ([HOST, COOKIE, ("origin", "null")], "", "pages of other sites may not read"),
        ([HOST], "", "the token is missing or wrong"),
        ([HOST], "token=guess", "the token is missing or wrong"),
        ([HOST, ("cookie", "sandbox_show_8765=guess")], "token=", "the token is missing or wrong"),
        ([HOST, ("cookie", "sandbox_show_1=secret")], "", "the token is missing or wrong"),
    ],
)
def test_everybody_else_is_refused(headers: list[tuple[str, str]], query: str, why: str) -> None:
    """A WebSocket that is closed before it is accepted is answered with 403."""
    start, body = answers("http", *headers, query=query)
    assert start["status"] == 403
    assert body["body"].decode().startswith(why)
    [closed] = answers("websocket", *headers, query=query)
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
