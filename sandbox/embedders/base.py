"""Turns texts into vectors: sentences that mean alike are near each other.

Embeddings serve memory (which remembered question is like this one?) and the ``values`` rater.
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
from sandbox.typed_settings import check_settings, parameters, typed


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
    check_settings(f"embedder {kind!r}", settings, list(parameters(made))[1:])
    hints = typing.get_type_hints(made.__init__ if inspect.isclass(made) else made)
    return CachedEmbedder(made(rest, **typed(f"embedder {kind!r}", settings, hints)))


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
