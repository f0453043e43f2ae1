"""The benchmark of language models says what it must; its numbers take a real model and minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = Path(__file__).parent / "models.py"


def test_a_row_that_is_not_there_is_refused() -> None:
    ended = subprocess.run(
        [sys.executable, str(MODELS), "--rows", "speed"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "no rows speed; there are generation, ratings, society, http" in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif("SANDBOX_BENCHMARKS" not in os.environ, reason="four minutes; SANDBOX_BENCHMARKS=1 runs it")
def test_a_row_is_measured_and_written(tmp_path: Path) -> None:
    """On a busy machine no share of time need be reached."""
    out, page = tmp_path / "found.json", tmp_path / "page.md"
    page.write_text("# Before\n<!-- models -->\nold\n<!-- /models -->\nAfter\n", encoding="utf-8")
    command = [sys.executable, str(MODELS), "--quick", "--rows", "society", "--json", str(out), "--markdown", str(page)]
    subprocess.run(command, check=True, timeout=900, capture_output=True)
    [row] = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert (row["name"], row["target"], row["at_least"]) == ("society", 0.95, True)
    assert 0 < row["measured"] <= 1
    assert "| ≥ 0.95 of the round |" in page.read_text(encoding="utf-8")
