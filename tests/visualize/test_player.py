"""What the report's player steps through: reviews and conversations of each round, and their samples in large runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from by_hand import told

from sandbox.store.run import Run
from visualize.page import player_rounds
from visualize.page.player import map_frames


@pytest.fixture
def many(make_run: Callable[..., Run]) -> Run:
    """Forty agents on 8 x 5, ten rounds, each reviewed by two others, with drafts of 2,000 characters."""
    said = [
        told(r, i, (2.0, 3.0), (3.0, 4.0), {(i + 1) % 40: 5.0, (i + 2) % 40: 6.0}, draft="word " * 400)
        for r in range(10) for i in range(40)
    ]  # fmt: skip
    return make_run(said, labels=["good"] * 40, width=8)


def test_each_round_has_its_reviews_as_arrows(society: Run) -> None:
    """An arrow goes from the reviewer to the author, in the colour of the rating, which the palette names."""
    shown: Any = map_frames(society, "rating")
    for round_, one in enumerate(shown["graph"]["reviews"]):
        held = [(f.reviewer, it.agent) for it in society.interactions(round_) for f in it.feedback]
        assert sorted((a, b) for a, b, _ in one["arrows"]) == sorted(held)
        assert one["n"] == len(held)
        assert all(-1 <= colour < len(shown["palette"]) for _, _, colour in one["arrows"])
    assert shown["graph"]["bar"]["title"] == "arrows: alignment as reviewers rate it (1 to 7), from reviewer to author"
    assert all(2 <= side <= 22 for place in shown["graph"]["places"] for side in place)


def test_each_round_has_what_was_said_in_order(make_run: Callable[..., Run]) -> None:
    run = make_run([told(r, 0, (2.0, 2.0), (3.0, 3.0), {1: 4.5}, question=f"q{r}", draft="d", revision="r", reason="w")
                    for r in (0, 1)], names=["Ann", "Bob", "Cy", "Dee"])  # fmt: skip
    shown: Any = map_frames(run, "rating")
    assert shown["said"] == [
        {"n": 1, "kept": [[0, f"q{r}", [["draft", "d"], ["Bob rates it 4.5", "w"], ["revision", "r"]]]]} for r in (0, 1)
    ]


def test_a_game_without_reviews_has_no_graph(make_run: Callable[..., Run]) -> None:
    shown: Any = map_frames(make_run([told(r, 0, (2.0, 2.0), (3.0, 3.0)) for r in (0, 1)]), "rating")
    assert shown["graph"] is None


def test_of_a_large_run_a_fair_sample_is_kept_and_counted(many: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player_rounds, "_SAID", 50_000)
    monkeypatch.setattr(player_rounds, "_OF_ROUND", 30)
    shown: Any = map_frames(many, "rating")
    assert len(json.dumps(shown["said"])) < 60_000
    assert all(one["n"] == 40 and 1 < len(one["kept"]) < 40 for one in shown["said"])
    told_of = Counter(agent for one in shown["said"] for agent, *_ in one["kept"])
    assert len(told_of) == 40  # others in each round
    assert max(told_of.values()) <= 2 * min(told_of.values())
    assert all(len(text) <= 402 for one in shown["said"] for _, _, parts in one["kept"] for _, text in parts)
    assert all(one["n"] == 80 and len(one["arrows"]) == 30 for one in shown["graph"]["reviews"])
    authors = [author for one in shown["graph"]["reviews"] for _, author, _ in one["arrows"]]
    assert set(authors) == set(range(40))


def test_a_page_of_many_runs_keeps_its_size(many: Run) -> None:
    """Six runs are shown in full; what a player holds beside the map is a fraction of what one page may have."""
    shown: Any = map_frames(many, "rating")
    assert 6 * len(json.dumps([shown["said"], shown["graph"]["reviews"]])) < 3_000_000


def test_the_sample_is_the_same_at_every_call(many: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player_rounds, "_OF_ROUND", 30)
    assert map_frames(many, "rating") == map_frames(many, "rating")
