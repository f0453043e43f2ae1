"""Memories of agents, one file per kind; ``base.py`` is their contract."""

from __future__ import annotations

from sandbox.lazy_imports import lazy_names

_HOMES = {
    "Memory": "sandbox.memories.base",
    "load_memory": "sandbox.memories.base",
}
__getattr__ = lazy_names(__name__, _HOMES)
