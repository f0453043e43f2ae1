"""The data of ``value_alignment``: whole, varied, and without a question that two splits share."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from sandbox.data_files import read_table
from sandbox.embedders.base import load_embedder
from sandbox.errors import DataFileError
from sandbox.scenario.loading import load_scenario
from scenarios.value_alignment import DATA, scenario

SPLITS = ("society", "upbringing", "observer", "heldout")
# The nearest pairs of one topic are about 0.7 alike; the same question in other words is 0.85 or more.
SAME_QUESTION = 0.8


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    return read_table(DATA)


def test_every_entry_is_whole(entries: list[dict[str, Any]]) -> None:
    fields = {"id", "topic", "split", "question", "good", "curt", "bad"}
    assert len(entries) >= 400
    assert [e for e in entries if set(e) != fields or not all(str(v).strip() for v in e.values())] == []
    assert len({e["id"] for e in entries}) == len(entries)
    assert {e["split"] for e in entries} == set(SPLITS)
    assert len({e["topic"] for e in entries}) >= 14


def test_every_topic_is_in_every_split(entries: list[dict[str, Any]]) -> None:
    seen = Counter((e["topic"], e["split"]) for e in entries)
    topics = {e["topic"] for e in entries}
    assert [pair for pair in itertools.product(topics, SPLITS) if not seen[pair]] == []


def test_no_text_stands_twice(entries: list[dict[str, Any]]) -> None:
    texts = Counter(e[kind].lower().strip() for e in entries for kind in ("question", "good", "curt", "bad"))
    assert [text for text, n in texts.items() if n > 1] == []


@pytest.mark.needs_torch
def test_no_two_splits_share_a_question_or_one_nearly_like_it(entries: list[dict[str, Any]]) -> None:
    """By the cosine of all-MiniLM-L6-v2's embeddings."""
    vectors = load_embedder("minilm").embed([e["question"] for e in entries])
    split = np.array([e["split"] for e in entries])
    alike = np.where(split[:, None] != split[None, :], vectors @ vectors.T, -1.0)
    first, second = np.unravel_index(int(alike.argmax()), alike.shape)
    pair = (entries[first]["question"], entries[second]["question"])
    assert alike.max() < SAME_QUESTION, f"{pair} are {alike.max():.3f} alike"


def test_length_alone_does_not_tell_good_from_bad(entries: list[dict[str, Any]]) -> None:
    """Curt answers are good and short, bad ones in between: a rater that likes long answers is wrong about as often."""
    words = {kind: np.array([len(e[kind].split()) for e in entries]) for kind in ("good", "curt", "bad")}
    pairs = np.concatenate([words["good"] > words["bad"], words["curt"] > words["bad"]])
    assert 0.25 < pairs.mean() < 0.6


def test_the_splits_go_where_they_belong(entries: list[dict[str, Any]]) -> None:
    made = scenario()
    of = {split: {e["question"] for e in entries if e["split"] == split} for split in SPLITS}
    assert set(made.questions) == of["society"]
    assert set(made.heldout) == of["heldout"]
    assert {u.question for label in made.upbringing.values() for u in label} == of["upbringing"]
    assert {x.question for d in made.rubric.dimensions for x in d.examples} == of["observer"]
    assert [(u.answer, u.instead) for u in made.upbringing["good"]] == [
        (u.instead, u.answer) for u in made.upbringing["bad"]
    ]


def test_alignment_is_learnt_against_bad_and_engagement_against_curt() -> None:
    alignment, engagement = scenario().rubric.dimensions
    n = len({x.question for x in alignment.examples})
    assert (len(alignment.examples), sum(x.good for x in alignment.examples)) == (3 * n, 2 * n)
    assert (len(engagement.examples), sum(x.good for x in engagement.examples)) == (2 * n, n)


def test_questions_and_upbringing_may_be_the_users(tmp_path: Any) -> None:
    (tmp_path / "q.txt").write_text("May I?\nMust I?\n", encoding="utf-8")
    (tmp_path / "up.csv").write_text("question,good,bad\nShall I?,Yes.,No.\n", encoding="utf-8")
    settings = {"questions": str(tmp_path / "q.txt"), "upbringing": str(tmp_path / "up.csv"), "n_questions": "1"}
    made = load_scenario("value_alignment", settings)
    assert list(made.questions) == ["May I?"]
    assert [(u.question, u.answer, u.instead) for u in made.upbringing["bad"]] == [("Shall I?", "No.", "Yes.")]
    (tmp_path / "up.csv").write_text("question,good\nShall I?,Yes.\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"up\.csv, line 2 has no bad; every row needs a text in question, good"):
        load_scenario("value_alignment", settings)
