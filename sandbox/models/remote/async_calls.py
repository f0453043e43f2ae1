"""Concurrent calls to remote models, on one event loop in a thread of its own.

The scheduler submits calls and receives replies as they arrive; it never waits for the slowest of a batch.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from sandbox.models.base import Reply
from sandbox.text_cleaning import without_surrogates


def _new_loop() -> asyncio.AbstractEventLoop:
    """A new event loop: uvloop, except on Windows, where it does not run."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return made


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, tasks: set[asyncio.Task[None]]) -> None:
    """Cancel the calls in flight and end the thread: one that still runs when the interpreter ends may crash it."""

    async def cancel() -> None:
        left = list(tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    if thread.is_alive():
        with suppress(Exception):  # a call that cannot be cancelled within a second is left
            asyncio.run_coroutine_threadsafe(cancel(), loop).result(timeout=1)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=1)


class AsyncCalls:
    """An event loop that makes calls. Started with the first call, stopped by :meth:`close`."""

    def __init__(self) -> None:
        self._done: SimpleQueue[tuple[Any, Reply]] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._end: weakref.finalize[..., AsyncCalls] | None = None  # also called when the interpreter ends
        self.under_way = 0

    def submit(self, work: Iterable[Any]) -> None:
        """Start calls; each item has ``model`` and ``request``, and is returned with its reply."""
        items = list(work)
        self.under_way += len(items)
        if self._loop is None:
            self._loop = _new_loop()
            thread = threading.Thread(target=self._loop.run_forever, name="sandbox-remote", daemon=True)
            thread.start()
            self._end = weakref.finalize(self, _stop, self._loop, thread, self._tasks)
        self._loop.call_soon_threadsafe(self._start, items)

    def finished(self) -> list[tuple[Any, Reply]]:
        """Wait for a reply, and return it with all others that have arrived."""
        found = [self._done.get()]
        while True:
            try:
                found.append(self._done.get_nowait())
            except Empty:
                self.under_way -= len(found)
                return found

    def close(self) -> None:
        """Stop the loop, and cancel the calls in flight."""
        if self._loop is not None and self._end is not None:
            self._end()
            self._loop = self._end = None

    def _start(self, items: list[Any]) -> None:
        assert self._loop is not None
        for item in items:
            task = self._loop.create_task(self._one(item))
            self._tasks.add(task)  # the loop keeps only weak references to tasks
            task.add_done_callback(self._tasks.discard)

    async def _one(self, item: Any) -> None:
        try:
            reply = await item.model.agenerate(item.request)
        except Exception as error:  # the boundary that turns a failed call into data
            reply = Reply("", finish_reason="error", error=without_surrogates(f"{type(error).__name__}: {error}"))
        self._done.put((item, reply))
