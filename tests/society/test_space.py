"""Neighbourhoods against their definition, in closed form, and against Mesa's own grids."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesa import Model
from mesa.discrete_space import CellAgent, OrthogonalMooreGrid, OrthogonalVonNeumannGrid

from sandbox.society.neighborhood import SocialGrid, ball

KINDS = ("euclidean", "moore", "von_neumann")


def grid(rows: int, columns: int, kind: str, radius: int, torus: bool = False) -> SocialGrid:
    return SocialGrid((rows, columns), kind=kind, radius=radius, torus=torus, random=random.Random(0))


def is_near(kind: str, rows: int, columns: int, radius: int) -> bool:
    """The definition of each distance, for a difference of so many rows and columns."""
    rows, columns = abs(rows), abs(columns)
    if kind == "euclidean":
        return (rows**2 + columns**2) ** 0.5 <= radius
    return (max(rows, columns) if kind == "moore" else rows + columns) <= radius


@pytest.mark.parametrize("radius", [1, 2, 3, 7])
def test_balls_have_the_sizes_known_in_closed_form(radius: int) -> None:
    """Moore: a square without its centre, (2r+1)^2 - 1. Von Neumann: 4 triangles, 2r(r+1)."""
    assert len(ball("moore", radius)) == (2 * radius + 1) ** 2 - 1
    assert len(ball("von_neumann", radius)) == 2 * radius * (radius + 1)


@pytest.mark.parametrize(("radius", "cells"), [(1, 4), (2, 12), (3, 28), (4, 48), (5, 80)])
def test_euclidean_balls_solve_gauss_circle_problem(radius: int, cells: int) -> None:
    """Lattice points within r of the origin are 5, 13, 29, 49, 81 for r = 1..5 (OEIS A000328), less the origin."""
    assert len(ball("euclidean", radius)) == cells


def test_offsets_are_in_row_major_order_without_the_centre() -> None:
    assert ball("von_neumann", 1).tolist() == [[-1, 0], [0, -1], [0, 1], [1, 0]]
    assert ball("moore", 1).tolist() == [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]]


def test_the_default_of_a_4x4_society_by_hand() -> None:
    """Euclidean radius n // 2 = 2 on 4x4 without wrap-around.

    From the corner (0,0): (0,1) (0,2) (1,0) (1,1) (2,0), and (1,2), (2,1) are sqrt 5 > 2 away. From (1,1), of the 12
    cells of the ball (-1,1) and (1,-1) lie outside: 10 remain.
    """
    world = grid(4, 4, "euclidean", 2)
    assert world.coordinates((0, 0), 2) == [(0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
    assert world.coordinates((1, 1), 2) == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (3, 1)
    ]  # fmt: skip


SIDES = st.integers(1, 7)


@given(st.sampled_from(KINDS), SIDES, SIDES, st.integers(1, 9), st.booleans(), st.data())
def test_neighbourhoods_are_what_their_definition_says(
    kind: str, rows: int, columns: int, radius: int, torus: bool, data: st.DataObject
) -> None:
    """Brute force: every cell of the grid is near or not; on a torus a difference is taken the shorter way round."""
    x, y = data.draw(st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1)))

    def apart(a: int, b: int, side: int) -> int:
        return min(abs(a - b), side - abs(a - b)) if torus else abs(a - b)

    expected = [
        (a, b)
        for a in range(rows)
        for b in range(columns)
        if (a, b) != (x, y) and is_near(kind, apart(a, x, rows), apart(b, y, columns), radius)
    ]
    found = grid(rows, columns, kind, radius, torus).coordinates((x, y), radius)
    assert sorted(found) == expected
    assert len(found) == len(set(found))


def test_only_a_torus_joins_the_edges() -> None:
    """Von Neumann radius 1 at a corner of 3x3: 2 neighbours on the plane; on the torus 4, two of them far edges."""
    assert grid(3, 3, "von_neumann", 1).coordinates((0, 0), 1) == [(0, 1), (1, 0)]
    assert grid(3, 3, "von_neumann", 1, torus=True).coordinates((0, 0), 1) == [(0, 1), (0, 2), (1, 0), (2, 0)]


@pytest.mark.parametrize("torus", [False, True])
@pytest.mark.parametrize(
    ("kind", "theirs"), [("moore", OrthogonalMooreGrid), ("von_neumann", OrthogonalVonNeumannGrid)]
)
def test_cells_answer_as_mesas_do(kind: str, theirs: type, torus: bool) -> None:
    """On 5x6 every cell's neighbourhoods of radius 1 and 2 and its connections are those of Mesa's own grid."""
    ours = grid(5, 6, kind, 2, torus)
    mesas = theirs((5, 6), torus=torus, random=random.Random(0))
    for coordinate, cell in mesas._cells.items():
        mine = ours[coordinate]
        for radius in (1, 2):
            found = {c.coordinate for c in mine.get_neighborhood(radius)}
            assert found == {c.coordinate for c in cell.get_neighborhood(radius)}
        assert {k: c.coordinate for k, c in mine.connections.items()} == {
            k: c.coordinate for k, c in cell.connections.items()
        }


def test_mesas_names_use_the_grids_own_distance() -> None:
    """``neighborhood`` has the grid's radius (euclidean 2: 12 cells), ``get_neighborhood`` has 1 by default (4 cells)."""
    cell = grid(9, 9, "euclidean", 2)[(4, 4)]
    assert len(cell.neighborhood) == 12
    assert len(cell.get_neighborhood()) == 4
    assert len(cell.get_neighborhood(include_center=True)) == 5
    assert cell in cell.get_neighborhood(include_center=True)
    assert cell not in cell.neighborhood
    assert sorted(cell.connections) == [(-1, 0), (0, -1), (0, 1), (1, 0)]


def test_neighbours_are_agents_of_the_own_cell_and_those_near() -> None:
    """Four agents on 1x4 with radius 1: two share cell 1, one lives in cell 2, one in cell 3 which is too far."""
    model = Model(seed=0)
    world = grid(1, 4, "moore", 1)
    agents = [CellAgent(model) for _ in range(4)]
    for agent, column in zip(agents, (1, 1, 2, 3), strict=True):
        agent.move_to(world[(0, column)])
    assert world.neighbors(agents[0]) == [agents[1], agents[2]]
    assert world.neighbors(agents[3]) == [agents[2]]
    agents[1].move_to(world[(0, 3)])
    assert world.neighbors(agents[0]) == [agents[2]]
    assert set(world[(0, 2)].neighborhood.agents) == {agents[0], agents[1], agents[3]}
