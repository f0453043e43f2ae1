"""Sentence embeddings of MiniLM, or of another model of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import ModelNotFound, SettingsError, nearest, require_packages
from sandbox.models.local.fingerprint import fingerprint, weight_files
from sandbox.models.local.weight_integrity import check_files

# Models in use, by path, data type and state of their files: worlds and raters share them.
_IN_USE: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
_DTYPES = ("float64", "float32", "bfloat16", "float16")


class SentenceEmbedder:
    """Sentence embeddings of all-MiniLM-L6-v2 (384 numbers), or of any other model of sentence-transformers.

    Args:
        rest: Empty for MiniLM; otherwise a folder, or a name on the model hub.
        batch_size: Texts per batch.
        dtype: Data type of the computation. ``float64`` takes 1.8 times as long as ``float32``, but the vector of a text does
            not depend on the other texts of its batch; with ``float32`` the last bits do.

    Raises:
        ModelNotFound: the model does not exist, or its files are damaged.
        ToolNotFound: sentence-transformers is not installed.
    """

    def __init__(self, rest: str = "", *, batch_size: int = 32, dtype: str = "float64") -> None:
        from sandbox.models.local.bundled import minilm_path
        from sandbox.models.local.quiet import quiet

        if dtype not in _DTYPES:
            raise SettingsError(
                f"embedder: dtype={dtype!r} is not one of {', '.join(_DTYPES)}.{nearest(dtype, _DTYPES)}"
            )
        require_packages("a sentence embedder (the default; embedder=hashing needs none)", "sentence_transformers")
        path = rest or str(minilm_path())
        if (Path(path) / "config.json").is_file():
            check_files(Path(path))
        key = (
            path,
            dtype,
            *((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in weight_files(Path(path))),
        )
        with quiet():
            from safetensors import SafetensorError
            from sentence_transformers import SentenceTransformer

            try:
                model = _IN_USE.get(key) or SentenceTransformer(path, model_kwargs={"dtype": dtype})
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                raise ModelNotFound(f"{path!r} cannot be loaded by sentence-transformers: {error}") from error
        self._model: Any = _IN_USE.setdefault(key, model)
        self.name = f"minilm:{rest}" if rest else "minilm"
        self.dim = int(self._model.get_embedding_dimension())
        self._batch_size = batch_size
        self._path, self._dtype = Path(path), dtype

    @property
    def fingerprint(self) -> str | None:
        """Identifies weights and precision, for caches; None for a model of the hub."""
        weights = fingerprint([self._path]) if weight_files(self._path) else ""
        return f"sentence-embeddings {weights} {self._dtype}" if weights else None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order; see :meth:`Embedder.embed`. Texts are truncated to the length of the model."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        # The library sorts by length before batching, which keeps padding small.
        vectors = self._model.encode(
            list(texts),
            batch_size=self._batch_size,
            show_progress_bar=False,
            normalize_embeddings=True,
            convert_to_numpy=True,
        )
        return np.asarray(vectors, dtype=np.float32)
