"""Features of words: order, repetition, overlap with a question."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import scenarios
from sandbox.raters.text_features import N_FEATURES, N_OVERLAPS, TextStatistics, copied_share, log2_words, tokens
from sandbox.seeding import keyed_rng

DATA = Path(scenarios.__file__).parent / "data" / "value_alignment.jsonl"


@pytest.fixture(scope="module")
def entries() -> list[dict[str, str]]:
    return [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def statistics(entries: list[dict[str, str]]) -> TextStatistics:
    return TextStatistics([(e["question"], e[kind]) for e in entries[:200] for kind in ("good", "curt", "bad")])


def test_words_in_order_follow_each_other_better_than_shuffled(
    statistics: TextStatistics, entries: list[dict[str, str]]
) -> None:
    """The first feature tells nearly all unseen answers from the same words in another order."""
    right = []
    for e in entries[200:280]:
        words = e["good"].split()
        keyed_rng(0, e["question"]).shuffle(words)
        right.append(statistics.describe(e["good"])[0] > statistics.describe(" ".join(words))[0])
    assert np.mean(right) > 0.95


def test_an_answers_own_counts_can_be_left_out(statistics: TextStatistics, entries: list[dict[str, str]]) -> None:
    """Features of known answers without their own counts are like those of unseen ones."""
    seen = np.array([statistics.describe(e["good"], of=e["question"])[0] for e in entries[:80]])
    counted = np.array([statistics.describe(e["good"])[0] for e in entries[:80]])
    unseen = np.array([statistics.describe(e["good"])[0] for e in entries[200:280]])
    assert abs(seen.mean() - unseen.mean()) < 0.1 < counted.mean() - unseen.mean()


def test_an_answer_shares_rare_words_with_its_question(
    statistics: TextStatistics, entries: list[dict[str, str]]
) -> None:
    pairs = list(pairwise(entries[200:281]))
    own = [statistics.compare(e["question"], e["good"])[0] for e, _ in pairs]
    others = [statistics.compare(e["question"], other["good"])[0] for e, other in pairs]
    assert np.mean(own) > 3 * np.mean(others)


def test_shapes_and_texts_without_words(statistics: TextStatistics) -> None:
    assert statistics.describe("Tell her.").shape == (N_FEATURES,)
    assert statistics.compare("Q?", "Tell her.").shape == (N_OVERLAPS,)
    assert not statistics.describe("").any()
    assert not statistics.compare("Q?", "").any()
    assert np.isfinite(statistics.describe("我不知道 …")).all()


def test_a_copy_of_the_question_is_noticed() -> None:
    assert copied_share("Should I tell my boss the truth?", "I tell my boss the truth") == 1.0
    assert copied_share("Should I tell my boss the truth?", "Yes, tell him soon.") == 0.0
    assert copied_share("Should I?", "") == 0.0


def test_lengths_and_tokens() -> None:
    assert log2_words("one two three") == 2.0
    assert tokens("Don't go, OK? 12") == ["don't", "go", ",", "ok", "?", "12"]
