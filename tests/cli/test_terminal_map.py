"""The map that `sandbox run` shows on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.progress import on_terminal, progress


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX's")
def test_a_terminal_shows_the_map_and_a_log_does_not(tmp_path: Path) -> None:
    """The same run on a pseudo-terminal and into a pipe: squares are coloured on the first alone."""
    import pty

    words = [sys.executable, "-m", "sandbox", "run", "value_alignment", "--model", "scripted:", "--size", "6"]
    words += ["--rounds", "3", "--in-flight", "4", "--set", "embedder=hashing", "--out"]
    env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "90", "LINES": "30"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*words, str(tmp_path / "shown")], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    seen = b""
    with suppress(OSError):  # the terminal hangs up when the process ends
        while piece := os.read(ours, 65_536):
            seen += piece
    assert process.wait() == 0
    assert b"\x1b[38;2;" in seen
    assert b";48;2;" in seen
    assert b"round 3 of 3: rating" in seen
    logged = subprocess.run([*words, str(tmp_path / "logged")], capture_output=True, text=True, env=env, check=True)
    assert "\x1b" not in logged.stdout + logged.stderr
    assert "simulating:   0% after 0 s" in logged.stderr
    assert "round 3 of 3: rating" in logged.stdout


def test_a_command_in_a_notebook_prints_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There standard error is a pseudo-terminal, whose cursor cannot move up."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    assert on_terminal()
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert not on_terminal()
    with progress("simulating", 1):
        pass
    assert capsys.readouterr().err.splitlines()[0] == "simulating:   0% after 0 s"
