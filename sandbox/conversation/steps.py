"""What a protocol may yield, and what it is sent for it.

Knows nothing of agents, grids or files.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.models.base import LanguageModel, Reply, Request

Conversation = Generator[Any, Any, Any]


class CallFailed(Exception):
    """A language model could not answer; raised inside the conversation that waits for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One request, and the model it is for."""

    model: LanguageModel
    request: Request


@dataclass(frozen=True, slots=True, eq=False)
class Embed:
    """A text whose embedding is wanted. Gives an array [dim], L2-normalised."""

    embedder: Any
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """An answer that somebody is to rate."""

    rater: Any
    rater_of: Any
    question: str
    answer: str


class CallLog(Protocol):
    """Where finished calls are kept, so that none is paid for twice."""

    def recall(self, call: Call) -> Reply | None:
        """What the call returned before, if it did."""
        ...

    def record(self, finished: Sequence[tuple[Call, Reply]]) -> None:
        """Take what calls returned."""
        ...

    def flush(self) -> None:
        """Keep all that was taken."""
        ...
