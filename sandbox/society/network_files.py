"""Networks from files: GraphML, GEXF, GML and edge lists, with their directions, weights and attributes of nodes.

Notes state what is dropped, or decided by the form of the file. How directions are used is decided in
:mod:`sandbox.society.space`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.data_files import read_text
from sandbox.errors import DataFileError
from sandbox.society.edge_lists import Links, read_edge_list, read_weight

if TYPE_CHECKING:
    import networkx as nx

_FORMATS = {".graphml": "GraphML", ".gexf": "GEXF", ".gml": "GML"}
_NAMES, _WEIGHTS = ("name", "label"), ("weight", "value")


def read_network(path: str | Path) -> tuple[nx.Graph[int], list[str]]:
    """Read a network from a file.

    Args:
        path: ``.graphml``, ``.gexf`` or ``.gml``; any other suffix is an edge list.

    Returns:
        A graph with nodes 0, 1, ..., in the order of the file; directed where the file's links have a source and a target, as
        the lines of edge lists do. Nodes have the attributes of the file, and ``name`` where they are named; links
        have ``weight`` where the file has weights, else none. And notes on how the file was read.

    Raises:
        DataFileError: the file cannot be read; names the line, where there is one.
    """
    import networkx as nx

    file = Path(path)
    links = _read_graph(file) if file.suffix in _FORMATS else read_edge_list(file)
    notes = links.notes
    loops = sum(a == b for a, b, _ in links.ends)
    ends = [(a, b, weight) for a, b, weight in links.ends if a != b]
    nodes = dict.fromkeys((*links.nodes, *(end for a, b, _ in links.ends for end in (a, b))))
    if len(nodes) < 2:
        raise DataFileError(f"network {str(path)!r} has {len(nodes)} nodes; a society needs at least 2")
    number = {node: index for index, node in enumerate(nodes)}
    made: nx.Graph[int] = nx.DiGraph() if links.is_directed else nx.Graph()
    attributes, dropped = _attributes(list(nodes), links.nodes)
    made.add_nodes_from((number[node], of) for node, of in zip(nodes, attributes, strict=True))
    has_weights = any(weight is not None for _, _, weight in ends)
    repeated = unweighted = 0
    for a, b, weight in ends:
        link = (number[a], number[b])
        unweighted += weight is None
        is_known = made.has_edge(*link)
        repeated += is_known
        if has_weights:
            made.add_edge(
                *link, weight=(made.edges[link]["weight"] if is_known else 0.0) + (1.0 if weight is None else weight)
            )
        else:
            made.add_edge(*link)
    if repeated:
        words = f"{repeated} repeated {'link counts' if repeated == 1 else 'links count'} once"
        notes.append(f"{words}, with the sum of the weights" if has_weights else words)
    if loops:
        notes.append(f"{loops} {'link' if loops == 1 else 'links'} from a node to itself dropped")
    if has_weights and unweighted:
        words = "link has no weight and counts" if unweighted == 1 else "links have no weight and count"
        notes.append(f"{unweighted} {words} as 1")
    for name, count in dropped:
        many = "node" if count == 1 else "nodes"
        notes.append(f"the attribute {name!r} of {count} {many} is dropped: it is neither text nor a number")
    return made, [f"network {file.name}: {note}" for note in notes]


def _read_graph(path: Path) -> Links:
    kind = _FORMATS[path.suffix]
    try:
        graph: Any = _read_gml(path) if kind == "GML" else _reader(kind)(path)
    except OSError as error:
        raise DataFileError(f"network {str(path)!r} cannot be read: {error.strerror}") from None
    except DataFileError:
        raise
    except Exception as error:  # networkx raises whatever its parsers raise
        raise DataFileError(f"network {str(path)!r} is not {kind}: {error}") from None
    given = [attributes for _, _, attributes in graph.edges(data=True)]
    key = next((name for name in _WEIGHTS if any(name in of for of in given)), None)
    ends = [
        (a, b, None if key not in of else read_weight(of[key], f"network {str(path)!r}, link from {a} to {b}"))
        for a, b, of in graph.edges(data=True)
    ]
    notes = [f"the attribute {key!r} of the links is taken as their weights"] if key not in (None, "weight") else []
    known = {key, "id", "label", "weight"}
    others = sorted({name for of in given for name in of} - known)
    if others:
        notes.append(f"other attributes of links are not used: {', '.join(map(str, others))}")
    return Links(ends, graph.is_directed(), dict(graph.nodes(data=True)), notes)


def _reader(kind: str) -> Any:
    import networkx as nx

    return getattr(nx, f"read_{kind.lower()}")


def _read_gml(path: Path) -> Any:
    """Read GML that names its nodes by labels or only by numbers, with several links between two nodes or without."""
    import networkx as nx

    text = read_text(path)
    if "multigraph" not in text:
        # Else networkx refuses repeated links; they are counted later.
        text = re.sub(r"\bgraph(\s*)\[", r"graph\1[ multigraph 1 ", text, count=1)
    try:
        return nx.parse_gml(text)
    except nx.NetworkXError as error:
        if "label" not in str(error):
            raise
        return nx.parse_gml(text, label="id")


def _attributes(
    nodes: list[Any], given: dict[Any, dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[tuple[str, int]]]:
    """Attributes of each node, with its name where it has one; and (name, count) of those that are dropped."""
    dropped: Counter[str] = Counter()
    found: list[dict[str, Any]] = []
    for node in nodes:
        kept = {}
        for name, value in given.get(node, {}).items():
            if isinstance(value, str | int | float) and not (isinstance(value, float) and math.isnan(value)):
                kept[str(name)] = value
            elif value is not None and not isinstance(value, float):
                dropped[str(name)] += 1
        found.append(kept)
    key = next((name for name in _NAMES if any(_is_name(of.get(name)) for of in found)), None)
    if key is not None or any(map(_is_name, nodes)):
        for node, of in zip(nodes, found, strict=True):
            name = str(of.pop(key, "") if key else "").strip() or str(node)
            of["name"] = name
    elif all(str(of.get("label", node)) == str(node) for node, of in zip(nodes, found, strict=True)):
        for of in found:
            of.pop("label", None)  # the numbers of the nodes once more
    return found, sorted(dropped.items())


def _is_name(given: Any) -> bool:
    """Whether a text names somebody, rather than only numbering a node."""
    try:
        float(given)
    except (TypeError, ValueError):
        return given is not None and bool(str(given).strip())
    return False
