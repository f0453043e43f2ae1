"""Finished calls of a run, stored in its folder so that a resumed run repeats none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import orjson

from sandbox.conversation.steps import Call
from sandbox.models.base import Reply, content_key
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
    """

    def __init__(self, store: RunWriter, budget: CallBudget) -> None:
        self._store = store
        self._budget = budget
        # A new run holds no calls: looking each up would cost more than it saves.
        self._is_resumed = store.has_calls()
        self._unstored: list[tuple[Call, Reply]] = []

    def recall(self, call: Call) -> Reply | None:
        """Reply stored for the call; None when it has to be made, which is then counted against the caps.

        Raises:
            CapReached: it has to be made, and would exceed a cap.
        """
        kept = self._store.recall_call(call.request.key(), call.model.uri) if self._is_resumed else None
        if kept is not None:
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

    def flush(self) -> None:
        """Store all recorded calls."""
        if not self._unstored:
            return
        rows = []
        for call, reply in self._unstored:
            request = call.request.content()
            rows.append((content_key(request), call.model.uri, "generate", request, _as_json(reply)))
        self._store.add_calls(rows)
        self._unstored.clear()
