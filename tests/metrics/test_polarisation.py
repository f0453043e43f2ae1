"""Whether labels keep apart: against networkx, scipy and cases worked by hand."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from sandbox.metrics.polarisation import assortativity, divergence, polarisation

COUNTS = st.lists(st.lists(st.integers(0, 20), min_size=3, max_size=3), min_size=3, max_size=3)


@given(COUNTS)
def test_assortativity_is_networkx_of_one_edge_a_review(counts: list[list[int]]) -> None:
    """A multigraph with an edge for each review from a node of one label to a node of another."""
    mixing = np.array(counts, dtype=float)
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for i in range(3):
        for j in range(3):
            for number in range(counts[i][j]):
                graph.add_node(f"from {i} {j} {number}", label=i)
                graph.add_node(f"to {i} {j} {number}", label=j)
                graph.add_edge(f"from {i} {j} {number}", f"to {i} {j} {number}")
    found = float(assortativity(mixing))
    share = mixing / mixing.sum() if mixing.sum() else mixing
    if not mixing.sum() or 1 - (share.sum(axis=0) * share.sum(axis=1)).sum() < 1e-9:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(nx.attribute_assortativity_coefficient(graph, "label"), abs=1e-9)


def test_assortativity_by_hand() -> None:
    """Newman's table 1 of 2003 (couples by ethnicity), given in thousandths, gives his 0.621 within 0.003;
    all within is 1, evenly mixed 0, all across -1."""
    newman = np.array(
        [[0.258, 0.016, 0.035, 0.013], [0.012, 0.157, 0.058, 0.019], [0.013, 0.023, 0.306, 0.035],
         [0.005, 0.007, 0.024, 0.016]]
    )  # fmt: skip
    assert float(assortativity(newman)) == pytest.approx(0.621, abs=0.003)
    assert float(assortativity(np.diag([3.0, 5.0]))) == 1.0
    assert float(assortativity(np.full((2, 2), 4.0))) == 0.0
    assert float(assortativity(np.array([[0.0, 5.0], [5.0, 0.0]]))) == -1.0
    assert math.isnan(float(assortativity(np.array([[7.0, 0.0], [0.0, 0.0]]))))
    both = assortativity(np.stack([np.diag([3.0, 5.0]), np.full((2, 2), 4.0)]))
    assert both.tolist() == [1.0, 0.0]


def test_polarisation_by_hand() -> None:
    """Good rate good 6 (of 2), bad 2; bad rate bad 5, good 3 (of 1): ((6 - 2) + (5 - 3)) / 2 = 3 of 6: 1/2.

    Who rates everybody kindly, and whose answers everybody likes, changes nothing: add 1 to what good give, or to
    what good get.
    """
    n = np.array([[2.0, 1.0], [1.0, 4.0]])
    mean = np.array([[6.0, 2.0], [3.0, 5.0]])
    assert float(polarisation(n, n * mean, 7)) == pytest.approx(0.5)
    kinder, liked = mean + np.array([[1.0], [0.0]]), mean + np.array([[1.0, 0.0]])
    assert float(polarisation(n, n * kinder, 7)) == pytest.approx(0.5)
    assert float(polarisation(n, n * liked, 7)) == pytest.approx(0.5)
    extreme = np.array([[7.0, 1.0], [1.0, 7.0]])
    assert float(polarisation(n, n * extreme, 7)) == 1.0
    assert float(polarisation(n, n * extreme.T[::-1], 7)) == -1.0
    assert float(polarisation(n, n * 4.0, 7)) == 0.0


def test_polarisation_wants_two_labels_that_rated_each_other() -> None:
    """With three labels the pairs count alike that can be told; good and odd never rated each other."""
    n = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    mean = np.array([[7.0, 1.0, 0.0], [1.0, 7.0, 4.0], [4.0, 4.0, 4.0]])
    # good-bad: 1; bad-odd: (7 + 4 - 4 - 4) / 12 = 1/4.
    assert float(polarisation(n, n * mean, 7)) == pytest.approx(0.625)
    alone = np.array([[3.0, 0.0], [0.0, 0.0]])
    assert math.isnan(float(polarisation(alone, alone * 5, 7)))


GROUPS = st.lists(st.lists(st.floats(1, 7), max_size=8), min_size=1, max_size=4)


def sums(groups: list[list[float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.array([float(len(g)) for g in groups]),
        np.array([sum(g) for g in groups]),
        np.array([sum(v * v for v in g) for g in groups]),
    )


@given(GROUPS)
def test_divergence_follows_from_the_f_statistic(groups: list[list[float]]) -> None:
    """epsilon^2 = (F - 1) / (F + (n - k) / (k - 1)), F being scipy's one-way analysis of variance."""
    found = float(divergence(*sums(groups)))
    kept = [g for g in groups if g]
    n, k = sum(map(len, kept)), len(kept)
    if k < 2 or n <= k or np.var(np.concatenate(kept)) < 1e-6:
        return
    within = sum(float(np.var(g)) * len(g) for g in kept)
    if within < 1e-6:
        assert found == pytest.approx(1.0, abs=1e-3)
        return
    f = scipy.stats.f_oneway(*kept).statistic
    assert found == pytest.approx((f - 1) / (f + (n - k) / (k - 1)), abs=1e-6)


def test_divergence_by_hand() -> None:
    """1, 3 against 5, 7: the mean is 4, squares about it 20, within the groups 2 + 2 = 4.

    1 - (4 / 2) / (20 / 3) = 0.7. Alike within and different between is 1; all equal, one label, or nobody twice: NaN.
    """
    assert float(divergence(*sums([[1, 3], [5, 7]]))) == pytest.approx(0.7)
    assert float(divergence(*sums([[2, 2], [6, 6]]))) == 1.0
    for groups in ([[4, 4], [4, 4]], [[1, 2, 3]], [[1], [2]], [[]]):
        assert math.isnan(float(divergence(*sums(groups))))
