"""Sentence embeddings of MiniLM, or of another model of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import ModelNotFound, SettingsError, nearest

_DTYPES = ("float64", "float32", "bfloat16", "float16")


class SentenceEmbedder:
    """Sentence embeddings of all-MiniLM-L6-v2 (384 numbers), or of any other model of sentence-transformers.

    Args:
        rest: Empty for MiniLM; else a folder, or a name on the model hub.
        batch_size: Texts at once.
        dtype: What it computes in. ``float64`` takes 1.8 times as long as ``float32`` and gives a text the same vector
            whatever other texts it is embedded with; ``float32`` does not, to the last bits.

    Raises:
        ModelNotFound: the model is not there.
    """

    def __init__(self, rest: str = "", *, batch_size: int = 32, dtype: str = "float64") -> None:
        from sandbox.models.local.bundled import minilm_path
        from sandbox.models.local.quiet import quiet

        if dtype not in _DTYPES:
            raise SettingsError(
                f"embedder: dtype={dtype!r} is not one of {', '.join(_DTYPES)}.{nearest(dtype, _DTYPES)}"
            )
        path = rest or str(minilm_path())
        with quiet():
            from sentence_transformers import SentenceTransformer

            try:
                self._model = SentenceTransformer(path, model_kwargs={"dtype": dtype})
            except (OSError, ValueError) as error:
                raise ModelNotFound(f"{path!r} cannot be loaded by sentence-transformers: {error}") from error
        self.name = f"minilm:{rest}" if rest else "minilm"
        self.dim = int(self._model.get_embedding_dimension())
        self._batch_size = batch_size

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order; see :meth:`Embedder.embed`. What exceeds the model's length is cut off."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        # The library sorts by length before it batches, so that little is padded.
        vectors = self._model.encode(
            list(texts),
            batch_size=self._batch_size,
            show_progress_bar=False,
            normalize_embeddings=True,
            convert_to_numpy=True,
        )
        return np.asarray(vectors, dtype=np.float32)
