"""The page on the library of scenarios, from societies of made-up sentences: whole, resumable, and adding seeds."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sandbox import registry

SOME = ("code_of_conduct", "commons", "norm_emergence")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "scenarios_page", Path(__file__).parents[2] / "examples" / "library.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_scenario_has_its_words_its_table_and_its_picture(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(script.LIBRARY) == {p.name for p in registry.plugins("scenarios") if p.package == "social-sandbox"}
    some = {name: (2, points) for name, (_, points) in script.LIBRARY.items() if name in SOME}
    monkeypatch.setattr(script, "LIBRARY", some)
    monkeypatch.setattr(script, "BASELINE_GAMES", 50)
    found = script.runs(1, "scripted:", tmp_path / "runs", embedder="hashing")
    stamps = {
        run.path: (run.path / "run.sqlite").stat().st_mtime_ns for p in found.values() for r in p.values() for run in r
    }
    found = script.runs(1, "scripted:", tmp_path / "runs", embedder="hashing")
    assert {path: (path / "run.sqlite").stat().st_mtime_ns for path in stamps} == stamps
    assert script.runs(3, "scripted:", tmp_path / "runs", finished=True).keys() == found.keys()
    pictures = script.draw(found, tmp_path / "figures")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.values())
    text = script.page(found, 1, "scripted:", pictures)
    for name in SOME:
        assert f"## {name}\n" in text
    assert "| `talk=true` | 1 | stock | " in text
    assert "| `talk=false` | 1 | stock | " in text
    assert "Without language (`scenarios/naming_game.py`, 50 runs on the same grid) consensus takes" in text


def test_it_runs_as_a_script() -> None:
    """A script's own folder comes first on the path: it must not hide a room of that name."""
    script = Path(__file__).parents[2] / "examples" / "library.py"
    said = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=True, timeout=120
    )
    assert "--finished" in said.stdout


def test_a_mean_over_seeds_in_words(script: ModuleType) -> None:
    """1, 3, 1 and 3: mean 2, standard error 0.577, t(3) = 3.182."""
    assert script.in_words([1.0, 3.0, 1.0, 3.0]) == "2.00 [0.16, 3.84]"
    assert script.in_words([1.0, 3.0]) == "2.00 (1.00, 3.00)"
    assert script.in_words([1.0, None]) == "1.00 (1 of 2 seeds)"
    assert script.in_words([None]) == "–"


def test_the_page_describes_the_scenarios_as_they_are_now(script: ModuleType) -> None:
    """Their descriptions stand there word for word; results are measured again only where the scenario changes."""
    page = (Path(__file__).parents[2] / "scenarios" / "README.md").read_text(encoding="utf-8")
    described = {name: (importlib.import_module(f"scenarios.{name}").__doc__ or "").strip() for name in script.LIBRARY}
    assert [name for name, words in described.items() if f"## {name}\n\n{words}\n" not in page] == []
