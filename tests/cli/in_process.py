"""How the command line is called in this process, and what it answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence

import pytest

Sandbox = Callable[..., "Ended"]
SCRIPTED = ("--model", "scripted:", "--set", "embedder=hashing")


class Ended:
    """How a command ended: its exit code, what it printed, and what it said on standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def said(self) -> dict:  # type: ignore[type-arg]
        return dict(json.loads(self.out))


def call(arguments: Sequence[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ended:
    """Run a command as it is typed, in this process and the folder of the test."""
    from sandbox.cli.main import main

    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["sandbox", *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr()
    return Ended(code, said.out, said.err)


def society(sandbox: Sandbox, *arguments: object) -> Ended:
    return sandbox("run", "value_alignment", *SCRIPTED, "--size", 3, *arguments)
