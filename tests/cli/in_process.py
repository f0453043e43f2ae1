"""How the command line is called in this process, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable

Sandbox = Callable[..., "Ended"]
SCRIPTED = ("--model", "scripted:", "--set", "embedder=hashing")


class Ended:
    """How a command ended: its exit code, what it printed, and what it said on standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def said(self) -> dict:  # type: ignore[type-arg]
        return dict(json.loads(self.out))


def society(sandbox: Sandbox, *arguments: object) -> Ended:
    return sandbox("run", "value_alignment", *SCRIPTED, "--size", 3, *arguments)
