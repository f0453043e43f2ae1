"""A memory that is a summary, which the agent's own language model rewrites every few rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from sandbox.conversation.steps import Conversation
from sandbox.memories.base import Item, Owner, Recollection
from sandbox.models.base import Reply
from sandbox.scenario.prompts import whole_sentences
from sandbox.typed_settings import at_least


class SummaryMemory:
    """A summary that the agent's own model rewrites every few rounds; between, recent answers and what was heard are listed.

    The summary is recorded, and its calls are calls of the run: stored, resumed, replayed and capped as all others. Where a
    call fails, or gives no text, the summary stays as it was, and is rewritten with all that came since at the next turn.

    Args:
        rest: Not used; all memories are made with the same arguments.
        owner: The agent.
        every: Number of rounds between two rewritings.
        items: Maximum number of recent items that are listed, the newest; all of them enter the next summary.
        max_tokens: Maximum length of the summary.
    """

    def __init__(
        self,
        rest: str = "",
        *,
        owner: Owner,
        every: Annotated[int, at_least(1)] = 3,
        items: Annotated[int, at_least(1)] = 5,
        max_tokens: Annotated[int, at_least(1)] = 96,
    ) -> None:
        self._owner = owner
        self._every, self._n, self._max_tokens = every, items, max_tokens
        self._summary = ""
        self._since: list[Item] = []

    def remember(self, items: Sequence[Item]) -> None:
        """Take over items; a note is the new summary of all that came before it."""
        for item in items:
            if item.kind == "note":
                self._summary, self._since = item.text, []
            else:
                self._since.append(item)

    def recall(self, question: str) -> Recollection | None:
        """The summary, and the newest items since, whatever the question; None if there is nothing."""
        del question
        listed = self._owner.listed(self._since[-self._n :])
        text = "\n".join(filter(None, (self._summary, listed)))
        return Recollection(text, self._owner.prompts.remembered.format(items=text)) if text else None

    def rewrite(self) -> Conversation | None:
        """A conversation that gives the new summary, every few rounds."""
        if (self._owner.round + 1) % self._every or not self._since:
            return None
        return self._rewrite()

    def _rewrite(self) -> Conversation:
        words = self._owner.prompts.summarise.format(
            summary=self._summary or "-", items=self._owner.listed(self._since)
        )
        reply: Reply = yield self._owner.ask(words, "summary", max_tokens=self._max_tokens)
        text = whole_sentences(reply.text) if reply.finish_reason == "length" else reply.text
        return text.strip() or None
