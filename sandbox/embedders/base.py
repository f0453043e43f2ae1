"""Turns texts into vectors: sentences that mean alike are near each other.

Embeddings serve memory (which remembered question is like this one?) and the ``values`` rater.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import typing
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sandbox import registry
from sandbox.errors import ModelNotFound, SettingsError, nearest

_DTYPES = ("float64", "float32", "bfloat16", "float16")


class Embedder(Protocol):
    """What every embedder promises.

    ``name`` says which it is in manifests; ``dim`` is the length of its vectors.
    """

    name: str
    dim: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order.

        Returns:
            float32 [texts, dim], each row of length 1.
        """
        ...


def load_embedder(name: str | Embedder, **settings: Any) -> Embedder:
    """Find an embedder by name; one that is an embedder already passes through.

    Args:
        name: ``minilm``, ``hashing``, ``openai``, or an installed plugin's; ``name:rest`` passes ``rest`` on, as
            ``minilm:./my-sentence-model`` or ``openai:NAME@http://host:8000/v1``.
        **settings: Of that embedder.

    Returns:
        The embedder behind a :class:`CachedEmbedder`, so that each distinct text is embedded once.

    Raises:
        UnknownPlugin: nothing of that name is installed.
        ModelNotFound: its model is not there.
        SettingsError: a setting is unknown.
    """
    if not isinstance(name, str):
        return name
    kind, _, rest = name.partition(":")
    made = registry.load("embedders", kind)
    registry.check_settings(f"embedder {kind!r}", settings, list(registry.parameters(made))[1:])
    hints = typing.get_type_hints(made.__init__ if inspect.isclass(made) else made)
    return CachedEmbedder(made(rest, **registry.typed(f"embedder {kind!r}", settings, hints)))


class CachedEmbedder:
    """Another embedder that remembers its latest results.

    Args:
        inner: Does the work.
        size: How many texts are remembered at most; the one that was asked for longest ago is forgotten first.
    """

    def __init__(self, inner: Embedder, size: int = 65536) -> None:
        if size < 1:
            raise SettingsError(f"a cache of {size} embeddings cannot work; give at least 1")
        self.name = inner.name
        self.dim = inner.dim
        self.inner = inner
        self._size = size
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order; see :meth:`Embedder.embed`."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        vectors = dict(zip(fresh, self.inner.embed(fresh), strict=True)) if fresh else {}
        found = np.empty((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            if text in vectors:
                found[row] = vectors[text]
            else:
                found[row] = self._known[text]
                self._known.move_to_end(text)
        for text, vector in vectors.items():
            # A copy: a view would keep the whole batch in memory.
            self._known[text] = vector.copy()
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return found


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


_WORD = re.compile(r"\w+")


class HashingEmbedder:
    """Vectors of hashed words and letter triples: no model, no download, the same in every process.

    Texts with the same words are near each other; it knows nothing of meaning. Each word counts 1 and each triple
    of letters, with the word's ends marked, 1/2, as in fastText's subword features (arXiv:1607.04606). The sign of a
    feature comes from its hash, so that collisions cancel on average (Weinberger et al., arXiv:0902.2206).

    Args:
        rest: Not used; every embedder is made alike.
        dim: Length of the vectors.
    """

    def __init__(self, rest: str = "", *, dim: int = 256) -> None:
        del rest
        if dim < 1:
            raise SettingsError(f"vectors of {dim} numbers cannot work; give dim=1 or more")
        self.name = "hashing" if dim == 256 else f"hashing:{dim}"
        self.dim = dim

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in order; see :meth:`Embedder.embed`."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            # A text without a word still needs a direction.
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
