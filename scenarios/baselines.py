"""Games of scenarios without language, in numpy: the lake of ``commons``, the claim of ``rumour``, the jury of ``jury``.

Each is held to a known result by ``tests/scenarios/test_baselines.py``. That of ``norm_emergence`` is in
``scenarios.naming_game``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fish_war(fishers: int, patience: float) -> float:
    """The lake without language: the share of the stock that each fisher takes, when each answers the others best.

    Levhari and Mirman (1980, Bell Journal of Economics 11) without a capacity: a fisher that takes the share x a month, where
    the others take o in all, values the future at the sum over months t of patience^t log(x S_t), with a stock S that grows by
    a factor after each month. All improve their shares step by step. The equilibrium is (1 - b) / (n - (n - 1) b) for n
    fishers of patience b, and 1 - b in all if they decided together.

    Args:
        fishers: Number of fishers.
        patience: Worth of next month's log catch relative to this month's, in (0, 1).

    Returns:
        The share of each, in (0, 1).
    """
    shares = np.linspace(0.0005, 0.9995, 2000)
    found = 0.5 / fishers
    for _ in range(400):
        left = 1 - shares - (fishers - 1) * found
        worth = np.full(len(shares), -np.inf)
        able = left > 0
        worth[able] = np.log(shares[able]) / (1 - patience) + patience / (1 - patience) ** 2 * np.log(left[able])
        found += 0.1 * (float(shares[np.argmax(worth)]) - found)
    return found


def rumour_never_heard(n: int, seed: int = 0) -> float:
    """The rumour without language: share of ``n`` people who never hear it, if one begins to tell it.

    Maki and Thompson (1973), after Daley and Kendall (1964): a teller calls somebody at random; who has not heard the rumour
    becomes a teller, and who calls somebody that has heard it stops telling. For large n the share tends to the root below 1
    of x = exp(2 (x - 1)), about 0.203.
    """
    draw = np.random.default_rng(seed)
    has_heard = np.zeros(n, dtype=bool)
    has_heard[0] = True
    tellers = [0]
    while tellers:
        place = int(draw.integers(len(tellers)))
        called = int(draw.integers(n - 1))
        called += called >= tellers[place]
        if has_heard[called]:
            tellers[place] = tellers[-1]
            tellers.pop()
        else:
            has_heard[called] = True
            tellers.append(called)
    return float(1 - has_heard.mean())


def averaging(opinions: Sequence[float], neighbours: Sequence[Sequence[int]], rounds: int) -> list[NDArray[np.float64]]:
    """The jury without language: opinions after each round, when all move to the mean of their own and their neighbours'.

    DeGroot (1974, Journal of the American Statistical Association 69). In a connected network of mutual neighbours all end at
    one opinion: the mean of the first ones, weighted by the number of neighbours plus one. So averaging explains why a jury
    agrees, but not why it would go further than its mean.

    Args:
        opinions: First opinion of each, in [0, 1].
        neighbours: Neighbours of each.
        rounds: Number of rounds.
    """
    now = np.asarray(opinions, dtype=np.float64)
    found = []
    for _ in range(rounds):
        now = np.array([now[[i, *near]].mean() for i, near in enumerate(neighbours)])
        found.append(now)
    return found
