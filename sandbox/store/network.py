"""The network of a run, in its record: nodes with their attributes, and links with their weights."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from sandbox.storage_errors import read_as_written
from sandbox.store.population import read_changes
from sandbox.store.schema import as_json, has_table

if TYPE_CHECKING:
    import networkx as nx

    from sandbox.store.run import Run

# Runs of schema 2 that were recorded before networks were kept lack these.
NETWORK = """
CREATE TABLE IF NOT EXISTS nodes (node INTEGER PRIMARY KEY, attributes TEXT);
CREATE TABLE IF NOT EXISTS links (source INTEGER, target INTEGER, weight REAL, PRIMARY KEY (source, target)) WITHOUT ROWID;
"""


def insert_network(db: sqlite3.Connection, graph: nx.Graph[int]) -> None:
    """Store a network, unless there is one."""
    db.execute("BEGIN")
    if db.execute("SELECT 1 FROM nodes LIMIT 1").fetchone() is None:
        db.executemany("INSERT INTO nodes VALUES (?,?)", ((n, as_json(dict(of))) for n, of in graph.nodes(data=True)))
        db.executemany("INSERT INTO links VALUES (?,?,?)", graph.edges(data="weight"))
    db.execute("COMMIT")


def read_recorded_network(db: sqlite3.Connection, run: Run) -> nx.Graph[int] | None:
    """The network of a run, with the nodes of agents that were added; ``graph["founders"]`` is the number of the others.

    None on a grid, and of runs that were recorded before networks were kept.
    """
    import networkx as nx

    if not has_table(db, "nodes"):
        return None
    with read_as_written(f"the network of {run.path}"):
        nodes = [(n, dict(json.loads(of))) for n, of in db.execute("SELECT node, attributes FROM nodes ORDER BY node")]
        made: Any = nx.DiGraph() if run.manifest.get("network", {}).get("directed") else nx.Graph()
        made.add_nodes_from(nodes)
        for a, b, weight in db.execute("SELECT source, target, weight FROM links ORDER BY source, target"):
            made.add_edge(a, b, **({} if weight is None else {"weight": float(weight)}))
        made.graph["founders"] = len(nodes)
        for one in read_changes(db):
            if one.links is not None:
                node = len(made)
                made.add_node(node)
                made.add_edges_from(pair for other in one.links for pair in ((node, other), (other, node)))
    return made if nodes else None
