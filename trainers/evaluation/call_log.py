"""Finished calls of an evaluation, in a file, so that an interrupted one repeats none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from sandbox.conversation.steps import Call
from sandbox.errors import RunExists
from sandbox.folders import refuse_link
from sandbox.models.base import Reply

FILE = "calls.jsonl"


class EvaluationCallLog:
    """A :class:`~sandbox.conversation.steps.CallLog` in a folder, one JSON object a line.

    Each is found by the request's hash and the model.
    A reply is that of the same weights to the same request; whatever else has changed is asked anew. Failures are not
    kept, so that they are tried again.

    Args:
        folder: Of the evaluation.
        resume: Go on with what is there.

    Raises:
        RunExists: something is there, and ``resume`` was not given.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        self.path = refuse_link(folder / FILE)
        if self.path.exists() and not resume:
            raise RunExists(
                f"{folder} holds an evaluation that was interrupted; continue it with --resume, or choose another --out"
            )
        self._known: dict[str, Reply] = {}
        self._unkept: list[bytes] = []
        if self.path.exists():
            self._read()

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, call: Call) -> Reply | None:
        """What the call returned before, if it did."""
        return self._known.get(_key(call))

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
        """Forget all: the evaluation is over, and its own file holds the answers."""
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
