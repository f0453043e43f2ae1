"""Memory of agents: recall of the nearest remembered question and its answer.

All agents of a world share one :class:`QuestionIndex`, which embeds every distinct question once; a memory stores only the
numbers of an agent's questions, and its answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.scenario.rubric import Upbringing
from sandbox.scenario.settings import SocietySettings
from sandbox.seeding import keyed_rng


class QuestionIndex:
    """The distinct questions of a world and their embeddings.

    Args:
        embedder: Embeds texts as L2-normalised vectors. Shape [texts, dim].
    """

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder
        self._ids: dict[str, int] = {}
        self.questions: list[str] = []
        self._vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._similar: dict[int, NDArray[np.float32]] = {}

    def add(self, questions: Iterable[str]) -> list[int]:
        """Number of each question; new questions are embedded in one batch."""
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
            # Concurrent conversations ask about as many questions; cache those.
            if len(self._similar) > 4096:
                self._similar.clear()
            known = self._similar[number] = self._vectors @ self._vectors[number]
        return known


class Memory:
    """The answers that one agent remembers.

    Args:
        index: Questions of the world, shared by all agents.
        pairs: Initial (question, answer) pairs.
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
        """All remembered (question, answer) pairs."""
        return [(self._index.questions[n], a) for n, a in self._answers.items()]

    def remember(self, question: str, answer: str) -> None:
        """Store an answer; it replaces an earlier answer to the same question."""
        [number] = self._index.add([question])
        if number not in self._answers:
            self._numbers = None
        self._answers[number] = answer

    def recall(self, question: str, *, within: float) -> tuple[str, str] | None:
        """The nearest remembered question and its answer; None unless its cosine distance is below ``within``.

        Args:
            question: The question to answer.
            within: Cosine distance, in [0, 2]; 0.3 in the paper's released code.
        """
        found = self.nearest(question, 1, within=within)
        return found[0] if found else None

    def nearest(self, question: str, n: int, *, within: float) -> list[tuple[str, str]]:
        """The remembered (question, answer) pairs nearest to a question, the nearest first.

        Args:
            question: The question to answer.
            n: Maximum number of pairs.
            within: Cosine distance that theirs is below, in [0, 2].
        """
        if not self._answers:
            return []
        [number] = self._index.add([question])
        if self._numbers is None:
            self._numbers = np.fromiter(self._answers, np.int64, len(self._answers))
        similar = self._index.similarities(number)[self._numbers]
        best = [int(similar.argmax())] if n == 1 else [int(i) for i in np.argsort(-similar, kind="stable")[:n]]
        found = [int(self._numbers[i]) for i in best if 1.0 - float(similar[i]) < within]
        return [(self._index.questions[i], self._answers[i]) for i in found]


def draw_upbringing(
    source: Sequence[Upbringing], society: SocietySettings, birth_seed: int, agent: int
) -> list[Upbringing]:
    """Draw what an agent begins with: at most ``prior_memories`` of the upbringing of its label."""
    n = min(society.prior_memories, len(source))
    return keyed_rng(birth_seed, "upbringing", agent).sample(list(source), n)


def distance_for_share(
    questions: Sequence[str], memories: Sequence[Sequence[str]], share: float, embedder: Any
) -> float:
    """The distance below which a share of questions has a remembered one.

    Args:
        questions: Questions to answer.
        memories: For each agent, the questions that it remembers.
        share: Share of all pairs of an agent and a question, in [0, 1].
        embedder: Embeds texts as L2-normalised vectors. Shape [texts, dim].

    Returns:
        Cosine distance in [0, 2], rounded up to four digits; 0 where nothing is remembered.
    """
    known = list(dict.fromkeys(question for one in memories for question in one))
    if not known or not questions:
        return 0.0
    similar = embedder.embed(list(questions)) @ embedder.embed(known).T
    column = {question: i for i, question in enumerate(known)}
    nearest = np.sort([1.0 - similar[:, [column[q] for q in one]].max(1) for one in memories if one], axis=None)
    count = round(share * len(nearest))
    return 0.0 if count == 0 else float(np.clip(np.floor(nearest[count - 1] * 1e4 + 1) / 1e4, 0.0, 2.0))
