"""The command line in this process, and the shell of the fuzz of all commands."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
from fuzz_shell import LONGEST_S, SCENARIO, Shell
from in_process import Sandbox, call

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


@pytest.fixture
def sandbox(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """Runs the command line in this process, in an empty folder: ``sandbox("run", "value_alignment", ...)``."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(arguments, monkeypatch, capsys)
