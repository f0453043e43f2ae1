"""What ``sandbox new`` writes passes its own test as written, is found once it is installed, and overwrites nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox import registry
from sandbox.cli.commands.new import KINDS, write_plugin
from sandbox.cli.main import app
from sandbox.errors import NewPluginError, UnknownPlugin


def run_tests(folder: Path) -> str:
    """Run pytest in a folder, as whoever wrote a plugin would, and give what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.needs_torch
def test_what_is_written_passes_its_own_test(tmp_path):
    """One process for the tests of all kinds: most of the time it takes is that of its imports."""
    for kind in KINDS:
        files = write_plugin(kind, f"sunny_{kind}", tmp_path / kind)
        written = {"pyproject.toml"} if kind != "scenario" else set()
        assert {path.name for path in files} == {f"sunny_{kind}.py", f"test_sunny_{kind}.py"} | written
    assert f"{2 * len(KINDS)} passed" in run_tests(tmp_path)


def test_a_check_that_fails_fails_the_test_that_is_written(tmp_path):
    """The generated test is no decoration: a rater that rates beyond the scale does not pass."""
    write_plugin("rater", "sunny", tmp_path)
    module = tmp_path / "sunny.py"
    module.write_text(module.read_text(encoding="utf-8").replace("1 + (scale - 1) * share", "8.0"), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"rater 'Sunny' violates the contract: a rating is in 1\.\.7, or None"):
        run_tests(tmp_path)


def test_every_kind_of_plugin_has_one():
    assert {registry.kind_of_many(kind) for kind in KINDS} == set(registry.KINDS)


def test_the_command_says_what_comes_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["new", "plot", "long_answers"], catch_exceptions=False)
    assert said.output == (
        "long_answers/long_answers.py\nlong_answers/test_long_answers.py\nlong_answers/pyproject.toml\n"
        "Check it with: pytest long_answers    Install it with: pip install -e long_answers\n"
    )
    said = CliRunner().invoke(app, ["new", "scenario", "village", "--json"], catch_exceptions=False)
    assert json.loads(said.output) == {
        "kind": "scenario",
        "name": "village",
        "files": ["village.py", "test_village.py"],
    }
    said = CliRunner().invoke(app, ["new", "scenario", "town"], catch_exceptions=False)
    assert said.output.endswith("Run it with: sandbox run town.py    Check it with: pytest test_town.py\n")


def test_a_new_scenario_runs_from_its_path(tmp_path):
    write_plugin("scenario", "village", tmp_path)
    command = ["run", str(tmp_path / "village.py"), "--model", "scripted:", "--size", "2", "--rounds", "1", "--json"]
    settings = ["--set", "embedder=hashing", "--set", "n_questions=2", "--out", str(tmp_path / "run")]
    said = CliRunner().invoke(app, [*command, *settings], catch_exceptions=False)
    done = json.loads(said.output)
    assert (done["interactions"], done["failed"], done["rounds"]) == (4, 0, 1)
    assert "neighbourliness" in done


def test_nothing_is_overwritten(tmp_path):
    mine = tmp_path / "test_village.py"
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(NewPluginError) as error:
        write_plugin("scenario", "village", tmp_path)
    assert str(error.value) == f"{mine} would be overwritten; choose another name or another --out"
    assert [path.name for path in tmp_path.iterdir()] == ["test_village.py"]
    assert mine.read_text(encoding="utf-8") == "mine"
    with pytest.raises(NewPluginError, match=r"the folder .*/test_village.py/x cannot be created \(Not a directory\)"):
        write_plugin("plot", "village", mine / "x")


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("trainer", "My-Trainer", "cannot be called 'My-Trainer': use a Python module name of lower-case letters, digits "
                                  "and _, for example my_trainer"),
        ("trainer", "7up", "a plugin cannot be called '7up': use a Python module name of lower-case letters, digits and _, "
                           "for example my_7up"),
        ("plot", "class", "a plugin cannot be called 'class': use a Python module name of lower-case letters, digits and _, "
                          "for example my_class"),
        ("plot", "", "a plugin cannot be called '': use a Python module name of lower-case letters, digits and _"),
        ("trainer", "sft", "a trainer named 'sft' is already installed; see: sandbox ls trainers"),
        ("rater", "json", "a plugin called 'json' would shadow the module of that name; use another name, for example "
                          "my_json"),
        ("rater", "numpy", "a plugin called 'numpy' would shadow the module of that name; use another name, for example "
                           "my_numpy"),
    ],
)  # fmt: skip
def test_names_that_cannot_be_used(kind, name, words, tmp_path):
    with pytest.raises(NewPluginError) as error:
        write_plugin(kind, name, tmp_path / "out")
    assert str(error.value).endswith(words)
    assert not (tmp_path / "out").exists()


def test_kinds_that_there_are_not(tmp_path):
    with pytest.raises(UnknownPlugin) as error:
        write_plugin("trainers", "mine", tmp_path)
    assert str(error.value) == (
        "no kind of plugin named 'trainers'. Did you mean 'trainer'? Kinds: scenario, protocol, model, rater, embedder, "
        "memory, trainer, plot"
    )
