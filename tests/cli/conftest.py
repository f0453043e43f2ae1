"""The shell of the fuzz of all commands."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
from fuzz_shell import LONGEST_S, SCENARIO, Shell

COMMAND = cache(typer.main.get_command)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("typer.main.get_command", COMMAND)  # built once: it takes longer than most commands
    Path("two.py").write_text(SCENARIO, encoding="utf-8")

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"not ended after {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, late)
    yield Shell()
    signal.signal(signal.SIGALRM, before)
