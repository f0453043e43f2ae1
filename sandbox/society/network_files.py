"""Networks from files: edge lists with any common separator, GraphML, GEXF and GML.

Notes state what is dropped, or used differently than in the file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.data_files import read_text
from sandbox.errors import DataFileError

if TYPE_CHECKING:
    import networkx as nx

_FORMATS = {".graphml": "GraphML", ".gexf": "GEXF", ".gml": "GML"}
_SOURCES = {"source", "src", "from", "fromnodeid", "node1", "id1", "user1", "follower"}
_TARGETS = {"target", "dst", "dest", "to", "tonodeid", "node2", "id2", "user2", "followee", "followed"}
# The attributes with which networkx ends the lines of an edge list: {'weight': 1.0}.
_ATTRIBUTES = re.compile(r"\s+\{.*\}$")
_FORM = "expected two names of nodes per line, separated by a space, tab, comma or semicolon, and perhaps numbers after them"


def read_network(path: str | Path) -> tuple[nx.Graph[int], list[str]]:
    """Read a network from a file.

    Args:
        path: ``.graphml``, ``.gexf`` or ``.gml``; any other suffix is an edge list.

    Returns:
        An undirected graph with nodes 0, 1, ..., in the order of the file; and notes on how the file was read: directions,
        weights, self-loops and repeated links.

    Raises:
        DataFileError: the file cannot be read; names the line, where there is one.
    """
    import networkx as nx

    file = Path(path)
    given, notes = _read_graph(file) if file.suffix in _FORMATS else _read_edge_list(file)
    loops = nx.number_of_selfloops(given)
    if loops:
        notes.append(f"{loops} {'link' if loops == 1 else 'links'} from a node to itself dropped")
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_nodes_from(given)
    graph.add_edges_from((a, b) for a, b in given.edges() if a != b)
    if len(graph) < 2:
        raise DataFileError(f"network {str(path)!r} has {len(graph)} nodes; a society needs at least 2")
    return nx.convert_node_labels_to_integers(graph), [f"network {file.name}: {note}" for note in notes]


def _read_graph(path: Path) -> tuple[Any, list[str]]:
    import networkx as nx

    kind = _FORMATS[path.suffix]
    try:
        graph: Any = getattr(nx, f"read_{kind.lower()}")(path)
    except OSError as error:
        raise DataFileError(f"network {str(path)!r} cannot be read: {error.strerror}") from None
    except Exception as error:  # networkx raises whatever its parsers raise
        raise DataFileError(f"network {str(path)!r} is not {kind}: {error}") from None
    notes = []
    if graph.is_directed():
        notes.append(_direction_note(len({frozenset(edge[:2]) for edge in graph.edges() if edge[0] != edge[1]})))
    if any("weight" in attributes for _, _, attributes in graph.edges(data=True)):
        notes.append("the weights of the links are not used")
    return graph, notes


def _direction_note(links: int) -> str:
    return (
        f"directions are not used: {links} pairs of agents with a link in either direction, or in both, are neighbours of "
        "each other"
    )


def _read_edge_list(path: Path) -> tuple[Any, list[str]]:
    import networkx as nx

    rows = _rows(path)
    if not rows:
        raise DataFileError(f"network {str(path)!r} holds no links; {_FORM}")
    notes = []
    source, target = 0, 1
    columns = _header(rows)
    if columns is not None:
        source, target = columns
        notes.append(f"the first line ({', '.join(rows[0][1])}) is taken as a header")
        rows = rows[1:]
    width = len(rows[0][1]) if rows else 0
    for number, cells in rows:
        extra = [cell for i, cell in enumerate(cells) if i not in (source, target)]
        is_odd = len(cells) != width or len(cells) < 2 or not (cells[source] and cells[target])
        if is_odd or (columns is None and not all(map(_is_number, extra))):
            raise DataFileError(f"{path}, line {number} is {' '.join(cells)!r}; {_FORM}")
    graph: Any = nx.Graph()
    graph.add_edges_from((cells[source], cells[target]) for _, cells in rows)
    directed = [(cells[source], cells[target]) for _, cells in rows]
    notes.append(_direction_note(len({frozenset(edge) for edge in directed if edge[0] != edge[1]})))
    if width > 2:
        notes.append(f"{width - 2} more {'column' if width == 3 else 'columns'} per link, such as weights, not used")
    repeated = len(directed) - len(set(directed))
    if repeated:
        notes.append(f"{repeated} repeated {'link counts' if repeated == 1 else 'links count'} once")
    return graph, notes


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The lines of an edge list that are no comments, as cells, with their numbers."""
    lines = [
        (number, _ATTRIBUTES.sub("", line.strip()))
        for number, line in enumerate(read_text(path).split("\n"), 1)
        if line.strip() and line.strip()[0] not in "#%"
    ]
    lines = [(number, re.split(r"\s#", line)[0].rstrip()) for number, line in lines]
    separator = next((mark for mark in "\t;," if lines and all(mark in line for _, line in lines)), None)
    if separator is None:
        return [(number, line.split()) for number, line in lines]
    found = []
    for number, line in lines:
        try:
            [cells] = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
        except csv.Error as error:
            raise DataFileError(f"{path}, line {number} is {line!r}, which cannot be read: {error}; {_FORM}") from None
        found.append((number, [cell.strip() for cell in cells]))
    return found


def _header(rows: Sequence[tuple[int, list[str]]]) -> tuple[int, int] | None:
    """The columns of both ends of a link if the first row is a header, else None.

    A header has names such as source and target; or it is the only row whose first two cells, or whose third, are no numbers.
    """
    first, others = rows[0][1], [cells for _, cells in rows[1:]]
    names = [re.sub(r"[\s_]", "", cell.lower()) for cell in first]
    sources, targets = ([i for i, name in enumerate(names) if name in known] for known in (_SOURCES, _TARGETS))
    if sources and targets:
        return sources[0], targets[0]
    if not others or len(first) < 2 or any(len(cells) != len(first) for cells in others):
        return None
    for of in (slice(0, 2), slice(2, None)):
        if (
            first[of]
            and not any(map(_is_number, first[of]))
            and all(_is_number(c) for cells in others for c in cells[of])
        ):
            return 0, 1
    return None


def _is_number(text: str) -> bool:
    # With a decimal comma, as in tables separated by semicolons.
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
