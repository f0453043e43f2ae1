"""Sentence embeddings of MiniLM, or of another model of sentence-transformers.

The bundled MiniLM needs no sentence-transformers on the processor: see :mod:`sandbox.embedders.bert`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from sandbox.embedders.bert import BertEncoder, vector_length
from sandbox.errors import ModelNotFound, SettingsError, nearest, require_packages
from sandbox.models.local.fingerprint import fingerprint, weight_files
from sandbox.models.local.weight_integrity import check_files
from sandbox.process_settings import let_threads_sleep

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
        ToolNotFound: torch is not installed; or sentence-transformers, for other models and on a GPU.
    """

    def __init__(self, rest: str = "", *, batch_size: int = 32, dtype: str = "float64") -> None:
        from sandbox.models.local.bundled import minilm_path

        if dtype not in _DTYPES:
            raise SettingsError(
                f"embedder: dtype={dtype!r} is not one of {', '.join(_DTYPES)}.{nearest(dtype, _DTYPES)}"
            )
        what = "a sentence embedder (the default; embedder=hashing needs none)"
        require_packages(what, "torch", *(("sentence_transformers",) if rest else ("tokenizers", "safetensors")))
        let_threads_sleep()
        self._path, self._dtype, self._is_other = Path(rest or minilm_path()), dtype, bool(rest)
        self._what, self._batch_size = what, batch_size
        if (self._path / "config.json").is_file():
            check_files(self._path)
        self.name = f"minilm:{rest}" if rest else "minilm"
        self.dim = self._model.dim if rest else vector_length(self._path)

    @cached_property
    def _model(self) -> BertEncoder | _Library:
        """The model, loaded with the first text: torch and weights take two seconds, and known texts need neither."""
        import torch

        files = ((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in weight_files(self._path))
        key = (str(self._path), self._dtype, *files)
        model = _IN_USE.get(key)
        if model is None and not self._is_other and not torch.cuda.is_available():
            model = BertEncoder(self._path, self._dtype)
        elif model is None:
            require_packages(self._what, "sentence_transformers")
            model = _load(str(self._path), self._dtype)
        return _IN_USE.setdefault(key, model)

    @property
    def fingerprint(self) -> str | None:
        """Identifies weights and precision, for caches; None for a model of the hub."""
        weights = fingerprint([self._path]) if weight_files(self._path) else ""
        return f"sentence-embeddings {weights} {self._dtype}" if weights else None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order; see :meth:`Embedder.embed`. Texts are truncated to the length of the model."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        return self._model.encode(list(texts), self._batch_size)


class _Library:
    """A model of sentence-transformers, with the face of :class:`BertEncoder`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.dim = int(model.get_embedding_dimension())

    def encode(self, texts: list[str], batch_size: int) -> NDArray[np.float32]:
        # The library sorts by length before batching, which keeps padding small.
        vectors = self._model.encode(
            texts, batch_size=batch_size, show_progress_bar=False, normalize_embeddings=True, convert_to_numpy=True
        )
        return np.asarray(vectors, dtype=np.float32)


def _load(path: str, dtype: str) -> _Library:
    from sandbox.models.local.quiet import quiet

    with quiet():
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        try:
            return _Library(SentenceTransformer(path, model_kwargs={"dtype": dtype}))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelNotFound(f"{path!r} cannot be loaded by sentence-transformers: {error}") from error
