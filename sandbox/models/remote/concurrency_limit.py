"""How many requests a server is sent at once, learnt from how it takes them.

The rule is TCP's (Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989):
a little more as long as all goes well, half as soon as it does not. It knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable


class AdaptiveLimit:
    """Places for requests on one event loop, given out in the order they are asked for.

    ``async with limit:`` holds a place; a request keeps its place while it waits to be tried again, so that a server
    that refuses quickly is not sent ever more of them.

    Args:
        ceiling: Places at most, and at first: a server is trusted until it says otherwise.
        clock: Seconds from any start; :meth:`overloaded` is told times of this clock.

    Attributes:
        limit: Places just now, from 1 to ``ceiling``.
        in_flight: Places taken. For a while more than ``limit`` after it fell.

    Raises:
        ValueError: ``ceiling`` is less than 1.
    """

    def __init__(self, ceiling: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if ceiling < 1:
            raise ValueError(f"a limit of {ceiling} requests at once lets none through; use 1 or more")
        self.ceiling = ceiling
        self.clock = clock
        self.limit = float(ceiling)
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._fell_at = -math.inf

    async def __aenter__(self) -> None:
        """Take a place, waiting for one if need be."""
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # the place was given before whoever waited learnt of it
            raise

    async def __aexit__(self, *_: object) -> None:
        """Give the place to whoever waits longest."""
        self._leave()

    def succeeded(self) -> None:
        """Say that a request was answered. One more place after as many answers as there are places."""
        # A limit that nothing presses against tells nothing about what the server can take.
        if self.limit < self.ceiling and self.in_flight >= int(self.limit):
            self.limit = min(float(self.ceiling), self.limit + 1 / self.limit)
            self._admit()

    def overloaded(self, sent_at: float) -> None:
        """Say that a request failed because the server has too much to do.

        The limit halves, but not for a request sent before it last did: what comes back of the same round trip is
        the same news.

        Args:
            sent_at: When the request was sent, by ``clock``.
        """
        if sent_at > self._fell_at:
            self._fell_at = self.clock()
            self.limit = max(1.0, self.limit / 2)

    def _leave(self) -> None:
        self.in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            place = self._waiting.popleft()
            if not place.done():  # it is when its waiter was cancelled
                self.in_flight += 1
                place.set_result(None)
