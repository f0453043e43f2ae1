"""What README prints, run as printed; a tiny random model stands in the place of the bundled one, which is slow."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.models.bundled import converted_folder

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SANDBOX = [sys.executable, "-c", "import sys; sys.argv[0] = 'sandbox'; from sandbox.cli import main; main()"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path, tiny_lm_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """An environment whose cache holds a tiny model where the bundled one would be."""
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))
    shutil.copytree(tiny_lm_path, converted_folder())
    return dict(os.environ)


@pytest.mark.slow
def test_the_commands_run_in_their_order(environment: Mapping[str, str], tmp_path: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("sandbox ")]
    assert {shlex.split(line)[1] for line in lines} >= {"run", "plot", "dataset", "train", "evaluate", "report", "ls"}
    (tmp_path / "examples").symlink_to(Path(__file__).parents[1] / "examples")
    (tmp_path / "mine.txt").write_text("May I?\nMust I?\n", encoding="utf-8")
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        ended = subprocess.run([*SANDBOX, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"
    for made in ("runs/first/figures/grid.png", "rows.jsonl", "models/first/training.json", "runs/first/report.html"):
        assert (tmp_path / made).is_file(), made


@pytest.mark.slow
def test_the_python_runs(environment: Mapping[str, str], tmp_path: Path) -> None:
    found = blocks("python")
    assert found
    for block in found:
        ended = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 0, f"{block}\n{ended.stdout}{ended.stderr}"


def test_the_make_targets_are_there() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    wanted = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), flags=re.MULTILINE)
    assert {"demo", "test"} <= set(wanted)
    assert [name for name in wanted if not re.search(rf"^{name}:", makefile, flags=re.MULTILINE)] == []
