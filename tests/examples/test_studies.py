"""The studies: what their tables follow from, that they resume, and each of them with a tiny model."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def test_two_jurors_agree_with_the_probability_of_two_draws(load: Any) -> None:
    """Of 1, 1/2 and 0: the pairs agree with probabilities 1/2, 0 and 1/2, in the mean 1/3."""
    assert load("consensus").agree(np.array([1.0, 0.5, 0.0])) == pytest.approx(1 / 3)
    assert load("consensus").agree(np.array([0.5, 0.5])) == pytest.approx(0.5)
    assert load("consensus").agree(np.array([1.0, 1.0, 1.0])) == pytest.approx(1.0)


def test_a_table_has_means_differences_and_each_seed(load: Any) -> None:
    """Two seeds of two units: from 1 and 3 to 2 and 4, and from 2 and 4 to 5 and 5: gains 1 and 2, in the mean 1.5."""
    found = {"own payoff": [{"x before": [1, 3], "x after": [2, 4]}, {"x before": [2, 4], "x after": [5, 5]}]}
    row = load("study").difference_table(found, "x").splitlines()[2]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[1] == "own payoff"
    assert [cell.split(" ")[0] for cell in cells[2:5]] == ["2.50", "4.00", "+1.50"]
    assert cells[5] == "+1.00, +2.00"


def test_finished_units_are_not_done_again_and_seeds_may_be_added(load: Any, tmp_path: Path) -> None:
    study, done = load("study"), []

    def work(unit: Any) -> dict[str, list[float]]:
        done.append((unit.arm, unit.seed))
        return {"x before": [0.0], "x after": [float(unit.seed)]}

    def of(seeds: int) -> Any:
        return study.Study("example", tmp_path, "scripted:", seeds, {"steps": 1})

    study.run_units(of(1), work, ["a, b", "c"], 1)
    found = study.run_units(of(2), work, ["a, b", "c"], 1)
    assert done == [("a, b", 0), ("c", 0), ("a, b", 1), ("c", 1)]
    assert [one["x after"] for one in found["c"]] == [[0.0], [1.0]]
    assert (tmp_path / "a-b-1" / "result.json").exists()


def test_a_folder_of_another_size_is_refused(load: Any, tmp_path: Path) -> None:
    study = load("study")
    study.check_identity(study.Study("example", tmp_path / "out", "scripted:", 1, {"steps": 1}))
    study.check_identity(study.Study("example", tmp_path / "out", "scripted:", 3, {"steps": 1}))
    with pytest.raises(SystemExit, match="choose another --out"):
        study.check_identity(study.Study("example", tmp_path / "out", "scripted:", 1, {"steps": 2}))


def test_a_measure_that_is_missing_ends_the_study(load: Any, tmp_path: Path) -> None:
    study = load("study")
    unit = study.Unit(study.Study("example", tmp_path, "scripted:", 1, {}), "arm", 0)
    with pytest.raises(SystemExit, match="conversations failed"):
        study.do(lambda unit: {"x before": [float("nan")]}, unit)


SMALL = {
    "cooperation": "--agents 8 --rounds 1 --generations 1 --steps 2 --societies 1 --heldout-agents 4",
    "survival": "--fishers 8 --rounds 2 --months 2 --steps 2 --group 2 --societies 1",
    "consensus": "--jurors 4 --cases 2 --steps 2 --max-tokens 8",
    "mirror": "--side 3 --candidates 1 --sellers 6 --markets 4 --steps 2 --questions 2 --max-tokens 8",
}


@pytest.mark.slow
@pytest.mark.needs_torch
@pytest.mark.parametrize("name", SMALL)
def test_the_whole_study_with_a_tiny_model(name: str, tiny_lm_path: Path, tmp_path: Path) -> None:
    document = tmp_path / "studies.md"
    mark = "cooperation-public_goods" if name == "cooperation" else name
    document.write_text(f"before\n<!-- {mark} -->\n<!-- /{mark} -->\nafter\n", encoding="utf-8")
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--model", f"hf:{tiny_lm_path}", "--seeds", "1"]
    command += ["--out", str(tmp_path / "out"), "--markdown", str(document), *SMALL[name].split()]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    text = document.read_text(encoding="utf-8")
    assert f"![{mark.replace('-', ' ')}](studies/{mark}.png)" in text
    assert f"python examples/{name}.py" in text
    assert (tmp_path / "studies" / f"{mark}.png").read_bytes().startswith(b"\x89PNG")
    results = [json.loads(p.read_text(encoding="utf-8")) for p in (tmp_path / "out").rglob("result.json")]
    assert results
