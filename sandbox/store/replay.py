"""Replay of a run from its record: replies, ratings and embeddings, without any model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import ReplayMiss
from sandbox.models.base import Reply, Request
from sandbox.records import Rating
from sandbox.store.run import open_run


class ReplayModel:
    """Replays the stored replies of a run.

    Args:
        rest: Run folder.

    Raises:
        RunNotFound: the folder is not a run.
    """

    def __init__(self, rest: str) -> None:
        self._run = open_run(rest)
        self.uri = f"replay:{rest}"
        self.fingerprint = str(self._run.manifest["models"]["agents"]["fingerprint"])
        self.default_rater = f"replay:{rest}"
        self.default_embedder = f"replay:{rest}"

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Look up the reply to every request, by its content.

        Raises:
            ReplayMiss: the run has no reply to one of them.
        """
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        kept = self._run.call(request.key())
        if kept is None:
            raise _miss(self._run.path, "reply to a request that begins", request.messages[-1].content)
        return Reply(**kept)


class ReplayRater:
    """Replays the stored ratings of a run, of neighbours, of agents' own candidates, and of observers.

    Attributes:
        default_candidates: Number of candidates of the run.
    """

    name = "replay"

    def __init__(self, rest: str, *, embedder: Any = None) -> None:
        del embedder  # all raters are made with the same arguments
        self._run = open_run(rest)
        self.default_candidates = int(self._run.manifest["settings"].get("candidates", 1))

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Look up ratings of (question, answer) pairs on behalf of ``rater_of``.

        Raises:
            ReplayMiss: the run has no rating of one of them.
        """
        agent = getattr(rater_of, "agent", None)  # a neighbour, or the author of a candidate
        reviewer = None if agent is None else agent.index
        return [self._rating(q, a, reviewer, rater_of.dimension.name) for q, a in items]

    def _rating(self, question: str, answer: str, reviewer: int | None, dimension: str) -> Rating:
        found = self._run.rating(question, answer, reviewer=reviewer, dimension=dimension)
        if found is None:
            raise _miss(self._run.path, "rating of an answer that begins", answer)
        return found


class ReplayEmbedder:
    """Replays the stored embeddings of a run's questions."""

    def __init__(self, rest: str) -> None:
        self._run = open_run(rest)
        self.name = str(self._run.manifest["embedder"])
        self.dim = int(self._run.manifest["embedding_dim"])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Look up texts. Shape [texts, dim].

        Raises:
            ReplayMiss: the run has no embedding of one of them.
        """
        found = np.empty((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            kept = self._run.embedding(text)
            if kept is None:
                raise _miss(self._run.path, "embedding of", text)
            found[row] = np.frombuffer(kept, np.float32)
        return found


def _miss(path: Any, what: str, text: str) -> ReplayMiss:
    return ReplayMiss(
        f"{path} contains no {what} {json.dumps(text[:60], ensure_ascii=False)}; replay with the scenario, seed and "
        "settings of its manifest"
    )
