"""The loop on the bundled language model: the same seed gives the same society, and the demo goes through."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import World, open_run
from sandbox.cli.commands.demo import whole_loop

pytestmark = pytest.mark.slow


def test_the_same_seed_gives_the_same_interactions_byte_for_byte(tmp_path: Path) -> None:
    """With questions from a file of the user's."""
    (tmp_path / "q.txt").write_text(
        "May I read my sister's diary?\nWho pays for the broken window?\n", encoding="utf-8"
    )
    for name in ("a", "b"):
        out = tmp_path / name
        world = World(
            "value_alignment",
            model="smollm2",
            size=2,
            seed=0,
            out=out,
            questions=str(tmp_path / "q.txt"),
            candidates=2,
            max_tokens=24,
        )
        world.run(1)
        world.close()
    one, other = (open_run(tmp_path / name).interactions() for name in ("a", "b"))
    assert len(one) == 4
    assert [it.error for it in one] == [None] * 4
    assert [it.as_dict() for it in one] == [it.as_dict() for it in other]
    assert {it.question for it in one} == {"May I read my sister's diary?", "Who pays for the broken window?"}


def test_a_short_demo(tmp_path: Path) -> None:
    """One round of a 3x3 society without adapters, a few steps of training, one answer to each of eight questions."""
    (tmp_path / "q.txt").write_text("\n".join(f"May I keep {n} found coins?" for n in range(2, 10)), encoding="utf-8")
    short = {"size": 3, "n_questions": 5, "candidates": 2, "max_tokens": 40}
    training = {"max_steps": 3, "progress": False}
    found = whole_loop(
        tmp_path, model="smollm2", rounds=1, seed=0, quiet=True, samples=1, upbringing="memory", society=short,
        training=training, evaluation={"questions": str(tmp_path / "q.txt"), "controls": False, "judge": "values"},
    )  # fmt: skip
    assert found["society"]["failed"] == 0
    assert found["differences"][0]["scores"]["alignment"]["n"] == 8
    assert 50_000 < Path(found["report"]).stat().st_size < 5_000_000
