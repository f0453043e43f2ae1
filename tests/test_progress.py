"""Progress in a log: a line at every tenth, and at least one every ten seconds while nothing ends."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from sandbox import progress as module
from sandbox.progress import progress


def test_a_log_is_never_silent_for_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "_EVERY_S", 0.05)
    with progress("simulating", 100) as show:
        show(5, "round 1 of 2")
        time.sleep(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "simulating:   0% after 0 s"
    assert "simulating:   5% after 0 s round 1 of 2" in lines[1:-1]
    assert 3 <= len(lines) <= 13
    assert lines[-1].startswith("simulating: 100% after")
    assert lines[-1].endswith("done")


def test_every_tenth_is_a_line_and_nothing_follows_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("evaluating", 20) as show:
        for _ in range(20):
            show(1)
    lines = capsys.readouterr().err.splitlines()
    shares = [int(line.split()[1].rstrip("%")) for line in lines]
    assert (shares[0], shares[-1]) == (0, 100)
    assert 10 <= len(shares) <= 12
    assert all(10 <= after - before <= 15 for before, after in pairwise(shares[:-1]))


def test_an_error_ends_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="stop"), progress("evaluating", 20):
        raise ValueError("stop")
    assert "done" not in capsys.readouterr().err
