"""Interactions as a social graph: who reviewed whom, how often, how kindly, and to what effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics import polarisation
from sandbox.metrics.aggregates import final_ratings, read_reviews
from sandbox.metrics.influence import Influence
from sandbox.metrics.intervals import numbered

if TYPE_CHECKING:
    import networkx as nx

    from sandbox.records import RecordedRun


def social_graph(run: RecordedRun) -> nx.DiGraph[int]:
    """Draw the social graph of a run, with what there is of a round that is not complete.

    Returns:
        A directed graph with an edge from each reviewer to each author it reviewed. Edges carry ``count`` (reviews),
        ``rating`` (mean, in 1..scale; None where no rating could be read) and ``uptake`` (mean share of the author's
        words that the review gave it, see :func:`sandbox.metrics.influence.uptake`; None where nothing can be said). Nodes are
        all agents of the run, with all columns of ``run.agents()``, ``alignment`` (mean observed rating of the agent's
        final answers on the rubric's first dimension, or None) and ``influence`` (its share of all influence, see
        :class:`sandbox.metrics.influence.Influence`; None for who neither wrote nor reviewed, and for all where nobody's words
        moved anybody).
    """
    import networkx as nx

    interactions = run.interactions()
    reviews = read_reviews(interactions)
    final = final_ratings(interactions, run.dimensions[:1])[:, 0]
    author, _ = numbered(it.agent for it in interactions)
    alignment = dict(zip((it.agent for it in interactions), _means(final, author)[author], strict=True))
    moving = Influence(reviews.author, reviews.reviewer, reviews.uptake)
    influence = dict(zip(moving.agents.tolist(), moving.values.tolist(), strict=False))
    graph: nx.DiGraph[int] = nx.DiGraph()
    for row in run.agents().to_dict("records"):
        agent = int(row.pop("agent"))
        measured = {"alignment": _known(alignment.get(agent)), "influence": influence.get(agent)}
        graph.add_node(agent, **{str(name): value for name, value in row.items()}, **measured)
    pairs, edge = np.unique(np.column_stack([reviews.reviewer, reviews.author]), axis=0, return_inverse=True)
    counts = np.bincount(edge, minlength=len(pairs))
    ratings, uptakes = (_means(values, edge) for values in (reviews.rating, reviews.uptake))
    for number, (reviewer, reviewed) in enumerate(pairs.tolist()):
        rating, uptake = _known(ratings[number]), _known(uptakes[number])
        graph.add_edge(reviewer, reviewed, count=int(counts[number]), rating=rating, uptake=uptake)
    return graph


def assortativity(graph: nx.DiGraph[int]) -> float | None:
    """How much reviews stay within labels, against what chance would do, in [-1, 1].

    Args:
        graph: As :func:`social_graph` draws it.

    Returns:
        :func:`sandbox.metrics.polarisation.assortativity`, every review counting once; None with one label, or without reviews.
    """
    label, labels = numbered(graph.nodes[node]["label"] for node in graph)
    number = dict(zip(graph, label, strict=True))
    mixing = np.zeros((labels, labels))
    for reviewer, author, edge in graph.edges(data=True):
        mixing[number[reviewer], number[author]] += edge["count"]
    return _known(polarisation.assortativity(mixing))


def _means(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each group's values without NaN; NaN where there are none. Shape [groups]."""
    known, n = ~np.isnan(values), int(group.max()) + 1 if len(group) else 0
    with np.errstate(invalid="ignore"):
        total = np.bincount(group[known], weights=values[known], minlength=n)
        return np.asarray(total / np.bincount(group[known], minlength=n))


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
