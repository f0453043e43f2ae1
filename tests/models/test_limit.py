"""The limit of requests at once: half on overload, one more after a round of answers, and nobody overtakes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sandbox.models.remote.concurrency_limit import AdaptiveLimit


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def take(limit: AdaptiveLimit, n: int) -> None:
    for _ in range(n):
        await limit.__aenter__()


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        return await asyncio.wait_for(test(), timeout=5)

    return asyncio.run(within())


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_no_more_than_the_ceiling_and_in_the_order_asked() -> None:
    """Three places, five who ask: 0, 1, 2 go at once; as 1 leaves 3 enters, as 0 leaves 4 does."""

    async def test() -> None:
        limit, entered = AdaptiveLimit(3), list[int]()
        leave = [asyncio.Event() for _ in range(5)]

        async def one(number: int) -> None:
            async with limit:
                entered.append(number)
                await leave[number].wait()

        tasks = [asyncio.create_task(one(n)) for n in range(5)]
        await settle()
        assert entered == [0, 1, 2]
        leave[1].set()
        await settle()
        assert entered == [0, 1, 2, 3]
        leave[0].set()
        await settle()
        assert entered == [0, 1, 2, 3, 4]
        for event in leave:
            event.set()
        await asyncio.gather(*tasks)
        assert limit.in_flight == 0

    run(test)


def test_who_comes_later_does_not_overtake_who_waits() -> None:
    """A place is free for an instant after its holder left; it belongs to who waits, not to who asks just then."""

    async def test() -> None:
        limit, entered = AdaptiveLimit(1), list[str]()

        async def one(name: str) -> None:
            async with limit:
                entered.append(name)
                await asyncio.sleep(0)

        await limit.__aenter__()
        waiting = asyncio.create_task(one("first"))
        await settle()
        await limit.__aexit__()
        await asyncio.gather(one("second"), waiting)
        assert entered == ["first", "second"]

    run(test)


def test_overload_halves_the_limit_once_a_round_trip() -> None:
    """Sixteen sent at 0 s; five are refused at 1 s: one halving, to 8. What was sent at 1.5 s and refused at 2 s is
    news: 4. What was sent at 0 s and is refused at 3 s is not: still 4."""
    clock = Clock()
    limit = AdaptiveLimit(16, clock=clock)
    clock.now = 1.0
    for _ in range(5):
        limit.overloaded(0.0)
    assert limit.limit == 8
    clock.now = 2.0
    limit.overloaded(1.5)
    assert limit.limit == 4
    clock.now = 3.0
    limit.overloaded(0.0)
    assert limit.limit == 4


def test_the_limit_never_falls_below_one() -> None:
    clock = Clock()
    limit = AdaptiveLimit(4, clock=clock)
    for second in range(1, 9):
        clock.now = float(second)
        limit.overloaded(second - 0.5)
    assert limit.limit == 1


def test_a_round_of_answers_gives_one_place_more() -> None:
    """From 4 places: after four answers 4 + 1/4 + 1/4.25 + 1/4.485 + 1/4.708 = 4.920, after five 5.123."""

    async def test() -> None:
        clock = Clock()
        limit = AdaptiveLimit(8, clock=clock)
        clock.now = 1.0
        limit.overloaded(0.5)
        await take(limit, 4)
        for _ in range(4):
            limit.succeeded()
        assert limit.limit == pytest.approx(4.920, abs=0.001)
        limit.succeeded()
        assert limit.limit == pytest.approx(5.123, abs=0.001)

    run(test)


def test_a_limit_that_nothing_presses_against_does_not_grow() -> None:
    """Four places, three taken: the answers do not tell that a server could take five at once."""

    async def test() -> None:
        limit = AdaptiveLimit(8)
        limit.overloaded(limit.clock())
        await take(limit, 3)
        for _ in range(100):
            limit.succeeded()
        assert limit.limit == 4

    run(test)


def test_the_limit_does_not_grow_over_its_ceiling() -> None:
    async def test() -> None:
        limit = AdaptiveLimit(2)
        await take(limit, 2)
        limit.overloaded(limit.clock())
        for _ in range(100):
            limit.succeeded()
        assert limit.limit == 2

    run(test)


def test_after_a_fall_places_are_given_only_when_enough_have_left() -> None:
    """Eight places taken, the limit falls to 4: of those who wait none enters until the fifth has left."""

    async def test() -> None:
        limit = AdaptiveLimit(8)
        await take(limit, 8)
        waiting = asyncio.create_task(limit.__aenter__())
        await settle()
        limit.overloaded(limit.clock())
        for _ in range(4):
            await limit.__aexit__()
            await settle()
            assert not waiting.done()
        await limit.__aexit__()
        await settle()
        assert waiting.done()
        assert limit.in_flight == 4

    run(test)


def test_growth_lets_those_in_who_wait() -> None:
    """One place of two, and one who waits: a single answer makes the limit 1 + 1/1 = 2."""

    async def test() -> None:
        limit = AdaptiveLimit(2)
        limit.overloaded(limit.clock())
        await limit.__aenter__()
        waiting = asyncio.create_task(limit.__aenter__())
        await settle()
        assert not waiting.done()
        limit.succeeded()
        await settle()
        assert waiting.done()

    run(test)


@pytest.mark.parametrize("is_given_first", [False, True])
def test_who_gives_up_waiting_takes_no_place(is_given_first: bool) -> None:
    """Cancelled while it waits, or in the instant after the place was given: the next one gets it."""

    async def test() -> None:
        limit = AdaptiveLimit(1)
        await limit.__aenter__()
        leaver, next_one = (asyncio.create_task(limit.__aenter__()) for _ in range(2))
        await settle()
        if is_given_first:
            await limit.__aexit__()
            leaver.cancel()
        else:
            leaver.cancel()
            await settle()
            await limit.__aexit__()
        await settle()
        assert leaver.cancelled()
        assert next_one.done()
        assert limit.in_flight == 1

    run(test)


def test_the_limit_finds_what_a_server_can_take() -> None:
    """A server that takes 10 at once and refuses a round of more. From 64 the limit falls 64, 32, 16, 8; from there it
    climbs to 11, is refused and falls to 5.5, and climbs again. So from the fourth round on it stays within 5 and 11.
    """

    async def test() -> list[float]:
        clock, seen = Clock(), list[float]()
        limit = AdaptiveLimit(64, clock=clock)
        for _ in range(60):
            sent = clock.now
            n = int(limit.limit)
            await take(limit, n)
            clock.now += 1.0
            for _ in range(n):
                if n > 10:
                    limit.overloaded(sent + 0.5)
                else:
                    limit.succeeded()
            for _ in range(n):
                await limit.__aexit__()
            seen.append(limit.limit)
        return seen

    seen = run(test)
    assert seen[:3] == [32, 16, 8]
    assert all(5 <= limit < 12 for limit in seen[3:])
    assert max(seen[3:]) > 10


def test_a_limit_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="ceiling=0 must be at least 1"):
        AdaptiveLimit(0)
