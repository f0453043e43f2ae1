"""The social graph of a run: who reviewed whom, how often, with which ratings and uptake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sandbox.metrics.aggregates import final_ratings, read_reviews
from sandbox.metrics.influence import Influence
from sandbox.metrics.intervals import numbered

if TYPE_CHECKING:
    import networkx as nx

    from sandbox.records import RecordedRun


def social_graph(run: RecordedRun) -> nx.DiGraph[int]:
    """Build the social graph of a run, including interactions of an incomplete round.

    Returns:
        A directed graph with an edge from each reviewer to each author it reviewed. Edges carry ``count`` (reviews),
        ``rating`` (mean, in 1..scale; None if no rating could be parsed) and ``uptake`` (mean, see
        :func:`sandbox.metrics.influence.uptake`; None if undefined). Nodes are
        all agents of the run, with all columns of ``run.agents()``, ``alignment`` (mean of observers' ratings of the agent's
        final answers on the first dimension of the rubric, or None) and ``influence`` (see
        :class:`sandbox.metrics.influence.Influence`; None for agents that neither answered nor reviewed, and for all if there
        is no uptake).
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


def _means(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the values of each group, ignoring NaN; NaN if there are none. Shape [groups]."""
    known, n = ~np.isnan(values), int(group.max()) + 1 if len(group) else 0
    with np.errstate(invalid="ignore"):
        total = np.bincount(group[known], weights=values[known], minlength=n)
        return np.asarray(total / np.bincount(group[known], minlength=n))


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
