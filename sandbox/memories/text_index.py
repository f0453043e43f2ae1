"""The distinct texts of a world and their embeddings: questions, and what agents remember.

All agents of a world share one :class:`TextIndex`, which embeds every distinct text once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.models.local.array_cache import cached_array

# Fewer texts of a scenario are embedded as fast as they are read; of more, only those are embedded that somebody needs.
_KEPT_FROM, _KEPT_TO = 16, 2_000


class TextIndex:
    """The distinct texts of a world and their embeddings.

    Args:
        embedder: Embeds texts as L2-normalised vectors. Shape [texts, dim].
        of_scenario: Texts that are the same in every run of a scenario; their vectors are kept in the cache folder.

    Attributes:
        texts: The texts, by number.
    """

    def __init__(self, embedder: Any, of_scenario: Iterable[str] = ()) -> None:
        self._embedder = embedder
        texts = list(dict.fromkeys(of_scenario))
        is_worth = _KEPT_FROM <= len(texts) <= _KEPT_TO
        self._of_scenario = {text: place for place, text in enumerate(texts)} if is_worth else {}
        self._kept: NDArray[np.float32] | None = None
        self._ids: dict[str, int] = {}
        self.texts: list[str] = []
        self._vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._similar: dict[int, NDArray[np.float32]] = {}

    def add(self, texts: Iterable[str]) -> list[int]:
        """Number of each text; new texts are embedded in one batch."""
        texts = list(texts)
        fresh = [text for text in dict.fromkeys(texts) if text not in self._ids]
        if fresh:
            vectors = self._embed(fresh)
            self._vectors = np.vstack([self._vectors, vectors]) if self.texts else vectors
            for text in fresh:
                self._ids[text] = len(self.texts)
                self.texts.append(text)
            self._similar.clear()
        return [self._ids[text] for text in texts]

    def _embed(self, fresh: list[str]) -> NDArray[np.float32]:
        """Vectors of new texts; those of the scenario are computed once on a machine."""
        scenario = self._of_scenario
        known_by = getattr(self._embedder, "fingerprint", None)
        if known_by is None or not scenario or scenario.keys().isdisjoint(fresh):
            return self._embedder.embed(fresh)
        if self._kept is None:
            texts = list(scenario)
            self._kept = cached_array(["texts", *texts], lambda: self._embedder.embed(texts), fingerprint=known_by)
        others = [text for text in fresh if text not in scenario]
        found = np.empty((len(fresh), self._kept.shape[1]), np.float32)
        found[[text not in scenario for text in fresh]] = self._embedder.embed(others) if others else 0.0
        found[[text in scenario for text in fresh]] = self._kept[[scenario[text] for text in fresh if text in scenario]]
        return found

    def since(self, number: int) -> list[tuple[str, bytes]]:
        """Texts from ``number`` on, with their embeddings as float32 bytes."""
        vectors = self._vectors[number:].astype(np.float32)
        return [(text, v.tobytes()) for text, v in zip(self.texts[number:], vectors, strict=True)]

    def similarities(self, number: int) -> NDArray[np.float32]:
        """Cosine similarity of a text to all others, in [-1, 1]. Shape [texts]."""
        known = self._similar.get(number)
        if known is None:
            # Concurrent conversations ask about as many questions; cache those.
            if len(self._similar) > 4096:
                self._similar.clear()
            known = self._similar[number] = self._vectors @ self._vectors[number]
        return known

    def cosines(self, text: str, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cosine similarity of a text to those with the given numbers, in [-1, 1]. Shape [numbers]."""
        [number] = self.add([text])
        one = self._vectors[number].astype(np.float64)
        return np.asarray(self._vectors[numbers].astype(np.float64) @ one)
