"""Who is whose neighbour: grids and networks on Mesa's discrete space.

Mesa builds each cell's neighbourhood in Python and caches it; here a neighbourhood is computed with numpy from a table of
offsets when it is needed, behind the same names (``cell.neighborhood``, ``cell.get_neighborhood``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from mesa.discrete_space import Cell, CellAgent, CellCollection, Network, OrthogonalMooreGrid
from numpy.typing import NDArray

if TYPE_CHECKING:
    import networkx as nx


def ball(kind: str, radius: int) -> NDArray[np.int64]:
    """Offsets of all cells within ``radius`` of the centre, without it. Shape [cells, 2], in row-major order.

    ``euclidean`` measures straight lines (the paper's release), ``moore`` the larger of the two differences,
    ``von_neumann`` their sum.
    """
    side = np.arange(-radius, radius + 1)
    rows, columns = (grid.ravel() for grid in np.meshgrid(side, side, indexing="ij"))
    if kind == "euclidean":
        inside = rows**2 + columns**2 <= radius**2
    elif kind == "moore":
        inside = np.maximum(abs(rows), abs(columns)) <= radius
    else:
        inside = abs(rows) + abs(columns) <= radius
    inside &= (rows != 0) | (columns != 0)
    return np.stack([rows[inside], columns[inside]], axis=1)


class SocialCell(Cell):
    """A cell that takes its neighbourhood from the grid and caches nothing."""

    __slots__ = ("grid",)
    grid: SocialGrid

    @property
    def connections(self) -> dict[tuple[int, ...], Cell]:
        """Direct neighbours by relative coordinate, as in Mesa's cells."""
        x, y = self.coordinate
        rows, columns = self.grid.dimensions
        found: dict[tuple[int, ...], Cell] = {}
        for dx, dy in ball(self.grid.kind, 1).tolist():
            # On a torus a neighbour across the edge is one step away.
            place = ((x + dx) % rows, (y + dy) % columns) if self.grid.torus else (x + dx, y + dy)
            if place in self.grid._cells and place != self.coordinate:
                found[dx, dy] = self.grid[place]
        return found

    @connections.setter
    def connections(self, _: dict[tuple[int, ...], Cell]) -> None:
        """Ignore what Mesa sets when a cell is made."""

    @property
    def neighborhood(self) -> CellCollection[Cell]:
        """The cells within the grid's own radius."""
        return self.get_neighborhood(self.grid.radius)

    def get_neighborhood(self, radius: int = 1, include_center: bool = False) -> CellCollection[Cell]:
        """The cells within ``radius``, in the grid's metric."""
        near = [self.grid[c] for c in self.grid.coordinates(self.coordinate, radius)]
        cells = [*near, self] if include_center else near
        return CellCollection({cell: cell._agents for cell in cells}, random=self.random)


class SocialGrid(OrthogonalMooreGrid[SocialCell]):
    """A grid on which all agents within a radius are neighbours.

    A subclass of Mesa's orthogonal grid, so that Mesa's renderers can draw it; the neighbourhoods are computed here.

    Args:
        dimensions: Rows and columns.
        kind: Metric: ``euclidean``, ``moore`` or ``von_neumann``; see :func:`ball`.
        radius: Maximum distance of neighbours, in cells.
        torus: Whether opposite edges are joined.
        capacity: Maximum number of agents in a cell; None for no limit.
        random: The world's generator.
    """

    def __init__(
        self,
        dimensions: Sequence[int],
        *,
        kind: str = "euclidean",
        radius: int = 1,
        torus: bool = False,
        capacity: int | None = None,
        random: Random,
    ) -> None:
        self.kind = kind
        self.radius = radius
        self.notes: tuple[str, ...] = ()
        self._balls: dict[int, NDArray[np.int64]] = {}
        super().__init__(tuple(dimensions), torus=torus, capacity=capacity, random=random, cell_klass=SocialCell)
        for cell in self:
            cell.grid = self

    def _connect_cells(self) -> None:
        """Connect nothing: neighbourhoods are computed when they are needed."""

    def coordinates(self, center: Sequence[int], radius: int) -> list[tuple[int, int]]:
        """Coordinates within ``radius`` of ``center``, without it, in row-major order of offsets."""
        return [(int(x), int(y)) for x, y in self._near(center, radius)]

    def _near(self, center: Sequence[int], radius: int) -> NDArray[np.int64]:
        offsets = self._balls.get(radius)
        if offsets is None:
            offsets = self._balls[radius] = ball(self.kind, radius)
        found = offsets + np.asarray(center)
        shape = np.asarray(self.dimensions)
        if self.torus:
            found = np.unique(found % shape, axis=0)  # a ball wider than the grid overlaps itself
            return found[(found != np.asarray(center)).any(axis=1)]
        return found[((found >= 0) & (found < shape)).all(axis=1)]

    def neighbors(self, agent: CellAgent) -> list[Any]:
        """The neighbours of ``agent``: those in its own cell first, then in the order of cells."""
        here = [other for other in agent.cell._agents if other is not agent]
        cells = self._cells
        return here + [
            other for c in self.coordinates(agent.cell.coordinate, self.radius) for other in cells[c]._agents
        ]

    def weight(self, agent: CellAgent, other: CellAgent) -> float:
        """1 where ``other`` is a neighbour of ``agent``, else 0."""
        if agent is other:
            return 0.0
        near = {agent.cell.coordinate, *self.coordinates(agent.cell.coordinate, self.radius)}
        return float(other.cell.coordinate in near)

    def node(self, agent: CellAgent) -> Mapping[str, Any]:
        """Attributes of an agent's cell; there are none on a grid."""
        return self.attributes(agent.cell)

    def attributes(self, place: Any) -> Mapping[str, Any]:
        """Attributes of a cell; there are none on a grid."""
        return MappingProxyType({})

    def places(self) -> list[Any]:
        """All cells, in row-major order."""
        return list(self._cells.values())

    def free_near(self, agent: CellAgent) -> list[Any]:
        """Cells within the radius that are not full."""
        cells = (self._cells[c] for c in self.coordinates(agent.cell.coordinate, self.radius))
        return [cell for cell in cells if not cell.is_full]

    def position(self, agent: CellAgent) -> tuple[int, int]:
        """Row and column of an agent."""
        return self.position_of(agent.cell)

    def position_of(self, place: Any) -> tuple[int, int]:
        """Row and column of a cell."""
        x, y = place.coordinate
        return x, y


class SocialNetwork(Network):
    """A network in which all agents within a number of steps are neighbours.

    Args:
        graph: A graph with nodes 0, 1, ..., directed or not; nodes may have attributes, and links a ``weight``.
        radius: Maximum distance of neighbours, in steps.
        capacity: Maximum number of agents at a node; None for no limit.
        random: The world's generator.
        hears: Of a directed graph, the ends of its links that an agent hears, and that thus are its neighbours: ``both``,
            ``successors`` (those that its links lead to) or ``predecessors`` (those whose links lead to it).
        notes: Remarks on how the graph was read.

    Attributes:
        links: The graph as it was given.
        G: The graph of who hears whom: undirected with ``both``, else with links from hearers to those they hear.
    """

    def __init__(
        self,
        graph: nx.Graph[int],
        *,
        radius: int = 1,
        capacity: int | None = None,
        random: Random,
        hears: str = "both",
        notes: Sequence[str] = (),
    ) -> None:
        self.radius = radius
        self.hears = hears
        self.links = graph
        self.notes = tuple(notes)
        self.side = max(1, int(np.ceil(np.sqrt(len(graph)))))
        if hears == "both":
            heard = graph.to_undirected() if graph.is_directed() else graph
        else:
            heard = graph.reverse() if hears == "predecessors" else graph  # type: ignore[attr-defined]
        self.moves_along = graph.to_undirected(as_view=True)
        super().__init__(heard, capacity=capacity, random=random)

    def neighbors(self, agent: CellAgent) -> list[Any]:
        """The neighbours of ``agent``, whom it hears: those at its own node first, then in the order of nodes."""
        here = [other for other in agent.cell._agents if other is not agent]
        return here + [other for cell in self._cells_near(agent, self.G) for other in cell._agents]

    def weight(self, agent: CellAgent, other: CellAgent) -> float:
        """Weight of the link by which ``agent`` hears ``other``: 1 where the network has no weights.

        With ``hears="both"`` that of the link from ``agent`` to ``other``, or else of the one from ``other`` to ``agent``. Of
        neighbours without a link of their own, at the same node or several steps apart, it is 1; of all others 0.
        """
        if agent is other:
            return 0.0
        a, b = agent.cell.coordinate, other.cell.coordinate
        ends = (b, a) if self.hears == "predecessors" else (a, b)
        for link in (ends, ends[::-1]) if self.hears == "both" else (ends,):
            if self.links.has_edge(*link):
                return float(self.links.edges[link].get("weight", 1.0))
        return float(a == b or (self.radius > 1 and other.cell in self._cells_near(agent, self.G)))

    def node(self, agent: CellAgent) -> Mapping[str, Any]:
        """Attributes of the node on which an agent is, as the network's file has them."""
        return self.attributes(agent.cell)

    def attributes(self, place: Any) -> Mapping[str, Any]:
        """Attributes of a node, as the network's file has them."""
        return MappingProxyType(self.links.nodes[place.coordinate])

    def places(self) -> list[Any]:
        """All nodes, in order."""
        return list(self._cells.values())

    def free_near(self, agent: CellAgent) -> list[Any]:
        """Nodes within the radius that are not full, along links in either direction."""
        return [cell for cell in self._cells_near(agent, self.moves_along) if not cell.is_full]

    def position(self, agent: CellAgent) -> tuple[int, int]:
        """Row and column of an agent in pictures, which lay out the nodes in rows."""
        return self.position_of(agent.cell)

    def position_of(self, place: Any) -> tuple[int, int]:
        """Row and column of a node."""
        row, column = divmod(place.coordinate, self.side)
        return row, column

    def add_node(self, linked: Sequence[int]) -> Any:
        """Add a node with the next number, with a link to each of some nodes, and of a directed graph one from it."""
        cell = self.cell_klass(coordinate=len(self._cells), capacity=self.capacity, random=self.random)
        self.add_cell(cell)
        self.links.add_node(cell.coordinate)
        for node in linked:
            self.add_connection(cell, self._cells[node])
            for graph in (self.links, self.G):
                graph.add_edge(cell.coordinate, node)
                graph.add_edge(node, cell.coordinate)
        return cell

    def remove_node(self, cell: Any) -> None:
        """Remove the node that was added last."""
        del self._cells[cell.coordinate]
        self.__dict__.pop("all_cells", None)
        for other in list(cell.connections.values()):
            other.disconnect(cell)
        for graph in (self.links, self.G):
            if cell.coordinate in graph:  # with undirected links both are one
                graph.remove_node(cell.coordinate)

    def _cells_near(self, agent: CellAgent, graph: nx.Graph[int]) -> list[Any]:
        # Mesa would cache every neighbourhood.
        center = agent.cell.coordinate
        seen, edge = {center}, [center]
        for _ in range(self.radius):
            edge = [other for node in edge for other in graph.neighbors(node) if other not in seen]
            edge = list(dict.fromkeys(edge))
            seen.update(edge)
        return [self._cells[node] for node in sorted(seen - {center})]
