"""Runs thousands of conversations concurrently, and batches the calls that they wait for.

A conversation is a generator. It yields requests and is sent their results:

* a :class:`Call` (one request to one language model) gives its :class:`~sandbox.models.base.Reply`;
* a :class:`Rate` gives a :class:`~sandbox.records.Rating`; an :class:`Embed` a vector;
* another generator gives its return value; a list of any of these gives a list of their results, all worked on concurrently;
* ``None`` gives ``None`` immediately.

A failed call raises :class:`CallFailed` at the ``yield``, so that an error is never mistaken for an answer. Knows no agents,
grids or files.

A request that several conversations wait for is made once. A local model receives all waiting requests in one ``generate``
call. A model that has ``agenerate`` is remote: its calls are made one by one, and each conversation continues as soon as its
own replies have arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from types import GeneratorType
from typing import Any

import numpy as np

from sandbox.conversation.steps import (
    Call,
    CallFailed,
    CallLog,
    Conversation,
    Embed,
    Rate,
    Spoken,
    requests_made,
    spoken,
)
from sandbox.errors import BrokenPlugin, CostCapReached, ProtocolError, SandboxError
from sandbox.models.base import LanguageModel, Reply, Request
from sandbox.models.remote.async_calls import AsyncCalls
from sandbox.plugin_defaults import check_results
from sandbox.records import Rating

_SENT_AT_ONCE = 32


class _Task:
    """A running generator, and the receiver of its result."""

    __slots__ = ("conversation", "parent", "requests", "slot", "spoken")

    def __init__(self, conversation: Conversation, parent: _Join | int, slot: int) -> None:
        self.conversation = conversation
        self.requests: dict[Any, int] = {}
        self.spoken: list[Spoken] = [] if isinstance(parent, int) else parent.task.spoken
        self.parent = parent
        self.slot = slot


class _Join:
    """A task that waits for several results."""

    __slots__ = ("failed_slot", "failure", "left", "results", "task")

    def __init__(self, task: _Task, n: int) -> None:
        self.task = task
        self.results: list[Any] = [None] * n
        self.left = n
        self.failure: BaseException | None = None
        self.failed_slot = n


class Scheduler:
    """Runs up to ``in_flight`` conversations concurrently, and their calls in batches.

    Args:
        in_flight: Maximum number of concurrent conversations; bounds memory.
        log: Store of finished calls, for resuming.
        on_calls: Callback, receives the number of calls to language models that finished.
    """

    def __init__(
        self, *, in_flight: int, log: CallLog | None = None, on_calls: Callable[[int], None] | None = None
    ) -> None:
        self.in_flight = in_flight
        self._log = log
        self._on_calls = on_calls
        self._ready: deque[tuple[_Task, Any, BaseException | None]] = deque()
        self._spawned: list[tuple[_Task, Any, BaseException | None]] = []
        self._waiting: dict[Any, list[tuple[Any, Any, int]]] = {}
        self._finished: dict[int, tuple[Any, BaseException | None]] = {}
        self._remote = AsyncCalls()
        self._outbox: list[_RemoteCall] = []
        # Of each request that is waited for, the further tasks that wait for the same one.
        self._same: dict[tuple[int, Request], list[tuple[_Task | _Join, int]]] = {}

    def close(self) -> None:
        """Stop all conversations; finished calls are stored."""
        self._remote.close()
        self._flush()

    def drain(self) -> None:
        """Stop the conversations of an interrupted :meth:`run`; wait for remote calls in flight and store them."""
        while self._remote.under_way:
            self._record([(item.call, reply) for item, reply in self._remote.finished()])
        self._flush()
        for left in (self._ready, self._spawned, self._waiting, self._finished, self._outbox, self._same):
            left.clear()

    def run(
        self, conversations: Iterable[tuple[Any, Conversation] | None]
    ) -> Iterator[tuple[Any, Any, Exception | None]]:
        """Run conversations to completion.

        Args:
            conversations: (key, generator) pairs, consumed lazily. None means that no conversation may start before a
                running one has advanced; it must not be given while none is running.

        Yields:
            (key, returned value, None) or (key, None, exception), in the order the conversations were given.
        """
        for ended in self.run_batches(conversations):
            yield from ended

    def run_batches(
        self, conversations: Iterable[tuple[Any, Conversation] | None]
    ) -> Iterator[list[tuple[Any, Any, Exception | None]]]:
        """As :meth:`run`, but yield lists: the conversations that ended between two batches of calls."""
        source = iter(conversations)
        keys: dict[int, Any] = {}
        alive, head, begun, exhausted = 0, 0, 0, False
        while True:
            held_back = False
            # A slow conversation delays the commits of those behind it: bound their number too.
            while not exhausted and alive < self.in_flight and len(keys) < 4 * self.in_flight:
                try:
                    following = next(source)
                except StopIteration:
                    exhausted = True
                    break
                if following is None:
                    held_back = True
                    break
                keys[begun], conversation = following
                alive += 1
                self._ready.append((_Task(conversation, begun, 0), None, None))
                begun += 1
            self._advance()
            ended = []
            while head in self._finished:
                value, failure = self._finished.pop(head)
                if failure is not None and not isinstance(failure, Exception):
                    raise failure
                ended.append((keys.pop(head), value, failure))
                head += 1
            if ended:
                self._flush()  # the calls of a conversation are stored before it is committed
                yield ended
            alive = len(keys) - len(self._finished)
            if alive and (exhausted or held_back or alive >= self.in_flight or len(keys) >= 4 * self.in_flight):
                self._work_off()
            elif exhausted and not keys:
                return

    def _advance(self) -> None:
        """Advance every task that is ready until all are waiting."""
        token, of_conversation = requests_made.set(None), spoken.set(None)
        try:
            self._advance_all()
        finally:
            requests_made.reset(token)
            spoken.reset(of_conversation)

    def _advance_all(self) -> None:
        while self._ready:
            task, value, failure = self._ready.popleft()
            requests_made.set(task.requests)
            spoken.set(task.spoken)
            try:
                talk = task.conversation
                wanted = talk.send(value) if failure is None else talk.throw(failure)
            except StopIteration as stop:
                self._settle(task.parent, task.slot, stop.value, None)
            except Exception as error:  # the boundary: the failure of a conversation is data
                self._settle(task.parent, task.slot, None, error)
            else:
                if type(wanted) is list or type(wanted) is tuple:
                    if not wanted:
                        self._ready.append((task, [], None))
                        continue
                    join = _Join(task, len(wanted))
                    for slot, one in enumerate(wanted):
                        self._await(join, slot, one)
                else:
                    self._await(task, 0, wanted)
            if self._spawned:
                # Ahead of other ready conversations, so that its calls are sent early.
                self._ready.extendleft(reversed(self._spawned))
                self._spawned.clear()
            if len(self._outbox) >= _SENT_AT_ONCE:
                self._send()  # in flight while other requests are still being prepared

    def _await(self, waiter: _Task | _Join, slot: int, wanted: Any) -> None:
        if type(wanted) is Call:
            same = self._same.get((id(wanted.model), wanted.request))
            if same is not None:
                same.append((waiter, slot))
                return
            known = self._log.recall(wanted) if self._log is not None else None
            if known is not None:
                self._reply(waiter, slot, known)
                if self._on_calls is not None:
                    self._on_calls(1)
                return
            self._same[id(wanted.model), wanted.request] = []
            if hasattr(wanted.model, "agenerate"):
                self._outbox.append(_RemoteCall(wanted, waiter, slot))
            else:
                kind = "last" if hasattr(wanted.model, "asked_last") else "call"
                self._waiting.setdefault((kind, id(wanted.model)), []).append((wanted, waiter, slot))
        elif type(wanted) is Embed:
            self._waiting.setdefault(("embed", id(wanted.embedder)), []).append((wanted, waiter, slot))
        elif type(wanted) is Rate:
            steps = getattr(wanted.rater, "steps", None)
            if steps is None:
                place = ("rate", id(wanted.rater), id(wanted.rater_of))
                self._waiting.setdefault(place, []).append((wanted, waiter, slot))
            else:
                self._await(waiter, slot, steps(wanted.question, wanted.answer, rater_of=wanted.rater_of))
        elif wanted is None:
            self._settle(waiter, slot, None, None)
        elif type(wanted) is GeneratorType or isinstance(wanted, Generator):  # the second test is ten times slower
            # Waiting for a single generator is a join of one.
            parent = waiter if isinstance(waiter, _Join) else _single(waiter)
            self._spawned.append((_Task(wanted, parent, slot), None, None))
        else:
            self._settle(
                waiter,
                slot,
                None,
                ProtocolError(
                    f"a protocol yielded a {type(wanted).__name__}; it may yield what agents and observers return "
                    "(for example agent.answer(question)), generators, lists of these, or None"
                ),
            )

    def _settle(self, waiter: _Task | _Join | int, slot: int, value: Any, failure: BaseException | None) -> None:
        """Pass a result to the task that waits for it."""
        if isinstance(waiter, int):
            self._finished[waiter] = (value, failure)
        elif isinstance(waiter, _Task):
            self._ready.append((waiter, value, failure))
        else:
            waiter.results[slot] = value
            # Of several failures the first in the list is raised, in whichever order they occurred.
            if failure is not None and slot < waiter.failed_slot:
                waiter.failure, waiter.failed_slot = failure, slot
            waiter.left -= 1
            if not waiter.left:
                single = isinstance(waiter, _Single)
                self._ready.append((waiter.task, waiter.results[0] if single else waiter.results, waiter.failure))

    def _reply(self, waiter: _Task | _Join, slot: int, reply: Reply) -> None:
        failure = None if reply.error is None else CallFailed(reply.error)
        self._settle(waiter, slot, None if failure else reply, failure)

    def _work_off(self) -> None:
        """Run all waiting work of one embedder, rater or model; cheap work first, so that batches of calls grow."""
        self._send()
        self._flush()  # while the servers are busy
        if self._remote.under_way and all(kind == "last" for kind, *_ in self._waiting):
            self._deliver([(item.call, item.waiter, item.slot, reply) for item, reply in self._remote.finished()])
            return
        order = {"embed": 0, "rate": 1, "call": 2, "last": 3}
        place = min(self._waiting, key=lambda p: (order[p[0]], -len(self._waiting[p])))
        work = self._waiting.pop(place)
        if place[0] == "embed":
            vectors: np.ndarray = work[0][0].embedder.embed([w.text for w, _, _ in work])
            for (_, waiter, slot), vector in zip(work, vectors, strict=True):
                self._settle(waiter, slot, vector, None)
        elif place[0] == "rate":
            first: Rate = work[0][0]
            rated = first.rater.rate([(w.question, w.answer) for w, _, _ in work], rater_of=first.rater_of)
            owner = f"rater {getattr(first.rater, 'name', type(first.rater).__name__)!r}"
            ratings = check_results(owner, "rate(items)", rated, len(work), Rating)
            for (_, waiter, slot), rating in zip(work, ratings, strict=True):
                self._settle(waiter, slot, rating, None)
        else:
            replies = _generate(work[0][0].model, [w.request for w, _, _ in work])
            self._deliver([(*one, reply) for one, reply in zip(work, replies, strict=True)])

    def _send(self) -> None:
        if self._outbox:
            self._remote.submit(self._outbox)
            self._outbox = []

    def _flush(self) -> None:
        if self._log is not None:
            self._log.flush()

    def _record(self, finished: Sequence[tuple[Call, Reply]]) -> None:
        if self._log is not None:
            self._log.record(finished)

    def _deliver(self, finished: list[tuple[Call, _Task | _Join, int, Reply]]) -> None:
        self._record([(call, reply) for call, _, _, reply in finished])
        n_replies = 0
        for call, waiter, slot, reply in finished:
            waiting = [(waiter, slot), *self._same.pop((id(call.model), call.request))]
            for each, its_slot in waiting:
                self._reply(each, its_slot, reply)
            n_replies += len(waiting)
        if self._on_calls is not None:
            self._on_calls(n_replies)


def _generate(model: LanguageModel, requests: list[Request]) -> Sequence[Reply]:
    """Replies of a model, of whatever package.

    Raises:
        BrokenPlugin: it raised an exception, which its contract does not allow, or returned something else than replies.
    """
    owner = f"language model {getattr(model, 'uri', type(model).__name__)!r}"
    try:
        found = model.generate(requests)
    except SandboxError:
        raise  # its message is complete
    except Exception as error:  # the boundary: code of others
        raise BrokenPlugin(
            f"{owner}: generate raised {type(error).__name__}: {error}. It must return Reply('', error=...) for a request "
            "that fails; --debug shows where"
        ) from error
    return check_results(owner, "generate(requests)", found, len(requests), Reply)


class _RemoteCall:
    """A call in flight, and the tasks that wait for it."""

    __slots__ = ("call", "slot", "waiter")

    def __init__(self, call: Call, waiter: _Task | _Join, slot: int) -> None:
        self.call = call
        self.waiter = waiter
        self.slot = slot

    @property
    def model(self) -> Any:
        return self.call.model

    @property
    def request(self) -> Request:
        return self.call.request


class _Single(_Join):
    """A task that waits for one generator."""

    __slots__ = ()


def _single(task: _Task) -> _Single:
    return _Single(task, 1)


def run_conversations(
    conversations: Iterable[Conversation],
    *,
    in_flight: int = 1024,
    log: CallLog | None = None,
    on_ended: Callable[[int], Any] | None = None,
) -> list[Any]:
    """Run conversations to completion and return their results, in order.

    Args:
        conversations: Generators.
        in_flight: Maximum number of concurrent conversations.
        log: Store of finished calls, for resuming.
        on_ended: Callback, receives the number of conversations that ended.

    Raises:
        CostCapReached: ``log`` refused a call; calls in flight are finished and recorded first.
        Exception: the first that a conversation raised.
    """
    scheduler = Scheduler(in_flight=in_flight, log=log)
    results = []
    try:
        for ended in scheduler.run_batches((None, c) for c in conversations):
            for _, value, failure in ended:
                if failure is not None:
                    raise failure
                results.append(value)
            if on_ended is not None:
                on_ended(len(ended))
    except CostCapReached:
        scheduler.drain()  # calls in flight are paid for, and kept
        raise
    finally:
        scheduler.close()
    return results
