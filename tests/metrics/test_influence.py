"""Whose words move others, by hand and against networkx."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.metrics.influence import Influence, gini, pagerank, uptake, words


def test_words_are_compared_whatever_their_case() -> None:
    assert words("Don't STOP, naïve_one! 42 times; stop.") == {"don", "t", "stop", "naïve", "one", "42", "times"}
    assert words("你好 ok") == {"你", "好", "ok"}
    assert words("?!") == set()


def test_uptake_by_hand() -> None:
    """The draft has 4 words, of which the first reviewer used 1 ("you"), the revision 5, of which it used 3 ("you",
    "talk", "first"): 3/5 - 1/4 = 0.35. The second used none of either; the third said nothing; the fourth's "it" was in
    the draft and is gone: 0 - 1/4."""
    draft, revision = "you take it back", "you talk to them first"
    reasons = ["You should talk first", "Nonsense", "...", "it"]
    assert uptake(draft, revision, reasons) == [pytest.approx(0.35), 0.0, pytest.approx(math.nan, nan_ok=True), -0.25]


def test_uptake_of_an_empty_revision_is_unknown_and_of_an_empty_draft_the_revisions_share() -> None:
    assert all(map(math.isnan, uptake("a", "", ["a", "b"])))
    assert uptake("", "a b", ["a"]) == [0.5]


@given(st.text("abc ", max_size=20), st.text("abc ", max_size=20), st.lists(st.text("abcd ", max_size=9), max_size=3))
def test_uptake_lies_between_minus_one_and_one(draft: str, revision: str, reasons: list[str]) -> None:
    found = uptake(draft, revision, reasons)
    assert len(found) == len(reasons)
    assert all(math.isnan(value) or -1 <= value <= 1 for value in found)
    same = uptake(draft, draft, reasons)
    assert all(math.isnan(value) or value == 0 for value in same)


EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.floats(0.01, 5)), min_size=1, max_size=30)


@settings(max_examples=60)
@given(EDGES)
def test_pagerank_is_networkx(edges: list[tuple[int, int, float]]) -> None:
    source, target, weight = (np.array(column) for column in zip(*edges, strict=True))
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(8))
    for a, b, w in edges:
        graph.add_edge(a, b, weight=graph.get_edge_data(a, b, {"weight": 0.0})["weight"] + w)
    expected = nx.pagerank(graph, tol=1e-10, max_iter=500)
    found = pagerank(source, target, weight, 8)
    assert found == pytest.approx([expected[i] for i in range(8)], abs=1e-6)
    assert found.sum() == pytest.approx(1.0)


def test_influence_goes_to_who_is_listened_to() -> None:
    """Agents 3 and 5 take up what 9 says; 9 takes up nothing of 3; nobody else speaks. 9 stands above 3 and 5.

    Solved by hand, n = 3: with a = rank of 3 and of 5, c of 9, 9 being an end whose rank goes to all alike:
    a = 0.05 + 0.85 c / 3 and c = 0.05 + 0.85 (2 a + c / 3), so that 2 a + c = 1: a = 0.2127..., c = 0.5745....
    """
    found = Influence(np.array([3, 5, 9]), np.array([9, 9, 3]), np.array([0.2, 0.4, -0.3]))
    assert found.agents.tolist() == [3, 5, 9]
    c = (0.05 + 0.85) / (1 + 0.85 * 2 / 3)
    assert found.values == pytest.approx([(1 - c) / 2, (1 - c) / 2, c], abs=1e-6)
    low, high = found.bounds()
    assert low[2] <= found.values[2] <= high[2]
    assert (low <= high).all()


def test_nobody_moved_is_no_influence() -> None:
    none = Influence(np.array([0, 1]), np.array([1, 0]), np.array([math.nan, -0.5]))
    assert len(none.values) == 0
    assert math.isnan(none.gini)
    assert [len(side) for side in none.bounds()] == [0, 0]


@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=20))
def test_gini_is_the_mean_difference_over_twice_the_mean(values: list[float]) -> None:
    array = np.array(values)
    expected = np.abs(array[:, None] - array).mean() / (2 * array.mean())
    assert gini(array) == pytest.approx(expected, abs=1e-9)


def test_gini_by_hand() -> None:
    """One of four has everything: 3/4. All equal: 0. Nothing: unknown."""
    assert gini(np.array([0.0, 0.0, 0.0, 5.0])) == 0.75
    assert gini(np.ones(5)) == 0.0
    assert math.isnan(gini(np.zeros(3)))
