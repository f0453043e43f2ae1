"""Where agents live and who their neighbours are, on Mesa's discrete space.

Mesa builds each cell's neighbourhood in Python and keeps it for good; here a neighbourhood is a table of offsets,
looked up with numpy when it is asked for, behind the same names (``cell.neighborhood``, ``cell.get_neighborhood``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from mesa.discrete_space import Cell, CellAgent, CellCollection, Network, OrthogonalMooreGrid
from numpy.typing import NDArray

from sandbox.errors import DataFileError, ScenarioError
from sandbox.scenario.settings import SocietySettings

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
    """A cell that asks its grid who is near, and keeps nothing."""

    __slots__ = ("grid",)
    grid: SocialGrid

    @property
    def connections(self) -> dict[tuple[int, ...], Cell]:
        """Direct neighbours by relative coordinate, as Mesa's cells have them."""
        x, y = self.coordinate
        rows, columns = self.grid.dimensions
        found: dict[tuple[int, ...], Cell] = {}
        for dx, dy in ball(self.grid.kind, 1).tolist():
            # On a torus the neighbour over the edge stays one step away.
            place = ((x + dx) % rows, (y + dy) % columns) if self.grid.torus else (x + dx, y + dy)
            if place in self.grid._cells and place != self.coordinate:
                found[dx, dy] = self.grid[place]
        return found

    @connections.setter
    def connections(self, _: dict[tuple[int, ...], Cell]) -> None:
        """Mesa sets this to empty when a cell is made; there is nothing to keep."""

    @property
    def neighborhood(self) -> CellCollection[Cell]:
        """The cells within the grid's own radius."""
        return self.get_neighborhood(self.grid.radius)

    def get_neighborhood(self, radius: int = 1, include_center: bool = False) -> CellCollection[Cell]:
        """The cells within ``radius``, by the grid's measure of distance."""
        near = [self.grid[c] for c in self.grid.coordinates(self.coordinate, radius)]
        cells = [*near, self] if include_center else near
        return CellCollection({cell: cell._agents for cell in cells}, random=self.random)


class SocialGrid(OrthogonalMooreGrid[SocialCell]):
    """A grid on which neighbours are all agents within a distance.

    For Mesa it is an orthogonal grid, so that Mesa's renderers know how to draw it; which cells are near is our own.

    Args:
        dimensions: Rows and columns.
        kind: How distance is measured.
        radius: How far neighbours live, in cells.
        torus: Whether the edges meet.
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
        self._balls: dict[int, NDArray[np.int64]] = {}
        super().__init__(tuple(dimensions), torus=torus, capacity=capacity, random=random, cell_klass=SocialCell)
        for cell in self:
            cell.grid = self

    def _connect_cells(self) -> None:
        """Connect nothing: neighbourhoods are computed when they are asked for."""

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
            found = np.unique(found % shape, axis=0)  # a ball wider than the grid meets itself
            return found[(found != np.asarray(center)).any(axis=1)]
        return found[((found >= 0) & (found < shape)).all(axis=1)]

    def neighbors(self, agent: CellAgent) -> list[Any]:
        """The agents near ``agent``, those of its own cell first, then in the order of cells."""
        here = [other for other in agent.cell._agents if other is not agent]
        cells = self._cells
        return here + [
            other for c in self.coordinates(agent.cell.coordinate, self.radius) for other in cells[c]._agents
        ]

    def places(self) -> list[Any]:
        """All cells, in row-major order."""
        return list(self._cells.values())

    def free_near(self, agent: CellAgent) -> list[Any]:
        """Cells within the radius that have room."""
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
    """A network in which neighbours are all agents within some steps.

    Args:
        graph: Its nodes are 0, 1, ...
        radius: How many steps away neighbours live.
        capacity: Agents at a node at most.
        random: The world's generator.
    """

    def __init__(self, graph: nx.Graph[int], *, radius: int = 1, capacity: int | None = None, random: Random) -> None:
        self.radius = radius
        self.side = max(1, int(np.ceil(np.sqrt(len(graph)))))
        super().__init__(graph, capacity=capacity, random=random)

    def neighbors(self, agent: CellAgent) -> list[Any]:
        """The agents near ``agent``, those of its own node first, then in the order of nodes."""
        here = [other for other in agent.cell._agents if other is not agent]
        return here + [other for cell in self._cells_near(agent) for other in cell._agents]

    def places(self) -> list[Any]:
        """All nodes, in order."""
        return list(self._cells.values())

    def free_near(self, agent: CellAgent) -> list[Any]:
        """Nodes within the radius that have room."""
        return [cell for cell in self._cells_near(agent) if not cell.is_full]

    def position(self, agent: CellAgent) -> tuple[int, int]:
        """Where a picture draws an agent: its node's row and column, nodes being laid out in rows."""
        return self.position_of(agent.cell)

    def position_of(self, place: Any) -> tuple[int, int]:
        """Row and column of a node."""
        row, column = divmod(place.coordinate, self.side)
        return row, column

    def _cells_near(self, agent: CellAgent) -> list[Any]:
        # Mesa would keep every neighbourhood for good.
        center = agent.cell.coordinate
        seen, edge = {center}, [center]
        for _ in range(self.radius):
            edge = [other for node in edge for other in self.G.neighbors(node) if other not in seen]
            edge = list(dict.fromkeys(edge))
            seen.update(edge)
        return [self._cells[node] for node in sorted(seen - {center})]


def make_space(society: SocietySettings, size: int, *, random: Random, seed: int) -> SocialGrid | SocialNetwork:
    """Build the place where a society lives.

    Args:
        society: Its settings.
        size: Side of the grid; a network that is drawn has as many nodes as agents are wanted.
        random: The world's generator.
        seed: Of the network that is drawn.

    Raises:
        DataFileError: the network's file cannot be read.
        ScenarioError: agents do not fit into it, or some would have no neighbours.
    """
    if society.on_grid:
        radius = society.radius or max(1, size // 2)
        return SocialGrid(
            (size, size),
            kind=society.neighborhood,
            radius=radius,
            torus=society.torus,
            capacity=society.capacity,
            random=random,
        )
    graph = network(society.neighborhood, society.count(size), society.degree, seed)
    n = len(graph) if society.agents is None else society.agents
    faults = society.quota_faults(n)
    if n > len(graph) * society.capacity:
        faults.append(f"{n} agents do not fit on {len(graph)} nodes with {society.capacity} each")
    if society.audience == "local" and society.agents is None:
        alone = sorted(node for node, degree in graph.degree() if not degree)
        if alone:
            faults.append(
                f"{len(alone)} nodes have no neighbours, as node {alone[0]}; use audience=local_global, or drop them"
            )
    if faults:
        raise ScenarioError("this society cannot be set up:\n" + "\n".join(f"  {f}" for f in faults))
    return SocialNetwork(graph, radius=society.radius or 1, capacity=society.capacity, random=random)


def network(kind: str, n: int, degree: int, seed: int) -> nx.Graph[int]:
    """Draw a network, or read one from a file.

    Args:
        kind: ``small_world``, ``scale_free`` or ``random``; or the path of a GraphML or edge-list file.
        n: Nodes of a drawn network.
        degree: Mean number of links of a node in a drawn network.
        seed: Of the drawing.

    Returns:
        An undirected graph whose nodes are 0, 1, ..., in the order of the file.

    Raises:
        DataFileError: the file cannot be read.
    """
    import networkx as nx

    degree = min(degree, n - 1)
    if kind == "small_world":
        # Rewiring a tenth of the links gives short paths and much clustering (Watts and Strogatz 1998, figure 2).
        drawn = nx.connected_watts_strogatz_graph(n, max(2, degree - degree % 2), 0.1, tries=1000, seed=seed)
    elif kind == "scale_free":
        drawn = nx.barabasi_albert_graph(n, max(1, degree // 2), seed=seed)
    elif kind == "random":
        drawn = nx.fast_gnp_random_graph(n, degree / (n - 1), seed=seed)
        # Nobody is left alone: a lone node is linked to the next one.
        drawn.add_edges_from([(v, (v + 1) % n) for v in list(nx.isolates(drawn))])
    else:
        path = Path(kind)
        try:
            drawn = nx.read_graphml(path) if path.suffix == ".graphml" else nx.read_edgelist(path, comments="#")
        except OSError as error:
            raise DataFileError(f"network {kind!r} cannot be read: {error.strerror}") from None
        except Exception as error:  # networkx lets every parser's own errors through
            raise DataFileError(f"network {kind!r} is not GraphML or an edge list: {error}") from None
        if len(drawn) < 2:
            raise DataFileError(f"network {kind!r} has {len(drawn)} nodes; a society needs at least 2")
        drawn = nx.Graph(drawn)
    return nx.convert_node_labels_to_integers(drawn)
