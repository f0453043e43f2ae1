"""The lake, the rumour and the jury without language, against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.baselines import averaging, fish_war, rumour_never_heard
from scenarios.naming_game import lattice


@pytest.mark.parametrize("fishers", [1, 2, 4, 9, 12])
@pytest.mark.parametrize("patience", [0.5, 0.9])
def test_fishers_take_what_levhari_and_mirman_found(fishers: int, patience: float) -> None:
    """(1 - b) / (n - (n - 1) b) each. With b = 0.9 and a stock that doubles, nine keep it: 2 (1 - 9/18) = 1."""
    share = fish_war(fishers, patience)
    assert share == pytest.approx((1 - patience) / (fishers - (fishers - 1) * patience), abs=5e-4)
    if patience == 0.9:
        kept = 2 * (1 - fishers * share)
        assert (kept > 1.01, kept < 0.99) == (fishers < 9, fishers > 9)


def test_a_fifth_never_hears_a_rumour() -> None:
    """x = exp(2 (x - 1)) has the root 0.2032 (Daley and Kendall 1964); runs that die out at once are rare."""
    shares = [rumour_never_heard(2000, seed) for seed in range(20)]
    assert np.mean(shares) == pytest.approx(0.2032, abs=0.01)
    assert np.exp(2 * (0.2032 - 1)) == pytest.approx(0.2032, abs=1e-4)


def test_averaging_ends_at_the_weighted_mean_and_never_polarises() -> None:
    """On a 3x3 grid the weights are 3, 4, 3, 4, 5, 4, 3, 4, 3 of 33 (DeGroot 1974)."""
    first = [0.9, 0.1, 0.8, 0.4, 1.0, 0.0, 0.3, 0.7, 0.2]
    weights = [len(near) + 1 for near in lattice(3)]
    assert weights == [3, 4, 3, 4, 5, 4, 3, 4, 3]
    found = averaging(first, lattice(3), 200)
    assert found[-1] == pytest.approx(np.full(9, np.dot(weights, first) / 33))
    spans = [1.0, *(float(np.ptp(now)) for now in found)]
    assert spans == sorted(spans, reverse=True)
