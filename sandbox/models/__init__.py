"""Language models: local, remote, scripted, or those of other packages."""

from __future__ import annotations

from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.models.catalog import load_model, resolve

__all__ = ["LanguageModel", "Message", "Reply", "Request", "load_model", "resolve"]
