"""The contract of embedders: texts -> vectors, near each other for similar meanings.

Embeddings are used by memory, to find similar questions, and by the ``values`` rater.
"""

from __future__ import annotations

import inspect
import typing
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sandbox import registry
from sandbox.errors import SettingsError
from sandbox.plugin_defaults import complete, construct
from sandbox.typed_settings import check_settings, parameters, typed


class Embedder(Protocol):
    """The interface of an embedder.

    ``name`` identifies it in manifests; ``dim`` is the length of its vectors.
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
    """Load an embedder by name.

    Args:
        name: ``minilm``, ``hashing``, ``openai``, or an installed plugin; ``name:rest`` passes on ``rest``, for example
            ``minilm:./my-sentence-model`` or ``openai:NAME@http://host:8000/v1``. An embedder needs only ``embed``.
        **settings: Settings of the embedder.

    Returns:
        The embedder behind a :class:`CachedEmbedder`, so that each distinct text is embedded once.

    Raises:
        UnknownPlugin: no embedder has that name.
        ModelNotFound: its model does not exist.
        SettingsError: a setting is unknown.
        BrokenPlugin: it has no ``embed``, or its plugin cannot be called with the text after its name.
    """
    if not isinstance(name, str):
        return _completed(name, type(name).__name__)
    kind, _, rest = name.partition(":")
    made = registry.load("embedders", kind)
    check_settings(f"embedder {kind!r}", settings, list(parameters(made))[1:])
    hints = typing.get_type_hints(made.__init__ if inspect.isclass(made) else made)
    owner = f"embedder {kind!r}"
    return CachedEmbedder(_completed(construct(owner, made, rest, typed(owner, settings, hints)), kind))


def _completed(given: Any, name: str) -> Embedder:
    """An embedder with its name and the length of its vectors, which it needs to define only ``embed`` for."""
    found: Embedder = complete(
        "embedder", given, "embed", {"name": lambda: name, "dim": lambda: int(np.shape(given.embed(["a"]))[1])}
    )
    return found


class CachedEmbedder:
    """An embedder with a cache of its latest results.

    Args:
        inner: The embedder.
        size: Maximum number of cached texts; the least recently used is dropped first.
    """

    def __init__(self, inner: Embedder, size: int = 65536) -> None:
        if size < 1:
            raise SettingsError(f"size={size} of the cache of embeddings must be at least 1")
        self.name = inner.name
        self.dim = inner.dim
        self.inner = inner
        self.fingerprint: str | None = getattr(inner, "fingerprint", None)
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
