"""What is said to agents: collected while a conversation, or a function of the scenario, says it.

What is heard belongs to the record of the conversation in which it is said, in the order in which the protocol says it; the
hearers' memories are given it at the next barrier. So no result depends on the order of replies.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.conversation.steps import Conversation
from sandbox.errors import ScenarioError, author_line
from sandbox.models.base import Reply
from sandbox.records import Heard
from sandbox.text_cleaning import without_surrogates


class Hearing:
    """Collects what is said to the agents of a world."""

    def __init__(self) -> None:
        self._open: tuple[list[Heard], int] | None = None

    @contextmanager
    def collect(self, into: list[Heard], step: int) -> Iterator[None]:
        """Collect into a list what is said while the code inside runs.

        Args:
            into: The list.
            step: When in the round; see :class:`~sandbox.records.Heard`.
        """
        before, self._open = self._open, (into, step)
        try:
            yield
        finally:
            self._open = before

    def listen(self, talk: Generator[Any, Any, Any], into: list[Heard], step: int) -> Conversation:
        """Run a conversation, and collect into a list what its protocol says to agents."""
        value, failure = None, None
        while True:
            with self.collect(into, step):
                try:
                    wanted = talk.send(value) if failure is None else talk.throw(failure)
                except StopIteration as stop:
                    return stop.value
            try:
                value, failure = (yield wanted), None
            except GeneratorExit:
                talk.close()
                raise
            except BaseException as error:
                value, failure = None, error

    def add(self, agent: int, text: str | Reply, from_: Any, importance: float | None) -> None:
        """Take in what is said to an agent.

        Raises:
            ScenarioError: it is no text, or it is said where it cannot be recorded.
        """
        said = text.text if isinstance(text, Reply) else text
        name = from_ if isinstance(from_, str) else getattr(from_, "name", None)
        if not isinstance(said, str) or not isinstance(name, str):
            raise ScenarioError(
                f"{author_line()}agent.hear({said!r}, from_={from_!r}): expected a text, and from_= an agent or the name of a "
                "speaker"
            )
        if importance is not None and not 0 <= importance <= 1:
            raise ScenarioError(f"{author_line()}agent.hear(..., importance={importance!r}) must be in [0, 1], or None")
        if self._open is None:
            raise ScenarioError(
                f"{author_line()}agent.hear(...) was called where it cannot be recorded; call it in the protocol itself (in a "
                "generator of your own use yield from), or in settle(world, interactions), before_round(world), "
                "after_round(world) or events"
            )
        into, step = self._open
        speaker = getattr(from_, "index", None)
        given = None if importance is None else float(importance)
        into.append(
            Heard(
                agent,
                speaker if isinstance(speaker, int) else None,
                without_surrogates(name),
                without_surrogates(said),
                given,
                step,
            )
        )
