"""The example of a protocol of one's own runs as its docstring says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "03_own_protocol.py"


def test_it_runs_alone() -> None:
    """Three conversations of four lines, in the middle of a 3x3 world with two to four neighbours, and a last line."""
    ended = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True, timeout=120)
    lines = ended.stdout.splitlines()
    assert len(lines) == 13
    assert [line.split(":")[0].strip() for line in lines[:4]] == ["Agent 1 was asked", "first", "others", "then"]
    assert lines[2].count(" / ") == 1
    assert lines[-1].startswith("alignment by round: [")
    assert len(EXAMPLE.read_text().splitlines()) < 60


def test_it_runs_from_a_shell(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sandbox", "run", "value_alignment", "--protocol", str(EXAMPLE), "--model", "scripted:",
         "--set", "embedder=hashing", "--size", "3", "--rounds", "1", "--out", str(tmp_path / "run"), "--json"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    said = json.loads(ended.stdout)
    assert (said["interactions"], said["failed"], said["rounds"]) == (9, 0, 1)
    # A draft, two to four neighbours', and four ratings; then a revision, where all did not agree.
    assert said["calls"] == 9 * (1 + 2 + 1 + 2) + 24
