"""A memory stream: everything that happened to an agent, recalled by recency, importance and relevance.

Section 4.1 of Park et al., Generative Agents (arXiv:2304.03442). There recency is that of the last retrieval, and a language
model rates importance; here recency is that of the event, so that recalling changes nothing, and importance is the rating that
neighbours gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sandbox.memories.base import Item, Owner, Recollection
from sandbox.typed_settings import at_least, between


class StreamMemory:
    """The best few of all that an agent answered and heard, by recency, importance and relevance (Park et al. 2023).

    The score of an item is the weighted sum of the three, each scaled to [0, 1] over the agent's items; one that is the same
    for all counts for nothing. Of equal scores the newer item is recalled. What is recalled is listed in the order in which it
    happened.

    Args:
        rest: Not used; all memories are made with the same arguments.
        owner: The agent.
        items: Maximum number of items that are recalled.
        recency: Weight of recency.
        importance: Weight of importance.
        relevance: Weight of relevance: the cosine of the item's line and the question.
        decay: What recency is multiplied with in each round.
        unrated: Importance of what has no rating, in [0, 1].
    """

    embeds = True

    def __init__(
        self,
        rest: str = "",
        *,
        owner: Owner,
        items: Annotated[int, at_least(1)] = 5,
        recency: Annotated[float, at_least(0)] = 1.0,
        importance: Annotated[float, at_least(0)] = 1.0,
        relevance: Annotated[float, at_least(0)] = 1.0,
        decay: Annotated[float, between(0, 1, "(]")] = 0.9,
        unrated: Annotated[float, between(0, 1)] = 0.5,
    ) -> None:
        self._owner = owner
        self._n = items
        self._weights = (recency, importance, relevance)
        self._decay, self._unrated = decay, unrated
        self._items: list[Item] = []
        self._numbers: list[int] = []

    def remember(self, items: Sequence[Item]) -> None:
        """Take over all items."""
        self._items += items
        self._numbers += self._owner.texts.add(self._owner.line(item) for item in items)

    def recall(self, question: str) -> Recollection | None:
        """The best items for a question; None if there are none."""
        if not self._items:
            return None
        scores = np.round(self.scores(question), 6)
        best = sorted(range(len(scores)), key=lambda i: (scores[i], i))[-self._n :]
        text = self._owner.listed([self._items[i] for i in sorted(best)])
        return Recollection(text, self._owner.prompts.remembered.format(items=text))

    def scores(self, question: str) -> NDArray[np.float64]:
        """Score of each item for a question, in the order in which they were remembered. Shape [items]."""
        rounds = np.array([item.round for item in self._items])
        given = [self._unrated if item.importance is None else item.importance for item in self._items]
        parts = (
            self._decay ** (self._owner.round - rounds).astype(np.float64),
            np.array(given, np.float64),
            self._owner.texts.cosines(question, np.array(self._numbers, np.int64)),
        )
        return np.asarray(sum(weight * _scaled(part) for weight, part in zip(self._weights, parts, strict=True)))


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values scaled to [0, 1]; zeros where all are the same."""
    low, high = float(values.min()), float(values.max())
    return np.zeros_like(values) if high - low < 1e-9 else (values - low) / (high - low)
