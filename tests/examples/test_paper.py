"""The paper in miniature: what its verdicts follow from, and the whole of it with a tiny model."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import paper_claims

    return paper_claims


def between(low: float, high: float) -> dict[str, float]:
    return {"mean": (low + high) / 2, "low": low, "high": high}


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([between(0.1, 0.5), between(0.2, 0.3)], "held"),
        ([between(0.1, 0.5), between(-0.3, -0.1)], "did not hold"),
        ([between(0.1, 0.5), between(-0.3, 0.1)], "undecided"),
        ([between(math.nan, math.nan)], "undecided"),
        ([], "undecided"),
    ],
)
def test_verdicts(claims: Any, differences: list[dict[str, float]], expected: str) -> None:
    assert claims.verdict(differences) == expected


def write_result(folder: Path, plain: dict[str, float], pressed: dict[str, float], status: str = "done") -> None:
    folder.mkdir(parents=True)
    scores = {"heldout alignment": plain, "adversarial alignment": pressed}
    (folder / "result.json").write_text(json.dumps({"status": status, "scores": scores}), encoding="utf-8")


def test_differences_are_paired_by_question_after_averaging_over_seeds(claims: Any, tmp_path: Path) -> None:
    """Ours: a (5+7)/2 = 6, b 4; loses 1 and 2. SFT: a 3, b 3; loses 2 and 2. Ours is 3 and 1 above, and loses 1 and 0 less."""
    folder = tmp_path / "comparisons" / "all"
    write_result(folder / "stable_alignment-0", {"a": 5, "b": 4}, {"a": 4, "b": 2})
    write_result(folder / "stable_alignment-1", {"a": 7, "b": 4}, {"a": 6, "b": 2})
    write_result(folder / "sft-0", {"a": 3, "b": 3}, {"a": 1, "b": 1})
    write_result(folder / "sft-1", {}, {}, status="failed")
    write_result(tmp_path / "comparisons" / "without-imitation" / "stable_alignment-0", {"a": 6, "b": 2}, {})
    steadiness = {
        "rrhf": {"0": {"margin": [0.5, 0.7, 0.4]}, "1": {"margin": [0.5, 0.5]}},
        "stable_alignment": {"0": {"margin": [0.5, 0.5, 0.6]}, "1": {"margin": [0.5]}},
    }
    first, second, third, fourth = claims.answer_claims(tmp_path, 2, steadiness)
    assert (first["differences"]["sft"]["mean"], first["differences"]["sft"]["n"]) == (2, 2)
    assert second["differences"]["sft"]["mean"] == 0.5
    assert third["differences"]["imitation"]["mean"] == 1
    # Up 0.2 and down 0.3 makes 0.5 for -0.1, over two steps; the other only rises. Seed 1 has a course of one point only.
    assert (fourth["differences"]["rrhf"]["mean"], fourth["differences"]["rrhf"]["n"]) == (pytest.approx(0.2), 1)
    assert first["verdict"] == fourth["verdict"] == "undecided"


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import paper_power

    return paper_power


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (0.2, 199), (1.0, 10)])
def test_the_number_of_pairs_for_a_power_of_80_percent(power: Any, effect: float, n: int) -> None:
    """As in tables of the paired t test, two-sided at 5% (Cohen 1988; G*Power: 34, 199 and 10)."""
    assert power.needed(effect, 1.0) == n
    assert power.needed(-2 * effect, 2.0) == n
    assert power.needed(0.0, 1.0) is None
    assert power.needed(1.0, math.nan) is None


def test_the_spread_behind_an_interval_and_what_a_form_would_cost(power: Any) -> None:
    """Differences 1, 2, 3 have the mean 2 and the standard deviation 1; 0.3 of it takes 90 pairs, 2 of it 5 pairs."""
    from sandbox import mean_interval

    found = mean_interval([1.0, 2.0, 3.0])._asdict()
    assert power.spread(found) == pytest.approx(1.0)
    claims = [{"differences": {"sft": found}}, {"differences": {"rrhf": {**found, "n": 1}}}]
    text = power.power_table(
        {"claims": claims, "size": {"questions": 9}, "seconds": 600, "seconds_of": {"comparison": 540, "data": 60}}, 1.0
    )
    assert "| 1 | sft | questions | 3 | 1 | 90 | 5 |" in text
    assert "| 2 | rrhf | seeds | 1 | - | - | - |" in text
    assert "To tell claims 1 to 3 takes 90 questions: at most 91 minutes" in text


@pytest.mark.slow
def test_the_whole_paper_with_a_tiny_model(tiny_lm_path: Path, tmp_path: Path) -> None:
    """A scripted model speaks: the answers of a random model are all rated alike, which makes no pairs."""
    document = tmp_path / "paper.md"
    document.write_text("before\n<!-- paper -->\nwhat stood here\n<!-- /paper -->\nafter\n", encoding="utf-8")
    words = [
        "--quick", "--model", f"hf:{tiny_lm_path}", "--speaker", "scripted:",
        "--judge", "values", "--embedder", "hashing", "--max-tokens", "6", "--side", "2", "--tokens",
        "400", "--questions", "3", "--pairs", "4", "--probe-pairs", "4", "--probes", "2", "--workers", "2", "--out", "paper",
        "--markdown", "paper.md",
    ]  # fmt: skip
    command = [sys.executable, str(EXAMPLES / "paper.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- paper -->\n### What held")
    assert text.endswith("<!-- /paper -->\nafter\n")
    assert "what stood here" not in text
    for name in ("sft", "hindsight", "rrhf", "dpo", "grpo", "stable_alignment"):
        assert f"| {name} | " in text
    assert all(f"| {number} | " in text for number in range(1, 5))
    again = subprocess.run([*command, "--tables"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (again.returncode, document.read_text(encoding="utf-8")) == (0, text)
