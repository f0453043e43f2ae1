"""Requests and answers that tests of the remote model share."""

from __future__ import annotations

import json
from typing import Any

from stub_server import Answer, error

from sandbox.models.base import Message, Request

DIGITS = tuple("1234567")
RATE = Request((Message("user", "Rate it."),), prefix="Rating:", choices=DIGITS)
TOO_MANY = error(429, "Rate limit reached")


def ask(text: str = "hello", **fields: Any) -> Request:
    return Request((Message("system", "You are kind."), Message("user", text)), **fields)


def say(text: str, **choice: Any) -> Answer:
    """A completion that says ``text``."""
    said = {"choices": [{"message": {"content": text}, "finish_reason": "stop", **choice}]}
    return Answer(body=json.dumps(said).encode())
