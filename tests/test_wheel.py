"""What is published: the wheel, away from the checkout, alone and with a package from outside beside it.

Each test makes a fresh virtual environment. Installing torch and the other dependencies anew would take minutes and a
network, so the environment sees those of the one that runs the tests, through a ``.pth`` file with the path of its
``site-packages``. Of a folder that is named so Python reads packages but no further ``.pth`` files: the checkout, which
is installed there by one (``pip install -e``), is not seen, and ``social-sandbox`` is whatever wheel was installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

# The package from outside brings a trainer.
pytestmark = pytest.mark.needs_torch

ROOT = Path(__file__).parents[1]
ROOMS = ("sandbox", "trainers", "scenarios", "visualize")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}


def call(*command: str | Path, cwd: Path) -> str:
    """Run a command away from the checkout, and give what it printed."""
    ended = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=CLEAN, capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: what older builds left in the checkout would travel with it."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, source, cwd=place)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture
def environment(wheel, tmp_path):
    """A fresh environment with the wheel in it; its ``bin``."""
    folder = tmp_path / "venv"
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    install(folder / "bin", wheel)
    return folder / "bin"


def install(binaries: Path, package: Path) -> None:
    """Install a package from here, with nothing from elsewhere."""
    pip = (sys.executable, "-m", "pip", "--python", binaries / "python", "install", "--quiet")
    call(*pip, "--no-deps", "--no-index", "--no-build-isolation", package, cwd=binaries)


def test_the_wheel_holds_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {f"{room}/py.typed" for room in ROOMS}
    expected |= {
        "scenarios/data/value_alignment.jsonl",
        "visualize/drawing/sandbox.mplstyle",
        "visualize/templates/report.html",
        "visualize/templates/report.js",
    }
    expected |= {f"sandbox/cli/skeletons/{path.name}" for path in (ROOT / "sandbox" / "cli" / "skeletons").iterdir()}
    expected |= {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "__pycache__" not in path.parts
    }
    assert expected - names == set()
    (licence,) = [name for name in names if name.endswith("LICENSE")]
    assert ".dist-info/" in licence
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {*ROOMS, "social_sandbox"}


def test_the_wheel_works_away_from_the_checkout(environment, tmp_path):
    where = call(environment / "python", "-c", "import sandbox, trainers; print(sandbox.__file__)", cwd=tmp_path)
    assert where.startswith(str(environment.parent))
    listed = json.loads(call(environment / "sandbox", "ls", "--json", cwd=tmp_path))
    declared = {(p["name"], p["kind"]) for p in listed if p["from"] == "social-sandbox"}
    assert {("value_alignment", "scenarios"), ("stable_alignment", "trainers"), ("grid", "plots")} <= declared
    assert all(p["summary"] for p in listed)
    run = (
        "run",
        "value_alignment",
        "--model",
        "scripted:",
        "--size",
        "2",
        "--rounds",
        "1",
        "--set",
        "embedder=hashing",
    )
    done = json.loads(call(environment / "sandbox", *run, "--out", "society", "--json", cwd=tmp_path))
    assert (done["interactions"], done["failed"]) == (4, 0)
    drawn = json.loads(call(environment / "sandbox", "plot", "society", "grid", "--json", cwd=tmp_path))
    assert (tmp_path / drawn["figures"][0]).stat().st_size > 1000
    report = json.loads(call(environment / "sandbox", "report", "society", "--json", cwd=tmp_path))
    assert "<html" in (tmp_path / report["report"]).read_text(encoding="utf-8")
    written = json.loads(call(environment / "sandbox", "new", "plot", "mine", "--json", cwd=tmp_path))
    assert len(written["files"]) == 3


def test_a_package_from_outside_is_found_loaded_and_passes_its_own_tests(environment, tmp_path):
    package = shutil.copytree(ROOT / "tests" / "plugin_package", tmp_path / "package")
    install(environment, package)
    listed = json.loads(call(environment / "sandbox", "ls", "--json", cwd=tmp_path))
    theirs = {(p["kind"], p["name"], p["summary"]) for p in listed if p["from"] == "sandbox-townhall"}
    assert theirs == {
        ("scenarios", "townhall", "Questions of a small town, rated for their use to the town alone."),
        ("models", "speaker", "Says that it is for or against what it was asked; the URI's rest is a party's name."),
        ("raters", "politeness", "Rates an answer by whether it thanks anybody."),
        ("trainers", "best_of", "Imitates the best-rated answer to each question, with all weights."),
        (
            "protocols",
            "show_of_hands",
            "An agent speaks once, everybody near raises a hand or does not, and nobody speaks again.",
        ),
        ("embedders", "letters", "One number for each of 64 classes of letters."),
        ("memories", "minutes", "Recalls the last thing that the agent said or heard, whatever the question."),
        ("plots", "speaking_time", "How long each agent has spoken, in words or letters."),
    }
    # All of them in one society: its scenario brings the protocol, its model the rater.
    run = ("run", "townhall", "--model", "speaker:green", "--size", "2", "--rounds", "1", "--set", "embedder=letters")
    done = json.loads(call(environment / "sandbox", *run, "--out", "society", "--json", cwd=tmp_path))
    assert (done["interactions"], done["failed"], done["use"]) == (4, 0, 5.0)
    drawn = json.loads(call(environment / "sandbox", "plot", "society", "speaking_time", "--json", cwd=tmp_path))
    assert (tmp_path / drawn["figures"][0]).stat().st_size > 1000
    # Away from its sources, so that what is tested is what was installed.
    tests = shutil.copytree(package / "tests", tmp_path / "their_tests")
    said = call(environment / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, cwd=tests)
    assert "8 passed" in said
