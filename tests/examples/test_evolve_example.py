"""The example of a society that evolves, with a tiny model."""

from __future__ import annotations

import runpy
from pathlib import Path


def test_the_example_runs(tiny_lm_path: Path, tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "09_evolve.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) < 60
    evolve = runpy.run_path(str(example))["evolve"]
    small = {"size": 2, "embedder": "hashing", "rater": "values", "max_tokens": 6, "reason_tokens": 6}
    result = evolve(
        tmp_path, f"hf:{tiny_lm_path}", 1, rounds=1, n_questions=4, max_tokens=6, settings=small,
        training={"epochs": 1, "progress": False},
    )  # fmt: skip
    assert [one["generation"] for one in result["generations"]] == [0, 1]
    assert (tmp_path / "evolution.png").is_file()
