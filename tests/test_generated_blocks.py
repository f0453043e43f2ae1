"""Code and commands of the pages that the site makes from the program: tutorials, trainers, the gallery, and examples.

A tiny random model stands in the place of the bundled one where something is trained, and ``scripted:`` where agents speak.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.cli.main import app
from sandbox.models.local.bundled import converted_folder
from sandbox.registry import plugins
from sandbox.testing import tiny_lm, tiny_run

pytestmark = pytest.mark.needs_torch

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted(path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md"))
BUILT_IN = [plugin.name for plugin in plugins("trainers") if plugin.value.startswith("trainers.")]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
SCRIPTED = "--model scripted: --set embedder=hashing"
# What learns from a whole society, or samples answers, is given fewer of them; options and settings that its page leaves open.
SMALLER = {
    "society_grpo": {"scenario": "prisoners", "others": "scripted:", "episodes": 1, "group": 2, "rounds": 1},
    "grpo": {"max_steps": 1, "max_tokens": 8},
    "rloo": {"max_steps": 1, "max_tokens": 8},
}


# Commands of examples that name a run of yours; tests/test_page_commands.py runs those of docs/surveys.md.
NOT_RUN = ("sandbox survey RUN QUESTIONS.csv --at 0,last", "sandbox validate RUN HUMAN.csv --by side")


def commands(path: Path) -> list[str]:
    """The commands in the docstring of an example."""
    docs = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return [line.strip() for line in docs.splitlines() if line.strip().startswith(("sandbox ", "python "))]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", page, flags=re.MULTILINE | re.DOTALL)


def sandbox(line: str, more: str = "") -> None:
    words = [*shlex.split(line, comments=True)[1:], *shlex.split(more)]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, f"{shlex.join(words)}\n{ended.output[-2000:]}\n{ended.exception!r}"


TRAINING = [path for path in EXAMPLES if any(line.startswith("sandbox train ") for line in commands(path))]


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``runs/first``, and a cache in which a tiny model is the bundled one."""
    folder = tmp_path_factory.mktemp("first")
    tiny_run(folder / "runs" / "first", rounds=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_CACHE", str(folder / "cache"))
        tiny_lm(converted_folder())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs(name: str, docs_site: Callable[[str], Any]) -> None:
    made = docs_site("tutorials")
    shown = made.run_page(docs_site("pieces").source(name), name)
    assert any(one.output for one in shown)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_page_of_a_trainer_runs(
    name: str, trained_on: Path, docs_site: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its command, and then the same in Python, which finds the command's folder and is given another."""
    monkeypatch.setenv("SANDBOX_CACHE", str(trained_on / "cache"))
    monkeypatch.chdir(trained_on)
    pages = docs_site("trainer_pages")
    page = pages._command(name, dict(pages.built_in_trainers())[name])
    [command], [code] = blocks(page, "sh"), blocks(page, "python")
    settings = SMALLER.get(name, {})
    sandbox(command, " ".join(f"--set {key}={value}" for key, value in settings.items()))
    assert (trained_on / "models" / name / "training.json").is_file()
    given = "".join(f", {key}={value!r}" for key, value in settings.items())
    code = code.replace("epochs=1", f"epochs=1{given}", 1).replace(f"models/{name}", f"models/{name}-again")
    exec(compile(code, f"trainers/{name}.md", "exec"), {"__name__": "page"})
    assert (trained_on / "models" / f"{name}-again" / "training.json").is_file()


def test_the_commands_of_the_gallery_run(
    docs_site: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = docs_site("gallery")
    pages: list[str] = []
    monkeypatch.setattr(gallery, "write", lambda name, text: pages.append(text))
    gallery.write_gallery()
    monkeypatch.chdir(tmp_path)
    commands = [line.strip() for block in blocks(pages[0], "sh") for line in block.splitlines()]
    assert commands == [f"sandbox run {one.name}" for one in plugins("scenarios") if one.package == "social-sandbox"]
    for line in commands:
        sandbox(line, f"{SCRIPTED} --rounds 1")


def run_example(path: Path) -> None:
    """What is run with ``python`` is the example itself, whose function test_examples.py calls."""
    Path("examples").symlink_to(ROOT / "examples")
    for line in commands(path):
        if line.startswith("python -c "):
            exec(compile(shlex.split(line)[2], path.name, "exec"), {})
        elif line.startswith("python "):
            assert line.split()[1] == f"examples/{path.name}"
        elif line not in NOT_RUN:
            sandbox(line, SCRIPTED if line.startswith("sandbox run") else "")


@pytest.mark.parametrize("path", [one for one in EXAMPLES if one not in TRAINING], ids=lambda path: path.stem)
def test_the_commands_of_an_example_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(path)


@pytest.mark.slow
@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_the_commands_of_an_example_that_trains_run(
    path: Path, trained_on: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_CACHE", str(trained_on / "cache"))
    monkeypatch.chdir(tmp_path)
    run_example(path)


def test_commands_that_are_not_run_are_in_an_example() -> None:
    assert set(NOT_RUN) <= {line for path in EXAMPLES for line in commands(path)}
