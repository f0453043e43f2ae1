"""Makes the grid or network of a society from its settings; generates networks.

Neighbours are computed in :mod:`sandbox.society.neighborhood`.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from sandbox.errors import ScenarioError
from sandbox.scenario.settings import NETWORKS, SocietySettings
from sandbox.seeding import keyed_rng
from sandbox.society.neighborhood import SocialGrid, SocialNetwork
from sandbox.society.network_files import read_network

if TYPE_CHECKING:
    import networkx as nx


def make_space(society: SocietySettings, size: int, *, random: Random, seed: int) -> SocialGrid | SocialNetwork:
    """Make the grid or network of a society.

    Args:
        society: Settings of the society.
        size: Side of the grid, unless the settings give rows and columns; a generated network has a node for each agent.
        random: The world's generator.
        seed: Seed of a generated network.

    Raises:
        DataFileError: the file of the network cannot be read.
        ScenarioError: the agents do not fit into it, some would have no neighbours, or it lacks the directions or weights that
            the settings ask for.
    """
    if society.on_grid:
        shape = society.shape(size)
        radius = society.radius or max(1, min(shape) // 2)
        return SocialGrid(
            shape,
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
        notes = [*notes, *_directions(graph, society)]
    n = len(graph) if society.agents is None else society.agents
    faults = [*society.quota_faults(n), *_network_faults(graph, society)]
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
    return SocialNetwork(
        graph,
        radius=society.radius or 1,
        capacity=society.capacity,
        random=random,
        hears=society.hears,
        notes=notes,
    )


def _directions(graph: nx.Graph[int], society: SocietySettings) -> list[str]:
    """A note on how the directions of a file are used."""
    if not graph.is_directed():
        return []
    file = Path(society.neighborhood).name
    if society.hears != "both":
        heard = "lead to" if society.hears == "successors" else "come from"
        return [f"network {file}: links have a direction: an agent hears those that its links {heard}"]
    pairs = len({frozenset(link) for link in graph.edges()})
    return [
        f"network {file}: directions are not used: {pairs} pairs of agents with a link in either direction, or in both, are "
        "neighbours of each other; hears=successors or hears=predecessors uses them"
    ]


def _network_faults(graph: nx.Graph[int], society: SocietySettings) -> list[str]:
    faults = []
    if society.hears != "both" and not graph.is_directed():
        faults.append(
            f"hears={society.hears!r} needs links with a direction, and those of {society.neighborhood} have none; use "
            "hears=both"
        )
    if society.weighted:
        given: Any = graph.edges(data="weight")
        weights = [float(weight) for _, _, weight in given if weight is not None]
        if not weights:
            faults.append(f"weighted=yes needs weights of links, and {society.neighborhood} has none; use weighted=no")
        elif negative := [weight for weight in weights if weight < 0]:
            faults.append(
                f"weighted=yes needs weights of 0 or more; {len(negative)} links have less, for example {min(negative):g}"
            )
    return faults


def draw_homes(space: SocialGrid | SocialNetwork, n: int, capacity: int, birth_seed: int) -> list[Any]:
    """Cells on which ``n`` agents begin, by index: one per cell in order if there are as many, else drawn at random."""
    places = space.places()
    if n == len(places):
        return places
    return keyed_rng(birth_seed, "places").sample([place for place in places for _ in range(capacity)], n)


def network(kind: str, n: int, degree: int, seed: int) -> nx.Graph[int]:
    """Generate a network, or read one from a file.

    Args:
        kind: ``small_world``, ``scale_free`` or ``random``; or the path of a file; see
            :func:`~sandbox.society.network_files.read_network`.
        n: Number of nodes of a generated network.
        degree: Mean degree of a generated network.
        seed: Seed of a generated network.

    Returns:
        A graph with nodes 0, 1, ..., in the order of the file; undirected where it is generated.

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
