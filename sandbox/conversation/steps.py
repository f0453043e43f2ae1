"""What a protocol may yield, and the result that it is sent.

Knows no agents, grids or files.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.models.base import LanguageModel, Reply, Request

Conversation = Generator[Any, Any, Any]


class Paused(BaseException):
    """A model has no reply yet: its society stops where it is, and continues from its record when it is run again."""


class CallFailed(Exception):
    """A call to a language model failed; raised inside the conversation that waits for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A request to a language model."""

    model: LanguageModel
    request: Request


# Requests that the running generator has made, and how often; set by the scheduler while it advances one.
requests_made: ContextVar[dict[Hashable, int] | None] = ContextVar("requests_made", default=None)


def count_request(request: Hashable) -> int:
    """Count a request of the running generator, and return how often it has made the same one before.

    Outside a scheduler it is always 0.
    """
    made = requests_made.get()
    if made is None:
        return 0
    before = made.get(request, 0)
    made[request] = before + 1
    return before


@dataclass(slots=True, eq=False)
class Spoken:
    """What an agent says in the running conversation.

    Attributes:
        agent: Index of the agent.
        purpose: Purpose of the call.
        call: The call.
        text: What it said where that is not the text of the reply.
        is_said: Whether it counts as said; not for a reply that could not be read and was asked for again.
    """

    agent: int
    purpose: str
    call: Call
    text: str | None = None
    is_said: bool = True


# What agents say in the running conversation, with the generators that it waits for; set by the scheduler.
spoken: ContextVar[list[Spoken] | None] = ContextVar("spoken", default=None)


def find_spoken(call: Call) -> Spoken | None:
    """The record of a call in the running conversation; None where none is kept."""
    return next((one for one in spoken.get() or () if one.call is call), None)


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
