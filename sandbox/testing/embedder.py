"""Checks the contract of embedders on a few sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox import registry
from sandbox.testing.contract import Promises, called

_TEXTS = (
    "How do I get on with my neighbour?",
    "May I read a letter that is not mine?",
    "¿Debo decir siempre la verdad? 我应该总是说实话吗？",
    "",
    "word " * 2000,
)


def check_embedder(embedder: Any, *, texts: Sequence[str] = _TEXTS, tolerance: float = 1e-5) -> None:
    """Check the contract of an embedder.

    * It has a ``name``, and the length of its vectors, ``dim``.
    * ``embed`` returns one float32 vector of length 1 per text, in order; also for no texts, an empty text and a very
      long text.
    * A text has the same vector alone, in a batch and in any order: memory and ratings depend on this.
    * Different texts have different vectors.

    Args:
        embedder: Its name (``name:rest``, as in settings), or an embedder.
        texts: Texts to embed, all different.
        tolerance: Largest absolute difference between two vectors of the same text.

    Raises:
        BrokenPromise: the message states the requirement, what was found, and how to fix it.
    """
    promises = called("embedder", embedder)
    with promises.work(
        "it is created from the text after its name",
        "let __init__ take that text as its first argument, which may be ''",
    ):
        if isinstance(embedder, str):
            kind, _, rest = embedder.partition(":")
            # Not load_embedder, whose cache would hide differences between batches.
            embedder = registry.load("embedders", kind)(rest)
    promises.hold(
        isinstance(embedder.name, str) and embedder.name and isinstance(embedder.dim, int) and embedder.dim > 0,
        "it has a name, which manifests record, and a dim",
        f"name {embedder.name!r}, dim {embedder.dim!r}",
        "set self.name to a text and self.dim to the length of its vectors in __init__",
    )
    with promises.work("it embeds any list of texts", "let embed take empty, long and foreign texts"):
        nothing, vectors = embedder.embed([]), embedder.embed(list(texts))
    for found, n in ((nothing, 0), (vectors, len(texts))):
        shape = getattr(found, "shape", None)
        promises.hold(
            shape == (n, embedder.dim) and found.dtype == np.float32,
            "embed returns a float32 array of shape [texts, dim]",
            f"shape {shape} of {getattr(found, 'dtype', type(found).__name__)} for {n} texts, dim {embedder.dim}",
            "return np.asarray(vectors, dtype=np.float32).reshape(len(texts), self.dim)",
        )
    lengths = np.linalg.norm(vectors, axis=1)
    promises.hold(
        bool(np.all(np.abs(lengths - 1) < 1e-3)),
        "every vector has length 1, so that a dot product is a cosine",
        f"lengths {np.round(lengths, 4).tolist()}",
        "divide each vector by its length, and return any unit vector for a text without features",
    )
    _check_same(promises, embedder, texts, vectors, tolerance)


def _check_same(promises: Promises, embedder: Any, texts: Sequence[str], vectors: Any, tolerance: float) -> None:
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    turned = embedder.embed(list(reversed(texts)))[::-1]
    for how, other in (("alone", alone), ("in another order", turned)):
        worst = np.abs(other - vectors).max(axis=1)
        place = int(worst.argmax())
        promises.hold(
            worst[place] <= tolerance,
            "the vector of a text does not depend on the batch",
            f"{texts[place][:40]!r} differs by {worst[place]:.2g} when it is embedded {how}",
            "return vectors in the order of the texts; compute in float64 if rounding is the cause",
        )
    near = vectors @ vectors.T - np.eye(len(texts), dtype=np.float32)
    promises.hold(
        near.max() < 0.9999,
        "different texts have different vectors",
        "two of the texts have the same vector",
        "check the keys of caches, and the truncation of texts",
    )
