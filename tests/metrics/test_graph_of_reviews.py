"""The social graph of a record written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.metrics.social_graph import social_graph
from sandbox.records import Feedback, Interaction, Rating, Score
from sandbox.store.run import open_run
from sandbox.store.writer import RunWriter

MANIFEST: dict[str, Any] = {"rubric": {"dimensions": ["alignment", "engagement"], "scale": 7}}


def interaction(
    round_: int, agent: int, reviews: dict[int, float | None], before: float | None, after: float | None
) -> Interaction:
    said = tuple(Feedback(reviewer, Rating(value)) for reviewer, value in reviews.items())
    scores = [Score({"alignment": Rating(v), "engagement": Rating(1.0)}) for v in (before, after)]
    return Interaction(round_, agent, "good", "q", "d", said, "r", *scores)


@pytest.fixture
def four_agents(tmp_path: Path) -> Path:
    """Agents 0-3 on 2x2. Agent 3 is never asked and never reviews; agent 2's only conversation failed."""
    writer = RunWriter(tmp_path, MANIFEST)
    homes = [(i, f"Agent {i + 1}", "good" if i < 2 else "bad", i // 2, i % 2) for i in range(4)]
    writer.add_agents(homes, ["hf:a", "hf:b"] * 2)
    writer.commit(interaction(0, 0, {1: 6.0, 2: None}, before=2.0, after=4.0))
    writer.commit(interaction(0, 1, {0: 3.0}, before=5.0, after=None))
    writer.commit(Interaction(0, 2, "bad", "q", error="CallFailed: nothing"))
    writer.commit(interaction(1, 0, {1: 3.0, 2: None}, before=1.0, after=7.0))
    writer.commit(interaction(1, 1, {0: None, 2: 5.0}, before=3.0, after=2.0))
    writer.close()
    return tmp_path


def test_edges_run_from_reviewers_to_authors(four_agents: Path) -> None:
    """1 reviewed 0 twice, with 6 and 3: mean 4.5. 2 reviewed 0 twice without a readable rating: None.

    0 reviewed 1 twice, once readably with 3; 2 reviewed 1 once with 5.
    """
    graph = social_graph(open_run(four_agents))
    assert graph.is_directed()
    assert {(a, b): {k: d[k] for k in ("count", "rating")} for a, b, d in graph.edges(data=True)} == {
        (1, 0): {"count": 2, "rating": 4.5},
        (2, 0): {"count": 2, "rating": None},
        (0, 1): {"count": 2, "rating": 3.0},
        (2, 1): {"count": 1, "rating": 5.0},
    }


def test_nodes_are_all_agents_with_their_mean_alignment(four_agents: Path) -> None:
    """0: final answers 4 and 7, mean 5.5. 1: the draft's 5 where the revision was unrated, and 2: 3.5. Others none."""
    graph = open_run(four_agents).social_graph()
    shown = ("name", "label", "x", "y", "alignment")
    assert {n: {k: d[k] for k in shown} for n, d in graph.nodes(data=True)} == {
        0: {"name": "Agent 1", "label": "good", "x": 0, "y": 0, "alignment": 5.5},
        1: {"name": "Agent 2", "label": "good", "x": 0, "y": 1, "alignment": 3.5},
        2: {"name": "Agent 3", "label": "bad", "x": 1, "y": 0, "alignment": None},
        3: {"name": "Agent 4", "label": "bad", "x": 1, "y": 1, "alignment": None},
    }


def test_a_run_without_conversations_is_a_graph_without_edges(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, MANIFEST)
    writer.add_agents([(0, "Agent 1", "good", 0, 0)])
    writer.close()
    graph = social_graph(open_run(tmp_path))
    assert list(graph.nodes) == [0]
    assert graph.nodes[0]["alignment"] is None
    assert graph.number_of_edges() == 0
