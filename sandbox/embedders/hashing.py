"""Embeddings of hashed words and letter triples; no model needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import SettingsError

_WORD = re.compile(r"\w+")


class HashingEmbedder:
    """Vectors of hashed words and letter triples: no model, no download, the same in every process.

    Texts with common words are near each other; meaning is ignored. Each word counts 1 and each triple
    of letters, with the word's ends marked, 1/2, as in fastText's subword features (arXiv:1607.04606). The sign of a
    feature comes from its hash, so that collisions cancel on average (Weinberger et al., arXiv:0902.2206).

    Args:
        rest: Not used; all embedders are made with the same arguments.
        dim: Length of the vectors.
    """

    def __init__(self, rest: str = "", *, dim: int = 256) -> None:
        del rest
        if dim < 1:
            raise SettingsError(f"dim={dim} must be at least 1")
        self.name = "hashing" if dim == 256 else f"hashing:{dim}"
        self.dim = dim

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order; see :meth:`Embedder.embed`."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            # A text without words still needs a direction.
            for word in _WORD.findall(text.lower()) or [""]:
                self._add(vector, word, 1.0)
                marked = f"<{word}>"
                for i in range(len(marked) - 2):
                    self._add(vector, "#" + marked[i : i + 3], 0.5)
            length = float(np.linalg.norm(vector))
            if length == 0.0:
                vector[0] = length = 1.0  # features cancelled exactly
            vector /= length
        return vectors

    def _add(self, vector: NDArray[np.float32], feature: str, weight: float) -> None:
        number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
        vector[(number >> 1) % self.dim] += weight if number & 1 else -weight
