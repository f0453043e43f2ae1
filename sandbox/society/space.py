"""Makes the grid or network of a society from its settings; generates networks.

Neighbours are computed in :mod:`sandbox.society.neighborhood`.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from sandbox.errors import ScenarioError
from sandbox.scenario.settings import NETWORKS, SocietySettings
from sandbox.society.neighborhood import SocialGrid, SocialNetwork
from sandbox.society.network_files import read_network

if TYPE_CHECKING:
    import networkx as nx


def make_space(society: SocietySettings, size: int, *, random: Random, seed: int) -> SocialGrid | SocialNetwork:
    """Make the grid or network of a society.

    Args:
        society: Settings of the society.
        size: Side of the grid; a generated network has as many nodes as there are agents.
        random: The world's generator.
        seed: Seed of a generated network.

    Raises:
        DataFileError: the file of the network cannot be read.
        ScenarioError: the agents do not fit into it, or some would have no neighbours.
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
    notes: list[str] = []
    if society.neighborhood in NETWORKS:
        graph = network(society.neighborhood, society.count(size), society.degree, seed)
    else:
        graph, notes = read_network(society.neighborhood)
    n = len(graph) if society.agents is None else society.agents
    faults = society.quota_faults(n)
    if n > len(graph) * society.capacity:
        faults.append(f"{n} agents do not fit on {len(graph)} nodes with {society.capacity} each")
    if society.audience == "local" and society.agents is None:
        alone = sorted(node for node, degree in graph.degree() if not degree)
        if alone:
            faults.append(
                f"{len(alone)} nodes have no neighbours, for example node {alone[0]}; use audience=local_global, or remove them"
            )
    if faults:
        raise ScenarioError("this society cannot be set up:\n" + "\n".join(f"  {f}" for f in faults))
    return SocialNetwork(graph, radius=society.radius or 1, capacity=society.capacity, random=random, notes=notes)


def network(kind: str, n: int, degree: int, seed: int) -> nx.Graph[int]:
    """Generate a network, or read one from a file.

    Args:
        kind: ``small_world``, ``scale_free`` or ``random``; or the path of a file; see
            :func:`~sandbox.society.network_files.read_network`.
        n: Number of nodes of a generated network.
        degree: Mean degree of a generated network.
        seed: Seed of a generated network.

    Returns:
        An undirected graph with nodes 0, 1, ..., in the order of the file.

    Raises:
        DataFileError: the file cannot be read.
    """
    import networkx as nx

    degree = min(degree, n - 1)
    if kind == "small_world":
        # Rewiring a tenth of the links gives short paths and high clustering (Watts and Strogatz 1998, figure 2).
        drawn = nx.connected_watts_strogatz_graph(n, max(2, degree - degree % 2), 0.1, tries=1000, seed=seed)
    elif kind == "scale_free":
        drawn = nx.barabasi_albert_graph(n, max(1, degree // 2), seed=seed)
    elif kind == "random":
        drawn = nx.fast_gnp_random_graph(n, degree / (n - 1), seed=seed)
        # An isolated node is linked to the next one.
        drawn.add_edges_from([(v, (v + 1) % n) for v in list(nx.isolates(drawn))])
    else:
        return read_network(kind)[0]
    return nx.convert_node_labels_to_integers(drawn)
