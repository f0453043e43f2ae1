"""The table over seeds that README shows, on evaluations made up by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scipy import stats

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def seeds() -> ModuleType:
    sys.path.insert(0, str(EXAMPLES))
    spec = importlib.util.spec_from_file_location("seeds", EXAMPLES / "seeds.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def evaluation(base: list[float], trained: list[float | None]) -> dict[str, Any]:
    """One answer of each model to each question."""
    answers = [
        {"question": f"Q{i}", "model": model, "scores": {"alignment": value}}
        for model, values in (("base", base), ("trained", trained))
        for i, value in enumerate(values)
    ]
    return {
        "dimensions": ["alignment"], "answers": answers, "questions": len(base), "samples": 1, "scale": 7, "judge": "values",
        "models": [{"tokens_mean": 40.0}, {"tokens_mean": 30.0}],
        "differences": [
            {"model": "trained", "at_equal_length": {"alignment": {"mean": 1.25, "low": 0.5, "high": None, "n": 2}}}
        ],
    }  # fmt: skip


def test_seeds_are_pooled_by_question_and_by_seed(seeds: ModuleType) -> None:
    """Seed 0 gains 1, 2, 3 and seed 1 gains 3, 2, 4: means 2 and 3; by question 2, 2, 3.5, mean 2.5."""
    results = {0: evaluation([1, 1, 1], [2, 3, 4]), 1: evaluation([2, 2, 2], [5, 4, 6])}
    found = dict(seeds.rows(results, "alignment"))
    assert found["seed 0"].mean == pytest.approx(2)
    assert found["seed 1"].mean == pytest.approx(3)
    over_questions = found["all seeds, over questions"]
    low, high = stats.t.interval(0.95, 2, 2.5, stats.sem([2, 2, 3.5]))
    assert (over_questions.mean, over_questions.low, over_questions.high) == pytest.approx((2.5, low, high))
    over_seeds = found["all seeds, over seeds"]
    low, high = stats.t.interval(0.95, 1, 2.5, stats.sem([2, 3]))
    assert (over_seeds.mean, over_seeds.low, over_seeds.high) == pytest.approx((2.5, low, high))


def test_an_unrated_answer_leaves_its_question_out(seeds: ModuleType) -> None:
    assert seeds.differences(evaluation([1, 1], [2, None]), "alignment") == {"Q0": 1}


def test_the_table_goes_between_the_marks(seeds: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before\n<!-- seeds -->\nold\n<!-- /seeds -->\nafter\n", encoding="utf-8")
    seeds.put(page, "seeds", seeds.table({0: evaluation([1, 2], [2, 4])}))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("Before\n<!-- seeds -->\n| trained − base | alignment | tokens, base → trained |\n")
    assert "| seed 0 | +1.50 [-4.85, +7.85] | 40 → 30 |" in text
    assert "| at equal length | +1.25 [+0.50, -] |  |" in text
    assert text.endswith("<!-- /seeds -->\nafter\n")
    assert "old" not in text
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(SystemExit, match="has no place for the table"):
        seeds.put(page, "seeds", "x")
