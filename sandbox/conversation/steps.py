"""What a protocol may yield, and the result that it is sent.

Knows no agents, grids or files.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.models.base import LanguageModel, Reply, Request

Conversation = Generator[Any, Any, Any]


class CallFailed(Exception):
    """A call to a language model failed; raised inside the conversation that waits for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A request to a language model."""

    model: LanguageModel
    request: Request


@dataclass(frozen=True, slots=True, eq=False)
class Embed:
    """A text to be embedded. Gives an L2-normalised array [dim]."""

    embedder: Any
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """An answer to be rated."""

    rater: Any
    rater_of: Any
    question: str
    answer: str


class CallLog(Protocol):
    """A store of finished calls, so that none is repeated on resume."""

    def recall(self, call: Call) -> Reply | None:
        """Return the stored reply of a call, if there is one."""
        ...

    def record(self, finished: Sequence[tuple[Call, Reply]]) -> None:
        """Record the replies of calls."""
        ...

    def flush(self) -> None:
        """Write all recorded replies to the store."""
        ...
