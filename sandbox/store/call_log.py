"""Finished calls of a run, stored in its folder so that neither the run nor a resumed one repeats any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import orjson

from sandbox.conversation.steps import Call
from sandbox.models.base import Reply, Request, content_key
from sandbox.store.budget import CallBudget
from sandbox.store.writer import RunWriter

_FIELDS = tuple(field.name for field in fields(Reply))


def _as_json(reply: Reply) -> str:
    """A reply as JSON of its fields; :func:`dataclasses.asdict` takes ten times as long."""
    kept = {name: getattr(reply, name) for name in _FIELDS}
    if reply.choice_probs is not None:
        kept["choice_probs"] = dict(reply.choice_probs)
    return orjson.dumps(kept).decode()


class RunCallLog:
    """Stores the replies of finished calls and looks them up.

    Args:
        store: Writer of the run folder.
        budget: Counts the calls that are made, and refuses those over a cap.
        at: Gives the running round.
    """

    def __init__(self, store: RunWriter, budget: CallBudget, at: Callable[[], int] = lambda: 0) -> None:
        self._store = store
        self._budget = budget
        self._at = at
        # A new run holds no calls: looking each up would cost more than it saves. Found out at the first call.
        self._is_resumed: bool | None = None
        self._is_branch = "from" in store.manifest
        self._unstored: list[tuple[Call, Reply]] = []
        self._fresh: dict[tuple[Request, str], Reply] = {}  # the same, by request and model
        self._of_branch: list[tuple[int, str, str, bool]] = []
        self._recorded: set[int] = set()  # hashes of the requests whose replies were recorded by this process

    def recall(self, call: Call) -> Reply | None:
        """Reply stored for the call; None when it has to be made, which is then counted against the caps.

        A request is made once in a run, whenever it is made again, so that counts do not depend on what ran concurrently.

        Raises:
            CapReached: it has to be made, and would exceed a cap.
        """
        if self._is_resumed is None:
            self._is_resumed = self._store.has_calls()
        is_recorded = hash(call.request) in self._recorded
        fresh = self._fresh.get((call.request, call.model.uri)) if is_recorded else None
        if fresh is not None:
            return Reply(**orjson.loads(_as_json(fresh)))  # as it would be read from the record
        is_sought = is_recorded or self._is_resumed
        key = call.request.key() if is_sought else ""
        kept = self._store.recall_call(key, call.model.uri) if is_sought else None
        if kept is not None:
            if self._is_branch and not is_recorded:
                self._of_branch.append((self._at(), key, call.model.uri, True))
            return Reply(**kept)
        self._budget.start_call()
        return None

    def record(self, finished: Sequence[tuple[Call, Reply]]) -> None:
        """Count finished calls, and take them for the next :meth:`flush`.

        Failed calls are counted but not stored, so that they are repeated.
        """
        for call, reply in finished:
            self._budget.count(call.model, reply)
            if reply.error is None:
                self._unstored.append((call, reply))
                self._fresh[call.request, call.model.uri] = reply
                self._recorded.add(hash(call.request))

    def flush(self) -> None:
        """Store all recorded calls."""
        if not self._unstored and not self._of_branch:
            return
        rows = []
        for call, reply in self._unstored:
            request = call.request.content()
            rows.append((content_key(request), call.model.uri, "generate", request, _as_json(reply)))
        if self._is_branch:
            self._of_branch += [(self._at(), key, model, False) for key, model, *_ in rows]
        self._store.add_calls(rows, self._of_branch)
        self._unstored.clear()
        self._fresh.clear()
        self._of_branch.clear()
