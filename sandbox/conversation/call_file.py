"""Finished calls in a file, so that interrupted work repeats none. What the work is, is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from sandbox.conversation.steps import Call
from sandbox.folders import refuse_link
from sandbox.models.base import Reply


class CallFile:
    """A :class:`~sandbox.conversation.steps.CallLog` in a file, one JSON object a line.

    A reply is found by the request's hash and the model, and is that of the same weights to the same request; whatever else
    has changed is asked anew. Failures are not kept, so that they are tried again.

    Args:
        path: The file; what it holds is recalled. It is written by the first :meth:`flush`.

    Raises:
        StorageError: the file is a link.
    """

    def __init__(self, path: Path) -> None:
        self.path = refuse_link(path)
        self._known: dict[str, Reply] = {}
        self._unkept: list[bytes] = []
        if self.path.exists():
            self._read()

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, call: Call) -> Reply | None:
        """What the call returned before, if it did."""
        return self._known.get(_key(call)) if self._known else None

    def record(self, finished: Sequence[tuple[Call, Reply]]) -> None:
        """Take what calls returned, to be kept by the next :meth:`flush`."""
        for call, reply in finished:
            if reply.error is None:
                self._unkept.append(orjson.dumps({"call": _key(call), "reply": reply.as_dict()}) + b"\n")

    def flush(self) -> None:
        """Keep what was taken."""
        if self._unkept:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(b"".join(self._unkept))
            self._unkept.clear()

    def remove(self) -> None:
        """Delete the file: the work is done, and its own result holds the answers."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> None:
        kept = self.path.read_bytes()
        if kept and not kept.endswith(b"\n"):  # it was killed while it wrote
            with self.path.open("ab") as file:
                file.write(b"\n")
        for line in kept.split(b"\n"):
            with suppress(orjson.JSONDecodeError, KeyError, TypeError):  # what cannot be read is asked anew
                one = orjson.loads(line)
                self._known[one["call"]] = Reply(**one["reply"])


def _key(call: Call) -> str:
    return f"{call.model.uri} {call.model.fingerprint} {call.request.key()}"
