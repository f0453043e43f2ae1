"""A memory that is the minutes of the last meeting."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox import Recollection
from sandbox.memories.base import Item, Owner


class Minutes:
    """Recalls the last thing that the agent said or heard, whatever the question."""

    def __init__(self, rest: str = "", *, owner: Owner) -> None:
        self._owner = owner
        self._last: list[Item] = []

    def remember(self, items: Sequence[Item]) -> None:
        """Keep the last item."""
        self._last = list(items[-1:]) or self._last

    def recall(self, question: str) -> Recollection | None:
        """The last item."""
        if not self._last:
            return None
        text = self._owner.listed(self._last)
        return Recollection(text, f"In the minutes:\n{text}\n\n")
