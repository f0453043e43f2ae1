"""The benchmark itself runs, and says what it must."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = Path(__file__).parent / "engine.py"


def test_it_measures_and_writes_what_it_found(tmp_path: Path) -> None:
    """Each of 100 agents makes 14 calls an interaction: a draft, four ratings with their reasons, a revision, and an
    observer's two ratings of both answers."""
    out, page = tmp_path / "found.json", tmp_path / "page.md"
    page.write_text("# Before\n<!-- engine -->\nold\n<!-- /engine -->\nAfter\n", encoding="utf-8")
    command = [sys.executable, str(ENGINE), "--quick", "--rows", "cpu", "--json", str(out), "--markdown", str(page)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "engine CPU per interaction" in ended.stdout
    said = json.loads(out.read_text(encoding="utf-8"))
    assert said["quick"] is True
    [row] = said["rows"]
    assert (row["name"], row["unit"], row["target"]) == ("cpu", "ms", 1.0)
    assert row["details"]["calls_each"] == 14
    assert row["measured"] > 0
    assert row["reached"] == (row["measured"] <= 1.0)
    before, _, head, rule, line, _, how, after, *_ = page.read_text(encoding="utf-8").split("\n")
    assert (before, rule, after) == ("# Before", "| --- | --- | --- | --- | --- |", "<!-- /engine -->")
    assert head == "| what | authors' release | target | measured | result |"
    assert line.endswith(f" | {row['measured']:.2f} | {'pass' if row['reached'] else 'fail'} |")
    assert how.startswith(f"Measured on {said['machine']['cores']} cores with Python ")


def test_a_row_that_is_not_there_is_refused() -> None:
    ended = subprocess.run(
        [sys.executable, str(ENGINE), "--rows", "speed"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "no rows speed; there are in_process, http, cpu, rounds, agents, million" in ended.stderr


@pytest.mark.slow
def test_every_row_can_be_measured(tmp_path: Path) -> None:
    """What other processes take of the machine may cost any row its target in time; memory is what it is."""
    out = tmp_path / "found.json"
    subprocess.run([sys.executable, str(ENGINE), "--quick", "--json", str(out)], check=True, timeout=300)
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert [row["name"] for row in rows] == ["in_process", "http", "cpu", "rounds", "agents", "million", "million"]
    [memory] = [row for row in rows if row["name"] == "million" and row["unit"] == "GB"]
    assert memory["reached"]
