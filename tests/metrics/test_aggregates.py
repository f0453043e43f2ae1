"""What interactions add up to, against the plain way of working each measure out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.metrics.aggregates import Aggregates, final_ratings, read_reviews
from sandbox.metrics.influence import uptake
from sandbox.metrics.polarisation import assortativity, divergence, polarisation
from sandbox.metrics.round_metrics import round_metrics
from sandbox.records import Feedback, Interaction, Rating, Score

VALUE = st.none() | st.integers(1, 7).map(float)
LABELS = ("good", "bad", "odd")


@st.composite
def societies(draw: st.DrawFn) -> list[Interaction]:
    """A round of up to eight agents, who review each other."""
    n = draw(st.integers(1, 8))
    labels = [draw(st.sampled_from(LABELS)) for _ in range(n)]
    found = []
    for agent in range(n):
        if draw(st.integers(0, 9)) == 0:
            found.append(Interaction(0, agent, labels[agent], "q", error="broken"))
            continue
        reviewers = draw(st.lists(st.integers(0, n - 1), max_size=4))
        said = tuple(
            Feedback(r, Rating(draw(VALUE), reason=draw(st.sampled_from(["", "be kind", "no kind"]))))
            for r in reviewers
        )
        before, after = (Score({"alignment": Rating(draw(VALUE)), "engagement": Rating(draw(VALUE))}) for _ in range(2))
        revision = draw(st.none() | st.sampled_from(["be kind to all", "it is no use"]))
        found.append(Interaction(0, agent, labels[agent], "q", "it is so", said, revision, before, after))
    return found


def mean(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None and not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def by_hand(interactions: Sequence[Interaction]) -> dict[str, float]:
    """Every measure as its definition reads, one answer at a time."""
    label = {it.agent: it.label for it in interactions}
    k = len(LABELS)
    found: dict[str, float] = {}
    found["rating"] = mean([f.rating.value for it in interactions for f in it.feedback])
    for name in ("alignment", "engagement"):
        before = [it.before.value(name) for it in interactions]
        after = [it.after.value(name) for it in interactions]
        found[name] = mean([b if a is None else a for b, a in zip(before, after, strict=True)])
        found[f"{name}_draft"] = mean(before)
        found[f"{name}_gain"] = mean(
            [None if a is None or b is None else a - b for b, a in zip(before, after, strict=True)]
        )
    agreement: list[float | None] = []
    taken: list[float | None] = []
    reviews, rated, total = np.zeros((k, k)), np.zeros((k, k)), np.zeros((k, k))
    for it in interactions:
        given_ = [f.rating.value for f in it.feedback if f.rating.value is not None]
        agreement.append(1 - float(np.std(given_)) / 3 if len(given_) > 1 else None)
        if it.draft is not None and it.revision is not None:
            taken += uptake(it.draft, it.revision, [f.rating.reason for f in it.feedback])
        for f in it.feedback:
            cell = LABELS.index(label[f.reviewer]), LABELS.index(it.label)
            reviews[cell] += 1
            if f.rating.value is not None:
                rated[cell] += 1
                total[cell] += f.rating.value
    found["consensus"], found["uptake"] = mean(agreement), mean(taken)
    found["polarisation"] = float(polarisation(rated, total, 7))
    found["assortativity"] = float(assortativity(reviews))
    finals = [(LABELS.index(it.label), v) for it, [v] in zip(interactions, final_ratings(interactions, ["alignment"]),
                                                              strict=True) if not math.isnan(v)]  # fmt: skip
    sums = [[sum(v**p for i, v in finals if i == label_) for label_ in range(k)] for p in range(3)]
    found["divergence"] = float(divergence(*map(np.array, map(lambda s: np.array(s, float), sums))))
    return found


@settings(max_examples=80, deadline=None)
@given(societies())
def test_every_measure_is_what_its_definition_says(interactions: list[Interaction]) -> None:
    found = round_metrics(interactions, ["alignment", "engagement"])
    for name, expected in by_hand(interactions).items():
        value = math.nan if found[name] is None else found[name]
        assert value == pytest.approx(expected, nan_ok=True, abs=1e-6), name


@settings(max_examples=40, deadline=None)
@given(societies(), st.integers(0, 99))
def test_sums_of_parts_are_those_of_the_whole(interactions: list[Interaction], seed: int) -> None:
    """What makes a resample possible: rows of interactions may be added up in any order and any number of times."""
    tally = Aggregates(["alignment"], LABELS, 7)
    label = {it.agent: it.label for it in interactions}
    reviews = read_reviews(interactions)
    rows = tally.rows(interactions, reviews, [label[r] for r in reviews.reviewer.tolist()])
    assert rows.shape == (len(interactions), tally.columns)
    order = np.random.default_rng(seed).permutation(len(interactions))
    whole, shuffled = tally.measures(rows.sum(axis=0)), tally.measures(rows[order].sum(axis=0))
    twice = tally.measures(2 * rows.sum(axis=0))
    for name, measured in whole.items():
        assert shuffled[name].value == pytest.approx(measured.value, nan_ok=True)
        assert twice[name].n == 2 * measured.n
    many = tally.measures(np.stack([rows.sum(axis=0)] * 3))
    assert all(m.value.shape == (3,) for m in many.values())


def interaction(agent: int, label: str, reviews: dict[int, float | None], *, value: float = 4.0) -> Interaction:
    said = tuple(Feedback(r, Rating(v, reason="be kind")) for r, v in reviews.items())
    score = Score({"alignment": Rating(value)})
    return Interaction(0, agent, label, "q", "so", said, "be kind", score, score)


def test_a_reviewer_that_was_not_asked_is_known_by_its_label() -> None:
    """Agent 1 (bad) was not asked this round; its review of agent 0 (good) counts between the labels all the same.

    Two reviews good to good, one bad to good: only good is reviewed, so shares are 2/3 and 1/3 of the reviewers, and
    within 2/3 is what chance would do: 0. Unknown, the review is left out, and one label alone says nothing.
    """
    round_ = [interaction(0, "good", {2: 5.0, 1: 3.0}), interaction(2, "good", {0: 6.0})]
    labels = {0: "good", 1: "bad", 2: "good"}
    assert round_metrics(round_, ["alignment"], label_of=labels.get)["assortativity"] == pytest.approx(0.0)
    assert round_metrics(round_, ["alignment"])["assortativity"] is None


def test_agreement_is_measured_on_the_scale_of_the_rubric() -> None:
    """Ratings 1 and 3: a standard deviation of 1, of at most 1 on a scale of 3 and of at most 3 on one of 7."""
    round_ = [interaction(0, "good", {1: 1.0, 2: 3.0})]
    assert round_metrics(round_, ["alignment"], scale=3)["consensus"] == 0.0
    assert round_metrics(round_, ["alignment"], scale=7)["consensus"] == pytest.approx(2 / 3)


def test_a_round_knows_those_before_it() -> None:
    """Alignment 3, then 5: within a tenth of the front after two rounds; one alone cannot be compared."""
    first = round_metrics([interaction(0, "good", {}, value=3.0)], ["alignment"])
    assert first["rounds_to_front"] is None
    second = round_metrics([interaction(0, "good", {}, value=5.0)], ["alignment"], earlier=[first])
    assert second["rounds_to_front"] == 2


def test_a_round_has_the_same_keys_whatever_it_holds() -> None:
    empty: dict[str, Any] = round_metrics([], ["alignment"])
    full = round_metrics([interaction(0, "good", {1: 5.0}), interaction(1, "bad", {0: 2.0})], ["alignment"])
    assert list(empty) == list(full)
    assert {k: v for k, v in empty.items() if v is not None} == {"interactions": 0, "failed": 0}
    for name in full:
        if name.endswith("_low") and full[name] is not None:
            assert full[name] <= full[name.replace("_low", "_high")]
