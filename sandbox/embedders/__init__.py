"""Sentence embedders, one file per kind; ``base.py`` is their contract."""

from __future__ import annotations

from sandbox.lazy_imports import lazy_names

_HOMES = {
    "Embedder": "sandbox.embedders.base",
    "load_embedder": "sandbox.embedders.base",
    "HashingEmbedder": "sandbox.embedders.hashing",
    "SentenceEmbedder": "sandbox.embedders.sentence",
    "OpenAIEmbedder": "sandbox.embedders.openai",
}
__getattr__ = lazy_names(__name__, _HOMES)
