"""The naming game without language, against what is known of it."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.naming_game import games_to_consensus, lattice


def complete(n: int) -> list[list[int]]:
    return [[other for other in range(n) if other != agent] for agent in range(n)]


def mean_games(neighbours: list[list[int]], runs: int) -> float:
    played = [games_to_consensus(neighbours, seed) for seed in range(runs)]
    return float(np.mean([games for games in played if games is not None]))


def slope(sizes: list[int], times: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def test_two_agents_agree_in_one_game() -> None:
    """The speaker invents a name, the hearer learns it: both know it alone."""
    assert {games_to_consensus(complete(2), seed) for seed in range(20)} == {1}


def test_three_agents_take_191_36ths_of_a_game_on_average() -> None:
    """Exact, by first-step analysis of the chain of inventories of three agents who all meet.

    After the first game two know A. Let E1 be the games left from (A, A, -), E2 from (A, AB, B), E3 from (A, A, B), E4 from
    (AB, AB, B), E5 from (A, A, AB) and E6 from (AB, AB, AB), up to names and places. The six ordered pairs give

        E1 = 1 + E1/3 + E2/3            E2 = 1 + E3/2 + E4/2           E3 = 1 + E3/3 + E5/3 + E2/3
        E4 = 1 + E3/6 + E5/2 + E6/6     E5 = 1 + E5/3 + E4/6           E6 = 1 + E5

    whose solution is E5 = 131/54, E4 = 100/27, E3 = 149/27, E2 = 101/18, E1 = 155/36; with the first game 191/36 = 5.31.
    """
    equations = np.array([
        [2 / 3, -1 / 3, 0, 0, 0, 0],
        [0, 1, -1 / 2, -1 / 2, 0, 0],
        [0, -1 / 3, 2 / 3, 0, -1 / 3, 0],
        [0, 0, -1 / 6, 1, -1 / 2, -1 / 6],
        [0, 0, 0, -1 / 6, 2 / 3, 0],
        [0, 0, 0, 0, -1, 1],
    ])  # fmt: skip
    assert 1 + np.linalg.solve(equations, np.ones(6))[0] == pytest.approx(191 / 36)
    played = np.array([games_to_consensus(complete(3), seed) for seed in range(600)], dtype=float)
    error = played.std(ddof=1) / np.sqrt(len(played))
    assert played.mean() == pytest.approx(191 / 36, abs=4 * error)


def test_a_lattice_takes_the_square_of_its_agents() -> None:
    """Baronchelli and others 2006: N^(1 + 2/d) games, so N^2 in two dimensions, where all meet N^1.5."""
    sides = [3, 4, 6, 8]
    on_grid = slope([s * s for s in sides], [mean_games(lattice(s, torus=True), 40) for s in sides])
    all_meet = slope([s * s for s in sides], [mean_games(complete(s * s), 40) for s in sides])
    assert on_grid == pytest.approx(2.0, abs=0.2)
    assert all_meet == pytest.approx(1.5, abs=0.2)
    assert on_grid > all_meet


def test_the_grid_is_that_of_the_world() -> None:
    """3x3 without edges that meet: corners have two neighbours, the middle four."""
    assert lattice(3)[0] == [1, 3]
    assert lattice(3)[4] == [1, 3, 5, 7]
    assert all(len(near) == 4 for near in lattice(4, torus=True))


def test_games_may_not_be_enough() -> None:
    assert games_to_consensus(lattice(5), 0, at_most=3) is None
