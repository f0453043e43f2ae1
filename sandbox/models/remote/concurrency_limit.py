"""Adaptive limit on concurrent requests to a server.

The rule is that of TCP (Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989):
additive increase while requests succeed, multiplicative decrease when the server is overloaded. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable


class AdaptiveLimit:
    """A semaphore for requests on one event loop, first come, first served, with an adaptive limit.

    ``async with limit:`` holds a slot; a request keeps its slot while it waits for a retry, so that a server that rejects
    quickly does not receive more requests for it.

    Args:
        ceiling: Initial and maximum limit.
        clock: Clock in seconds; :meth:`overloaded` takes times of this clock.

    Attributes:
        limit: Current limit, from 1 to ``ceiling``.
        in_flight: Slots in use. May exceed ``limit`` for a while after it fell.

    Raises:
        ValueError: ``ceiling`` is less than 1.
    """

    def __init__(self, ceiling: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if ceiling < 1:
            raise ValueError(f"ceiling={ceiling} must be at least 1")
        self.ceiling = ceiling
        self.clock = clock
        self.limit = float(ceiling)
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._fell_at = -math.inf

    async def __aenter__(self) -> None:
        """Acquire a slot, waiting if necessary."""
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # the slot was granted, but the waiter was cancelled before it resumed
            raise

    async def __aexit__(self, *_: object) -> None:
        """Pass the slot to the longest waiter."""
        self._leave()

    def succeeded(self) -> None:
        """Report an answered request. The limit grows by one after as many answers as its value."""
        # While the limit is not reached, answers carry no information on the capacity of the server.
        if self.limit < self.ceiling and self.in_flight >= int(self.limit):
            self.limit = min(float(self.ceiling), self.limit + 1 / self.limit)
            self._admit()

    def overloaded(self, sent_at: float) -> None:
        """Report a request that failed because the server is overloaded.

        The limit halves, except for a request sent before the last halving: failures of the same round trip count
        once.

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
            if not place.done():  # done if its waiter was cancelled
                self.in_flight += 1
                place.set_result(None)
