"""Groups of agents: by label, by a column of their personas, or the communities of the social graph; and what they say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from sandbox.errors import SettingsError, nearest
from sandbox.store.run import Run
from visualize.drawing.agent_values import shown_labels
from visualize.drawing.style import label_order

# More groups are merged into one; columns of more numbers are cut into quarters.
MAX_GROUPS = 10
COMMUNITY, LABEL = "community", "label"
_NO_COLUMNS = {"agent", "name", "x", "y", "model", LABEL}


def choose_groups(run: Run, groups: str) -> str:
    """What groups agents: ``groups``, or for ``auto`` the labels where there are several that mean something, else communities.

    Raises:
        SettingsError: the run has no such column.
    """
    agents = run.agents()
    if groups == "auto":
        return LABEL if shown_labels(run, agents["label"]).nunique() > 1 else COMMUNITY
    known = [LABEL, COMMUNITY, *(str(name) for name in agents if name not in _NO_COLUMNS)]
    if groups not in known:
        raise SettingsError(
            f"groups={groups!r} is neither auto, label, community nor a column of the agents of {run.path}."
            f"{nearest(groups, known)} There are: {', '.join(known)}"
        )
    return groups


def group_agents(run: Run, graph: nx.DiGraph[int], groups: str) -> pd.Series[Any]:
    """The group of each agent in the graph, by its number, as an ordered categorical.

    Args:
        run: The run.
        graph: Its social graph.
        groups: ``label``, ``community`` (Louvain, seed 0) or a column of the personas; of a column with more than ten numbers,
            its quarters. Of more than ten groups, the smallest are merged into one.
    """
    agents = run.agents().set_index("agent").loc[list(graph)]
    if groups == COMMUNITY:
        found, order = _communities(graph)
        return _merged(found.loc[agents.index], order)
    values = agents[groups]
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > MAX_GROUPS:
        cut = pd.qcut(values, 4, duplicates="drop", precision=0)
        words = [f"{max(one.left, values.min()):.4g} to {one.right:.4g}" for one in cut.cat.categories]
        return pd.Series(cut.cat.rename_categories(words), index=agents.index)
    texts = values.map(lambda one: "unknown" if pd.isna(one) else f"{one:g}" if isinstance(one, float) else str(one))
    if pd.api.types.is_numeric_dtype(values):
        return _merged(texts, [f"{one:g}" for one in sorted(values.dropna().unique())])
    return _merged(texts, label_order(texts))


def _communities(graph: nx.DiGraph[int]) -> tuple[pd.Series[Any], list[str]]:
    """Communities by size, the largest first; agents that spoke with nobody are a group of their own."""
    both = nx.Graph()
    for reviewer, author, count in graph.edges(data="count"):
        if reviewer != author:
            before = both.get_edge_data(reviewer, author, {"count": 0})["count"]
            both.add_edge(reviewer, author, count=before + count)
    parts = nx.community.louvain_communities(both, weight="count", seed=0) if len(both) else []
    parts = sorted(parts, key=lambda part: (-len(part), min(part)))
    names = {agent: f"community {number}" for number, part in enumerate(parts, 1) for agent in part}
    found = pd.Series({agent: names.get(agent, "no conversation") for agent in graph}, dtype=object)
    order = [f"community {number}" for number in range(1, len(parts) + 1)]
    return found, order


def _merged(texts: pd.Series[Any], order: list[str]) -> pd.Series[Any]:
    """Ordered groups; of more than ten, the smallest become one."""
    order = [*order, *sorted(set(texts) - set(order))]
    if len(order) > MAX_GROUPS:
        largest = {name for name, _ in Counter(texts).most_common(MAX_GROUPS - 1)}
        rest = f"{len(order) - len(largest)} others"
        texts = texts.where(texts.isin(largest), rest)
        order = [*(name for name in order if name in largest), rest]
    return pd.Series(pd.Categorical(texts, categories=order, ordered=True), index=texts.index)


def group_table(graph: nx.DiGraph[int], group: pd.Series[Any]) -> pd.DataFrame:
    """What groups say to each other: one row per ordered pair of groups.

    Args:
        graph: The social graph of a run.
        group: The group of each agent, of :func:`group_agents`.

    Returns:
        Columns speaker and listener (groups), speakers and listeners (numbers of agents), reviews (count), share (of all
        reviews by the speaker, in 0..1; NaN if it gave none) and rating (mean of the readable ones; NaN if there is none).
    """
    names = [str(name) for name in group.cat.categories]
    code = dict(zip(group.index, group.cat.codes, strict=True))
    edges = [
        (code[a], code[b], d["count"], np.nan if d["rating"] is None else d["rating"])
        for a, b, d in graph.edges(data=True)
    ]
    counts, rated, total = (np.zeros((len(names), len(names))) for _ in range(3))
    if edges:
        speaker, listener, count, rating = np.array(edges, dtype=float).T
        at = speaker.astype(int), listener.astype(int)
        known = ~np.isnan(rating)
        np.add.at(counts, at, count)
        np.add.at(rated, at, count * known)
        np.add.at(total, at, count * np.nan_to_num(rating))
    with np.errstate(invalid="ignore"):
        share, mean = counts / counts.sum(axis=1, keepdims=True), total / rated
    sizes = group.value_counts(sort=False).to_numpy()
    row, column = (index.ravel() for index in np.indices(counts.shape))
    return pd.DataFrame(
        {
            "speaker": [names[i] for i in row],
            "listener": [names[i] for i in column],
            "speakers": sizes[row],
            "listeners": sizes[column],
            "reviews": counts.ravel().astype(int),
            "share": share.ravel(),
            "rating": mean.ravel(),
        }
    )
