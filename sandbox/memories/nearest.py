"""The paper's memory: the nearest remembered question and the agent's last answer to it.

Section 3.1 of arXiv:2305.16960. What an agent hears is not remembered. A memory stores only the numbers of the agent's
questions in the world's index, and its answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox.memories.base import Item, Owner, Recollection
from sandbox.memories.text_index import TextIndex


class Answers:
    """The last answer of one agent to each question.

    Args:
        index: Texts of the world, shared by all agents.
        pairs: Initial (question, answer) pairs.
    """

    __slots__ = ("_answers", "_index", "_numbers")

    def __init__(self, index: TextIndex, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._index = index
        self._numbers: NDArray[np.int64] | None = None
        numbers = index.add(q for q, _ in pairs)
        self._answers = {number: answer for number, (_, answer) in zip(numbers, pairs, strict=True)}

    def __len__(self) -> int:
        return len(self._answers)

    def pairs(self) -> list[tuple[str, str]]:
        """All remembered (question, answer) pairs."""
        return [(self._index.texts[n], a) for n, a in self._answers.items()]

    def remember(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Store answers; each replaces an earlier answer to the same question."""
        for number, (_, answer) in zip(self._index.add(q for q, _ in pairs), pairs, strict=True):
            if number not in self._answers:
                self._numbers = None
            self._answers[number] = answer

    def nearest(self, question: str, n: int, *, within: float) -> list[tuple[str, str]]:
        """The remembered (question, answer) pairs nearest to a question, the nearest first.

        Args:
            question: The question to answer.
            n: Maximum number of pairs.
            within: Cosine distance that theirs is below, in [0, 2]; 0.3 in the paper's released code.
        """
        if not self._answers:
            return []
        [number] = self._index.add([question])
        if self._numbers is None:
            self._numbers = np.fromiter(self._answers, np.int64, len(self._answers))
        similar = self._index.similarities(number)[self._numbers]
        best = [int(similar.argmax())] if n == 1 else [int(i) for i in np.argsort(-similar, kind="stable")[:n]]
        found = [int(self._numbers[i]) for i in best if 1.0 - float(similar[i]) < within]
        return [(self._index.texts[i], self._answers[i]) for i in found]


class NearestMemory:
    """The last answer to the nearest remembered question, within the society's recall_distance, as in the paper.

    Args:
        rest: Not used; all memories are made with the same arguments.
        owner: The agent.
    """

    remembers = "answers"

    def __init__(self, rest: str = "", *, owner: Owner) -> None:
        self._owner = owner
        self.answers = Answers(owner.texts)

    def remember(self, items: Sequence[Item]) -> None:
        """Take over answers; each replaces an earlier one to the same question."""
        self.answers.remember([(item.question, item.text) for item in items if item.kind == "answer"])

    def recall(self, question: str) -> Recollection | None:
        """The nearest remembered question and its answer; None unless its cosine distance is below ``recall_distance``."""
        found = self.nearest(question, 1)
        if not found:
            return None
        [(known, answer)] = found
        return Recollection(answer, self._owner.prompts.recalled.format(question=known, answer=answer), known)

    def nearest(self, question: str, n: int) -> list[tuple[str, str]]:
        """At most ``n`` remembered (question, answer) pairs within ``recall_distance``, the nearest first."""
        return self.answers.nearest(question, n, within=self._owner.society.recall_distance)
