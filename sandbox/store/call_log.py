"""Finished calls, kept in the run's folder and counted; and the caps on how many there may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import orjson

from sandbox.conversation.steps import Call
from sandbox.models.base import Reply, content_key
from sandbox.store.budget import CapReached, cost
from sandbox.store.writer import RunWriter

_FIELDS = tuple(field.name for field in fields(Reply))


def _as_json(reply: Reply) -> str:
    """A reply as JSON of its fields; :func:`dataclasses.asdict` takes ten times as long."""
    kept = {name: getattr(reply, name) for name in _FIELDS}
    if reply.choice_probs is not None:
        kept["choice_probs"] = dict(reply.choice_probs)
    return orjson.dumps(kept).decode()


class RunCallLog:
    """Keeps what calls returned, so that a resumed run pays for none twice.

    A cap is kept in two ways. A conversation begins only if it can end within the cap beside those under way; so a
    society stops between conversations, with every interaction whole. Should a protocol make more calls than were
    foreseen, no call is made over the cap: :class:`CapReached` is raised instead.

    Args:
        store: The run's folder.
        max_calls: Calls in all, over every time the run was resumed.
        max_tokens: The same for tokens read and written. Tokens are known only when a call is done: what is under way
            may exceed the cap.
        max_cost: The same for US dollars, of models that say what a token costs.

    Attributes:
        counts: ``calls``, ``prompt`` and ``completion`` tokens so far; and ``usd``, where a model says what a token
            costs.
    """

    def __init__(
        self,
        store: RunWriter,
        *,
        max_calls: int | None = None,
        max_tokens: int | None = None,
        max_cost: float | None = None,
    ) -> None:
        self._store = store
        self.max_calls, self.max_tokens, self.max_cost = max_calls, max_tokens, max_cost
        self.counts = dict(store.manifest["tokens"])
        # A new run holds no calls: looking each up would cost more than it saves.
        self._is_resumed = store.has_calls()
        self._made = self.counts["calls"]
        self._unkept: list[tuple[Call, Reply]] = []
        self.begin()

    @property
    def is_capped(self) -> bool:
        """Whether there is a cap at all."""
        return not (self.max_calls is self.max_tokens is self.max_cost is None)

    @property
    def tokens(self) -> int:
        """Tokens read and written so far."""
        return self.counts["prompt"] + self.counts["completion"]

    @property
    def usd(self) -> float:
        """What the calls cost so far, in US dollars, as far as prices are known."""
        return float(self.counts.get("usd", 0.0))

    def recall(self, call: Call) -> Reply | None:
        """What the call returned before, if it did.

        Raises:
            CapReached: it did not, and must not be made any more.
        """
        kept = self._store.recall_call(call.request.key(), call.model.uri) if self._is_resumed else None
        if kept is not None:
            return Reply(**kept)
        if self.max_calls is not None and self._made >= self.max_calls:
            raise CapReached
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            raise CapReached
        if self.max_cost is not None and self.usd >= self.max_cost:
            raise CapReached
        self._made += 1
        return None

    def record(self, finished: Sequence[tuple[Call, Reply]]) -> None:
        """Count what calls returned, to be kept by the next :meth:`flush`.

        Failures are counted but not kept, so that they are tried again.
        """
        for call, reply in finished:
            self.counts["calls"] += 1
            self.counts["prompt"] += reply.prompt_tokens
            self.counts["completion"] += reply.completion_tokens
            prices = getattr(call.model, "prices", None)
            if prices is not None:
                self.counts["usd"] = self.usd + cost(prices, reply.prompt_tokens, reply.completion_tokens)
            if reply.error is None:
                self._unkept.append((call, reply))

    def flush(self) -> None:
        """Keep what was recorded."""
        if not self._unkept:
            return
        rows = []
        for call, reply in self._unkept:
            request = call.request.content()
            rows.append((content_key(request), call.model.uri, "generate", request, _as_json(reply)))
        self._store.add_calls(rows)
        self._unkept.clear()

    def begin(self) -> None:
        """Forget what was foreseen: no conversation is under way."""
        # Calls of conversations that are over, and of those begun since, at most; and of those still under way.
        self._over, self._begun, self._under_way = self.counts["calls"], 0, 0
        self._made = self.counts["calls"]

    def allows(self, calls: int) -> bool:
        """Whether a conversation of so many calls at most can end within the caps, beside those under way."""
        # Both are bounds of the calls there will be in all; the first is the nearer one while many are under way.
        foreseen = min(self._over + self._begun, self.counts["calls"] + self._under_way) + calls
        if self.max_calls is not None and foreseen > self.max_calls:
            return False
        # What is known only when a call is done: so far, and at most.
        spent = [(n, cap) for n, cap in ((self.tokens, self.max_tokens), (self.usd, self.max_cost)) if cap is not None]
        if not self.counts["calls"]:
            return not (spent and self._under_way)  # the first shows what a call takes
        return all(n * foreseen / self.counts["calls"] <= cap for n, cap in spent)

    def promise(self, calls: int) -> None:
        """A conversation of so many calls at most begins."""
        self._begun += calls
        self._under_way += calls

    def ended(self, calls: int) -> None:
        """A conversation that was promised so many calls is over."""
        self._under_way -= calls
        if not self._under_way:
            self.begin()
