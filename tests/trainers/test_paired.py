"""Paired tests against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sandbox.metrics.intervals import share_interval
from trainers.evaluation.paired_tests import mcnemar_p, paired


def test_the_paired_t_test() -> None:
    draw = np.random.default_rng(0)
    ours = {str(i): float(v) for i, v in enumerate(draw.normal(4.5, 1, 20))}
    theirs = {str(i): float(v) for i, v in enumerate(draw.normal(4, 1, 18))}
    both = sorted(set(ours) & set(theirs))
    test = stats.ttest_rel([ours[q] for q in both], [theirs[q] for q in both])
    low, high = test.confidence_interval(0.95)
    found = paired(ours, theirs)
    assert [found["p"], found["low"], found["high"], found["n"]] == pytest.approx([test.pvalue, low, high, 18])
    assert math.isnan(paired({"q": 1.0}, {"q": 2.0})["p"])


@pytest.mark.parametrize(("won", "lost"), [(9, 2), (3, 3), (1, 0), (20, 41)])
def test_mcnemar_is_the_binomial_of_those_on_which_they_differ(won: int, lost: int) -> None:
    ours = [True] * won + [False] * lost + [True] * 5
    theirs = [False] * won + [True] * lost + [True] * 5
    assert mcnemar_p(ours, theirs) == pytest.approx(stats.binomtest(won, won + lost, 0.5).pvalue)
    assert mcnemar_p([True], [True]) == 1


@pytest.mark.parametrize(("hits", "n"), [(0, 24), (24, 24), (7, 20)])
def test_the_interval_of_a_share_is_wilsons(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    found = share_interval([1.0] * hits + [0.0] * (n - hits))
    assert found == pytest.approx((hits / n, expected.low, expected.high, n))
