"""``sandbox run --dry-run``: what a society would take and cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import Sandbox, society

from sandbox.store.run import open_run


def test_a_dry_run_says_what_it_would_take_and_runs_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    ended = society(sandbox, "--rounds", 2, "--dry-run")
    assert ended.code == 0
    assert ended.out.startswith("value_alignment: 18 interactions in 2 rounds, about 204 calls that read ")
    assert ended.out.endswith(" tokens and write at most 3,000. Nothing was run\n")
    said = society(sandbox, "--rounds", 2, "--dry-run", "--json").said
    assert (said["interactions"], said["calls"], said["failed"]) == (18, 204, 0)
    # A word of the run's own model is counted as one token, a dry run's tokens are of four characters: of one size.
    tokens = society(sandbox, "--rounds", 2, "--out", "a", "--json") and open_run("a").manifest["tokens"]
    assert 0.5 < said["prompt_tokens"] / tokens["prompt"] < 3
    assert said["completion_tokens"] > tokens["completion"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_dry_run_needs_no_model(sandbox: Sandbox) -> None:
    """Four agents with two neighbours each; the bundled model's agents rate by their values: four drafts, four revisions
    and two reasons each."""
    said = sandbox("run", "value_alignment", "--size", 2, "--rounds", 1, "--dry-run", "--json").said
    assert (said["interactions"], said["calls"]) == (4, 40)
    wrong = sandbox("run", "value_alignment", "--size", 2, "--set", "audience=global", "--dry-run")
    assert wrong.code == 2
    assert "there are only 3 others; use reviewers=3 or fewer" in wrong.err


def test_a_dry_run_says_what_it_would_cost(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none-of-your-business")
    words = ("run", "value_alignment", "--model", "openai:m", "--size", "2", "--rounds", "1", "--dry-run", "--json")
    found = sandbox(*words, "--set", "model.price_prompt=2", "--set", "model.price_completion=10").said
    assert found["usd"] == pytest.approx((2 * found["prompt_tokens"] + 10 * found["completion_tokens"]) / 1e6)
    assert "usd" not in sandbox(*words).said
