"""What an embedder promises, put to the test on a few sentences."""

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
    """Check that an embedder does what embedders promise.

    * It has a ``name`` and a length of vectors, ``dim``.
    * ``embed`` gives one float32 vector of length 1 for each text, in order, also for none, for an empty text and for
      a very long one.
    * A text has the same vector alone, in a batch and in another order: memory and ratings must not depend on it.
    * Other texts have other vectors.

    Args:
        embedder: Its name (``name:rest`` as in settings), or an embedder.
        texts: What to embed, no two alike.
        tolerance: How far a number of the same text's vectors may differ.

    Raises:
        BrokenPromise: says which promise, what was found, and how to mend it.
    """
    promises = called("embedder", embedder)
    with promises.work("it is made from the text behind its name", "let its __init__ take that text first, and '' too"):
        if isinstance(embedder, str):
            kind, _, rest = embedder.partition(":")
            # Not load_embedder, whose cache would hide what a text gives in another batch.
            embedder = registry.load("embedders", kind)(rest)
    promises.hold(
        isinstance(embedder.name, str) and embedder.name and isinstance(embedder.dim, int) and embedder.dim > 0,
        "it has a name, which manifests keep, and a dim",
        f"name {embedder.name!r}, dim {embedder.dim!r}",
        "set self.name to a text and self.dim to the length of its vectors in __init__",
    )
    with promises.work("it embeds any list of texts", "let embed take empty, long and foreign texts"):
        nothing, vectors = embedder.embed([]), embedder.embed(list(texts))
    for found, n in ((nothing, 0), (vectors, len(texts))):
        shape = getattr(found, "shape", None)
        promises.hold(
            shape == (n, embedder.dim) and found.dtype == np.float32,
            "embed gives a float32 array of shape [texts, dim]",
            f"shape {shape} of {getattr(found, 'dtype', type(found).__name__)} for {n} texts, dim {embedder.dim}",
            "return np.asarray(vectors, dtype=np.float32).reshape(len(texts), self.dim)",
        )
    lengths = np.linalg.norm(vectors, axis=1)
    promises.hold(
        bool(np.all(np.abs(lengths - 1) < 1e-3)),
        "every vector has length 1, so that a product is a cosine",
        f"lengths {np.round(lengths, 4).tolist()}",
        "divide each vector by its length, and give a text without features some direction",
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
            "a text has the same vector whatever it is embedded with",
            f"{texts[place][:40]!r} differs by {worst[place]:.2g} when it is embedded {how}",
            "return vectors in the order of the texts; compute in float64 if rounding is at fault",
        )
    near = vectors @ vectors.T - np.eye(len(texts), dtype=np.float32)
    promises.hold(
        near.max() < 0.9999,
        "other texts have other vectors",
        "two of the texts have the same vector",
        "look for a cache keyed too coarsely, or texts cut off at their beginning",
    )
