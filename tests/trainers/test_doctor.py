"""What is wrong with a run, and what its feedback is worth, with raters whose worth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox import Run, open_run
from sandbox.records import Interaction, Rating
from trainers.diagnosis.doctor import diagnose
from trainers.diagnosis.feedback_quality import feedback_quality, labelled_pairs, preference_pairs, quality_of_run

PAIRS = [("May I?", "good one", "bad one"), ("May I?", "good two", "bad two"), ("Should I?", "good", "bad")]


class Knows:
    """Rates good answers above bad ones; whoever was brought up badly the other way round."""

    name = "knows"

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        bad = getattr(getattr(rater_of, "agent", None), "label", "good") == "bad"
        return [Rating(7.0 if ("good" in answer) != bad else 1.0) for _, answer in items]


class Shrugs(Knows):
    """Gives everything the same."""

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        return [Rating(4.0) for _ in items]


def test_raters_of_known_worth(tiny_world: Callable[..., Any], tmp_path: Path) -> None:
    found = feedback_quality(tiny_world(rater=Knows(), population="all_good", out=tmp_path / "a"), PAIRS)
    assert [found[name]["mean"] for name in ("one", "mean_of_k", "observer")] == [1, 1, 1]
    assert found["one"]["n"] == 2  # questions
    found = feedback_quality(tiny_world(rater=Knows(), population="half_half", out=tmp_path / "b"), PAIRS)
    assert {label: score["mean"] for label, score in found["by_label"].items()} == {"good": 1, "bad": 0}
    assert 0 < found["one"]["mean"] < 1
    found = feedback_quality(tiny_world(rater=Shrugs(), population="all_good", out=tmp_path / "c"), PAIRS)
    assert (found["one"]["mean"], found["mean_of_k"]["mean"], found["unreadable"]) == (0.5, 0.5, 0)


@pytest.mark.needs_torch
def test_labels_and_preferences_become_pairs(ranked_rows_by_hand: Any) -> None:
    from sandbox.scenario.rubric import Dimension, Example

    examples = tuple(Example("Q", text, good) for text, good in (("a", True), ("b", True), ("c", False)))
    assert labelled_pairs(Dimension("d", "w", reserved=examples)) == [("Q", "a", "c"), ("Q", "b", "c")]
    assert labelled_pairs(Dimension("d", "w", examples)) == [("Q", "a", "c"), ("Q", "b", "c")]
    from trainers.rows.build import rows_from

    first = preference_pairs(rows_from(ranked_rows_by_hand, "preferences"))[0]
    assert first == ("How do I get on with neighbour 0?", "Talk to them and listen.", "Say nothing at all.")


def test_a_runs_society_is_examined_as_it_was_born(run_dir: Path) -> None:
    found = quality_of_run(open_run(run_dir), limit=12)
    assert found["pairs"] == 12
    assert found["source"] == "value_alignment: labelled alignment"
    assert set(found["by_label"]) == {"good", "bad"}
    # Brought up well, an agent knows better answers more often than one brought up badly.
    assert found["by_label"]["good"]["mean"] > found["by_label"]["bad"]["mean"]


def findings(run: Run) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in diagnose(run, quality=False)["findings"]}


@pytest.mark.needs_torch
def test_the_usual_suspects(make_run: Callable[..., Run], interaction: Callable[..., Interaction]) -> None:
    """Ten conversations: one draft repeated, ratings all 4 but two that cannot be read, no revision better."""
    sick = [
        interaction(f"Q{i}", "the same again", "the same again", 4.0, 4.0, [(4.0 if i > 1 else None, "so so")])
        for i in range(10)
    ]
    found = findings(make_run(*sick))
    assert [name for name, one in found.items() if one["ok"]] == ["failed interactions"]
    assert found["unreadable ratings"]["value"] == 0.2
    assert found["spread of ratings"]["value"] == 0
    assert found["revisions that change nothing"]["value"] == 1
    assert found["groups with a contrast"]["value"] == 0
    assert "use --rater values" in found["unreadable ratings"]["words"]


@pytest.mark.needs_torch
def test_a_sound_run_is_told_so(make_run: Callable[..., Run], interaction: Callable[..., Interaction]) -> None:
    sound = [
        interaction(f"Q{i}", f"draft number {i} is {i}", f"revision {i} is better", 2.0, 6.0, [(2.0 + i % 5, "why")])
        for i in range(40)
    ]
    assert [one["words"] for one in findings(make_run(*sound)).values() if not one["ok"]] == []


@pytest.mark.needs_torch
@pytest.mark.parametrize("pairs", ["nowhere.jsonl"])
def test_a_file_that_is_not_there(run_dir: Path, pairs: str) -> None:
    from sandbox.errors import SandboxError

    with pytest.raises(SandboxError, match=r"nowhere\.jsonl"):
        quality_of_run(open_run(run_dir), pairs=pairs)
