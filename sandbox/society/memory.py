"""What an agent recalls: the nearest question it remembers, and what it answered then.

All agents of a world share one :class:`QuestionIndex`, which embeds every distinct question once; a memory holds
only which of these questions an agent knows, and its answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class QuestionIndex:
    """Every distinct question of a world, with its embedding.

    Args:
        embedder: Turns texts into L2-normalised vectors, shape [texts, dim].
    """

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder
        self._ids: dict[str, int] = {}
        self.questions: list[str] = []
        self._vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._similar: dict[int, NDArray[np.float32]] = {}

    def add(self, questions: Iterable[str]) -> list[int]:
        """Look up the number of each question, embedding those not met before in one batch."""
        questions = list(questions)
        fresh = [q for q in dict.fromkeys(questions) if q not in self._ids]
        if fresh:
            vectors = self._embedder.embed(fresh)
            self._vectors = np.vstack([self._vectors, vectors]) if self.questions else vectors
            for question in fresh:
                self._ids[question] = len(self.questions)
                self.questions.append(question)
            self._similar.clear()
        return [self._ids[q] for q in questions]

    def since(self, number: int) -> list[tuple[str, bytes]]:
        """Questions from ``number`` on, with their embeddings as float32 bytes."""
        vectors = self._vectors[number:].astype(np.float32)
        return [(q, v.tobytes()) for q, v in zip(self.questions[number:], vectors, strict=True)]

    def similarities(self, number: int) -> NDArray[np.float32]:
        """Cosine similarity of a question to all others, in [-1, 1]. Shape [questions]."""
        known = self._similar.get(number)
        if known is None:
            # As many questions are asked at once as conversations are in flight; keep what they need.
            if len(self._similar) > 4096:
                self._similar.clear()
            known = self._similar[number] = self._vectors @ self._vectors[number]
        return known


class Memory:
    """One agent's own answers.

    Args:
        index: Shared by the world.
        pairs: (question, answer) it is born with.
    """

    __slots__ = ("_answers", "_index", "_numbers")

    def __init__(self, index: QuestionIndex, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._index = index
        self._numbers: NDArray[np.int64] | None = None
        numbers = index.add(q for q, _ in pairs)
        self._answers = {number: answer for number, (_, answer) in zip(numbers, pairs, strict=True)}

    def __len__(self) -> int:
        return len(self._answers)

    def pairs(self) -> list[tuple[str, str]]:
        """All it remembers, as (question, answer)."""
        return [(self._index.questions[n], a) for n, a in self._answers.items()]

    def remember(self, question: str, answer: str) -> None:
        """Keep an answer; the newest answer to a question replaces the one before."""
        [number] = self._index.add([question])
        if number not in self._answers:
            self._numbers = None
        self._answers[number] = answer

    def recall(self, question: str, *, within: float) -> tuple[str, str] | None:
        """The nearest remembered question and its answer, if its cosine distance is under ``within``.

        Args:
            question: What is being asked.
            within: Cosine distance, in [0, 2]; 0.3 in the paper's release.
        """
        if not self._answers:
            return None
        [number] = self._index.add([question])
        if self._numbers is None:
            self._numbers = np.fromiter(self._answers, np.int64, len(self._answers))
        similar = self._index.similarities(number)[self._numbers]
        best = int(similar.argmax())
        if 1.0 - float(similar[best]) >= within:
            return None
        found = int(self._numbers[best])
        return self._index.questions[found], self._answers[found]
