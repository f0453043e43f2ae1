"""What an agent recalls, on hand-made vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.memories.nearest import Answers
from sandbox.memories.text_index import TextIndex
from sandbox.society.upbringing import distance_for_share


class Table:
    """An embedder that looks vectors up, and counts how often each text was embedded."""

    def __init__(self, **vectors: Sequence[float]) -> None:
        self.vectors = vectors
        self.embedded: list[str] = []
        self.batches = 0

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.batches += 1
        self.embedded += texts
        return np.array([self.vectors[t] for t in texts], np.float32)


def at(degrees: float) -> tuple[float, float]:
    """A unit vector; the cosine distance of two is 1 - cos of the angle between them."""
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def recall(answers: Answers, question: str, *, within: float) -> tuple[str, str] | None:
    found = answers.nearest(question, 1, within=within)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("cosine", "is_recalled"), [(1.0, True), (0.8, True), (0.71, True), (0.69, False), (0.0, False), (-1.0, False)]
)
def test_a_question_is_recalled_when_its_distance_is_under_the_bound(cosine: float, is_recalled: bool) -> None:
    """With the bound 0.3 of the paper's release: cosine 0.71 is 0.29 away and recalled, 0.69 is 0.31 away and not."""
    other = (cosine, math.sqrt(1 - cosine**2))
    memory = Answers(TextIndex(Table(old=(1, 0), new=other)), [("old", "my answer")])
    assert recall(memory, "new", within=0.3) == (("old", "my answer") if is_recalled else None)


def test_at_the_bound_itself_nothing_is_recalled() -> None:
    """Cosine 1/2 is exact in float32, so the distance is exactly 1/2: not under 0.5, but under the next number."""
    memory = Answers(TextIndex(Table(old=(1, 0), new=(0.5, math.sqrt(0.75)))), [("old", "a")])
    assert recall(memory, "new", within=0.5) is None
    assert recall(memory, "new", within=math.nextafter(0.5, 1)) == ("old", "a")


def test_the_nearest_of_several_is_recalled() -> None:
    """Seen from 10 degrees, 25 is 15 away, 0 is 10 away, 18 is 8 away: 18 is told, though 0 was learnt first."""
    table = Table(zero=at(0), eighteen=at(18), quarter=at(25), new=at(10))
    memory = Answers(TextIndex(table), [("zero", "a"), ("quarter", "b"), ("eighteen", "c")])
    assert recall(memory, "new", within=0.3) == ("eighteen", "c")


def test_the_same_question_is_at_no_distance() -> None:
    memory = Answers(TextIndex(Table(q=at(33), other=at(34))), [("q", "a"), ("other", "b")])
    assert recall(memory, "q", within=0.3) == ("q", "a")


def test_the_newest_answer_replaces_the_one_before() -> None:
    """The paper's release keeps the first answer for good; here the last one given is what an agent thinks."""
    memory = Answers(TextIndex(Table(q=at(0))), [("q", "born with")])
    memory.remember([("q", "first")])
    memory.remember([("q", "second")])
    assert recall(memory, "q", within=0.3) == ("q", "second")
    assert memory.pairs() == [("q", "second")]
    assert len(memory) == 1


def test_what_is_learnt_after_a_recall_is_recalled_too() -> None:
    """The likeness of questions is kept between recalls; a question that comes later must be among them."""
    table = Table(q=at(0), far=at(40), near=at(5))
    memory = Answers(TextIndex(table), [("far", "a")])
    assert recall(memory, "q", within=0.3) == ("far", "a")
    memory.remember([("near", "b")])
    assert recall(memory, "q", within=0.3) == ("near", "b")


def test_agents_share_questions_but_not_answers() -> None:
    index = TextIndex(Table(q=at(0), r=at(1)))
    first, second, empty = Answers(index, [("q", "mine")]), Answers(index, [("q", "yours")]), Answers(index)
    assert recall(first, "r", within=0.3) == ("q", "mine")
    assert recall(second, "r", within=0.3) == ("q", "yours")
    assert recall(empty, "r", within=2.0) is None


def test_every_distinct_text_is_embedded_once() -> None:
    """Twenty agents born with the same two questions, asked the same third, twice: 3 embeddings in 2 batches."""
    table = Table(p=at(0), q=at(90), r=at(10))
    index = TextIndex(table)
    memories = [Answers(index, [("p", "a"), ("q", "b")]) for _ in range(20)]
    for expected in (("p", "a"), ("r", "c")):
        assert [recall(memory, "r", within=0.3) for memory in memories] == [expected] * 20
        for memory in memories:
            memory.remember([("r", "c")])
    assert table.embedded == ["p", "q", "r"]
    assert table.batches == 2


ANGLES = st.integers(0, 359)


@given(st.lists(ANGLES, min_size=1, max_size=12, unique=True), ANGLES, st.floats(0.0, 2.0))
def test_recall_is_the_brute_force_nearest(known: list[int], asked: int, within: float) -> None:
    """On a circle the nearest question is the one at the smallest angle; distances are compared with a margin of 1e-6."""
    table = Table(**{f"at {a}": at(a) for a in {*known, asked}})
    memory = Answers(TextIndex(table), [(f"at {a}", f"answer {a}") for a in known])
    found = recall(memory, f"at {asked}", within=within)
    apart = {a: 1 - math.cos(math.radians(a - asked)) for a in known}
    best = min(apart.values())
    if found is None:
        assert best >= within - 1e-6
    else:
        angle = int(found[0].removeprefix("at "))
        assert found[1] == f"answer {angle}"
        assert apart[angle] <= best + 1e-6
        assert best < within + 1e-6


def test_the_nearest_come_first_and_none_beyond_the_bound() -> None:
    table = Table(zero=at(0), eighteen=at(18), right=at(90), new=at(10))
    memory = Answers(TextIndex(table), [("zero", "a"), ("right", "b"), ("eighteen", "c")])
    assert memory.nearest("new", 5, within=0.3) == [("eighteen", "c"), ("zero", "a")]
    assert memory.nearest("new", 1, within=0.3) == [("eighteen", "c")]
    assert memory.nearest("new", 5, within=0.0) == []
    assert Answers(TextIndex(table)).nearest("new", 5, within=2.0) == []


@pytest.mark.parametrize(("share", "angle"), [(0.0, None), (0.5, 10), (1.0, 80)])
def test_the_distance_for_a_share_of_questions(share: float, angle: int | None) -> None:
    """Seen from 10 and from 80 degrees, the nearest to 0 and 0: distances 1 - cos 10 and 1 - cos 80."""
    table = Table(zero=at(0), far=at(180), near=at(10), off=at(80))
    found = distance_for_share(["near", "off"], [["zero", "far"], []], share, table)
    exact = 0.0 if angle is None else 1 - math.cos(math.radians(angle))
    assert exact <= found <= exact + 1.01e-4
    assert distance_for_share(["near"], [[]], 0.5, table) == 0.0
