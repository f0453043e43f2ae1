"""What README and docs print, run as printed; links in them; where they lead.

A tiny random model stands in the place of the bundled one, which is slow.
"""

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
import typer
from typer.core import TyperGroup

from sandbox.cli.main import app
from sandbox.models.local.bundled import converted_folder

ROOT = Path(__file__).parents[1]
ROOMS = ("sandbox", "trainers", "scenarios", "visualize", "tests", "examples")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md")])
SANDBOX = [sys.executable, "-c", "import sys; sys.argv[0] = 'sandbox'; from sandbox.cli.main import main; main()"]


def blocks(language: str, page: str = "README.md") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path, tiny_lm_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """An environment whose cache holds a tiny model where the bundled one would be."""
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))
    shutil.copytree(tiny_lm_path, converted_folder())
    return dict(os.environ)


def commands(block: str) -> list[list[str]]:
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines() if line.startswith("sandbox ")]


def test_every_command_and_option_is_one_there_is() -> None:
    """Each is parsed as it is printed, and not run."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    pages = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    printed = [words for page in pages for block in blocks("sh", page) for words in commands(block)]
    for words in printed:
        group.commands[words[0]].make_context(words[0], words[1:])


def test_every_command_has_its_place_on_the_page_of_commands() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    text = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    assert [name for name in group.commands if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_page_is_linked_from_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"(docs/{path.name})" not in text] == []
    assert len(text.splitlines()) <= 130


@pytest.mark.slow
def test_the_loop_runs_as_printed(environment: Mapping[str, str], tmp_path: Path) -> None:
    """All of the first block but ``compare``, which asks each model some hundred questions and has tests of its own."""
    [loop, *_] = [found for block in blocks("sh") if (found := commands(block))]
    for words in loop:
        if words[0] != "compare":
            ended = subprocess.run([*SANDBOX, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert ended.returncode == 0, f"{words}\n{ended.stdout}{ended.stderr}"
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


def test_no_source_file_is_longer_than_400_lines() -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    long = {str(path.relative_to(ROOT)): n for path in files if (n := len(path.read_text("utf-8").splitlines())) > 400}
    assert long == {}


def test_the_architecture_names_every_file() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w.]+\.py", text))
    files = {p.name for room in ("sandbox", "trainers", "visualize") for p in (ROOT / room).rglob("*.py")}
    assert files - named - {"__init__.py"} == set()
