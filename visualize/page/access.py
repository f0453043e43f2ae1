"""Who may read the dashboard: a browser of this machine that was given its address.

A page of any web site can send requests to servers of this machine, so that listening on localhost protects nothing. Knows
nothing of what is served.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_NAMES = ("127.0.0.1", "localhost")


class Guard:
    """An ASGI application that passes on to another what may read it, and answers everything else with 403.

    A request must name this server as its host, which a site that points its name to this machine does not; must not come from
    a page of another origin; and must carry the token, in its address or in the cookie that a first request with it sets.
    The same holds for WebSockets.

    Args:
        app: The application that is protected.
        port: Port of the server.
        token: The secret in the address.
    """

    def __init__(self, app: App, *, port: int, token: str) -> None:
        self._app, self._token = app, token
        self._cookie = f"sandbox_show_{port}"  # browsers share the cookies of a host among its ports
        self._hosts = {f"{name}:{port}" for name in _NAMES} | ({*_NAMES} if port == 80 else set())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket or start of the server."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if (why := self._fault(scope)) is not None:
            await _refuse(scope, receive, send, why)
            return
        is_new = scope["type"] == "http" and not self._is_token(self._cookies(scope))

        async def tell(message: Message) -> None:
            if is_new and message["type"] == "http.response.start":
                cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
                message = {**message, "headers": [*message.get("headers", ()), (b"set-cookie", cookie.encode())]}
            await send(message)

        await self._app(scope, receive, tell)

    def _fault(self, scope: Message) -> str | None:
        """Why a request is refused; None if it is not."""
        hosts, origins = _header(scope, b"host"), _header(scope, b"origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return "this address is not that of the dashboard; open the one that sandbox show printed"
        if any(origin.lower() not in {f"http://{host}" for host in self._hosts} for origin in origins):
            return "pages of other sites may not read the dashboard"
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
        if not self._is_token([*given, *self._cookies(scope)]):
            return "the token is missing or wrong; open the address that sandbox show printed, with its token"
        return None

    def _cookies(self, scope: Message) -> list[str]:
        found = []
        for header in _header(scope, b"cookie"):
            try:
                morsel = SimpleCookie(header).get(self._cookie)
            except CookieError:
                continue
            if morsel is not None:
                found.append(morsel.value)
        return found

    def _is_token(self, given: Iterable[str]) -> bool:
        return any(hmac.compare_digest(one.encode(), self._token.encode()) for one in given)


def _header(scope: Message, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


async def _refuse(scope: Message, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()  # the connection; to close it before it is accepted is answered with 403
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(why)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
