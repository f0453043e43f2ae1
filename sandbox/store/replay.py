"""A run given again from its record: its replies, its ratings and its embeddings; no model of any kind is needed."""

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
    """Give again the replies that a run kept.

    Args:
        rest: The run's folder.

    Raises:
        RunNotFound: it is not one.
    """

    def __init__(self, rest: str) -> None:
        self._run = open_run(rest)
        self.uri = f"replay:{rest}"
        self.fingerprint = str(self._run.manifest["models"]["agents"]["fingerprint"])
        self.default_rater = f"replay:{rest}"
        self.default_embedder = f"replay:{rest}"

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Look up every request by its content.

        Raises:
            ReplayMiss: the run never asked one of them.
        """
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        kept = self._run.call(request.key())
        if kept is None:
            raise _miss(self._run.path, "reply to a request that begins", request.messages[-1].content)
        return Reply(**kept)


class ReplayRater:
    """Give again the ratings that a run kept, of neighbours and observers."""

    name = "replay"

    def __init__(self, rest: str, *, embedder: Any = None) -> None:
        del embedder  # every rater is made alike
        self._run = open_run(rest)

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Look up ratings of (question, answer) pairs by whoever rates.

        Raises:
            ReplayMiss: the run never rated one of them.
        """
        agent = getattr(rater_of, "agent", None)
        reviewer = None if agent is None else agent.index
        return [self._rating(q, a, reviewer, rater_of.dimension.name) for q, a in items]

    def _rating(self, question: str, answer: str, reviewer: int | None, dimension: str) -> Rating:
        found = self._run.rating(question, answer, reviewer=reviewer, dimension=dimension)
        if found is None:
            raise _miss(self._run.path, "rating of an answer that begins", answer)
        return found


class ReplayEmbedder:
    """Give again the embeddings of questions that a run kept."""

    def __init__(self, rest: str) -> None:
        self._run = open_run(rest)
        self.name = str(self._run.manifest["embedder"])
        self.dim = int(self._run.manifest["embedding_dim"])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Look up texts. Shape [texts, dim].

        Raises:
            ReplayMiss: the run never met one of them.
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
        f"{path} holds no {what} {json.dumps(text[:60], ensure_ascii=False)}; replay with the scenario, seed and "
        "settings of its manifest"
    )
