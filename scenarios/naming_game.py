"""The naming game without language: the baseline of ``norm_emergence``, in numpy.

The minimal naming game (Baronchelli, Felici, Loreto, Caglioti and Steels 2006, arXiv:physics/0509075): a speaker says a
name from its inventory, and invents one if that is empty; if the hearer knows the name, both keep only this name;
otherwise the hearer adds it. The number of games to consensus grows as N^2 on a two-dimensional lattice, and as N^1.5 if all
agents meet (Baronchelli, Dall'Asta, Barrat and Loreto 2006, arXiv:physics/0512045).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def lattice(size: int, *, torus: bool = False) -> list[list[int]]:
    """The four nearest neighbours of each cell of a grid, fewer at the edges without a torus.

    Args:
        size: Side of the grid.
        torus: Whether opposite edges are joined.
    """
    offsets = [(-1, 0), (0, -1), (0, 1), (1, 0)]
    found = []
    for x in range(size):
        for y in range(size):
            near = [((x + dx) % size, (y + dy) % size) if torus else (x + dx, y + dy) for dx, dy in offsets]
            inside = dict.fromkeys(a * size + b for a, b in near if 0 <= a < size and 0 <= b < size)
            found.append([other for other in inside if other != x * size + y])
    return found


def games_to_consensus(neighbours: Sequence[Sequence[int]], seed: int, *, at_most: int = 10_000_000) -> int | None:
    """Play until all agents know only the same name.

    Args:
        neighbours: Neighbours of each agent.
        seed: Seed of the draws.
        at_most: Maximum number of games.

    Returns:
        Number of games; None if ``at_most`` were not enough.
    """
    draw = np.random.default_rng(seed)
    known: list[list[int]] = [[] for _ in neighbours]
    names, inventories, n = 0, 0, len(neighbours)  # inventories: total size of all inventories
    holders: dict[int, int] = {}  # number of agents that know each name
    for start in range(0, at_most, 4096):
        chances = draw.random((min(4096, at_most - start), 3))
        for game, (who, whom, which) in enumerate(chances.tolist(), start + 1):
            speaker = int(who * n)
            near = neighbours[speaker]
            hearer = near[int(whom * len(near))]
            if not known[speaker]:
                known[speaker].append(names)
                holders[names] = 1
                names, inventories = names + 1, inventories + 1
            name = known[speaker][int(which * len(known[speaker]))]
            if name in known[hearer]:
                for agent in (speaker, hearer):
                    for other in known[agent]:
                        holders[other] -= other != name
                    inventories -= len(known[agent]) - 1
                    known[agent] = [name]
            else:
                known[hearer].append(name)
                holders[name] += 1
                inventories += 1
            if inventories == n and holders[name] == n:
                return game
    return None
