"""Large societies as matrices of groups: who speaks to whom and how kindly, against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from by_hand import legend, told, words

from sandbox.errors import SettingsError
from sandbox.store.run import Run
from sandbox.world import World
from visualize.drawing import agent_groups
from visualize.drawing.agent_groups import group_agents, group_table
from visualize.plots import social_graph


def test_shares_and_ratings_between_labels(society: Run) -> None:
    """Good 0 and 1 gave 3, 5, 6 and 4 to each other and 2 to bad 2; unread reviews count as reviews.

    By good agents: 1 of 0 twice (3, 5), 0 of 1 twice (6, 4), 0 of 2 once (2). By bad ones: 2 of 0 (unread), 3 of 1 (2),
    3 of 2 twice (unread, 1), 2 of 3 (7).
    """
    table = social_graph.data(society, view="matrix").set_index(["speaker", "listener"])
    assert table["reviews"].to_dict() == {
        ("good", "good"): 4, ("good", "bad"): 1, ("bad", "good"): 2, ("bad", "bad"): 3,
    }  # fmt: skip
    assert table["share"].to_dict() == pytest.approx(
        {("good", "good"): 0.8, ("good", "bad"): 0.2, ("bad", "good"): 0.4, ("bad", "bad"): 0.6}
    )
    assert table.loc[("good", "good"), "rating"] == pytest.approx(4.5)
    assert table.loc[("good", "bad"), "rating"] == 2.0
    assert table.loc[("bad", "good"), "rating"] == 2.0
    figure = social_graph.draw(society, view="matrix", theme="dark", limits=(2.0, 6.0))
    assert {"80%", "20%", "4.5", "good (2)", "bad (2)", "who speaks to whom, by label"} <= set(words(figure))
    assert figure.axes[1].images[0].get_clim() == (2.0, 6.0)


def test_beyond_two_hundred_agents_the_matrix_is_chosen_and_said(make_run: Callable[..., Run]) -> None:
    """A ring of 201 agents: each is reviewed by the next, so communities are stretches of the ring."""
    n = 201
    run = make_run([told(0, i, (2.0, 2.0), (4.0, 4.0), {(i + 1) % n: 5.0}) for i in range(n)], labels=["one"] * n)
    assert "201 agents" in social_graph.note(run)
    assert "--set view=graph" in social_graph.note(run)
    assert social_graph.note(run, view="graph") == social_graph.note(run, view="matrix") == ""
    table = social_graph.data(run)
    assert table["reviews"].sum() == n
    assert table.groupby("speaker")["share"].sum().tolist() == pytest.approx([1.0] * table["speaker"].nunique())
    assert 1 < table["speaker"].nunique() <= agent_groups.MAX_GROUPS
    assert "kind" in social_graph.data(run, view="graph")
    assert table.equals(social_graph.data(run))


def test_a_small_society_is_a_graph_unless_groups_are_asked_for(society: Run) -> None:
    assert "kind" in social_graph.data(society)
    assert social_graph.note(society) == ""
    assert "speaker" in social_graph.data(society, groups="community")


def test_columns_of_personas_group_agents(tmp_path: object, make_run: Callable[..., Run]) -> None:
    run = make_run([told(0, 0, (1.0, 1.0), (2.0, 2.0), {1: 3.0})], labels=["a"] * 24)
    run._db.close()
    import json
    import sqlite3

    with sqlite3.connect(run.path / "run.sqlite") as db:
        for agent in range(24):
            persona = {"job": f"job {agent % 12}", "age": 20 + agent}
            db.execute("UPDATE agents SET persona=? WHERE agent=?", (json.dumps(persona), agent))
    run = Run(run.path)
    graph = run.social_graph()
    jobs = group_agents(run, graph, "job")
    assert list(jobs.cat.categories[-1:]) == ["3 others"]  # twelve jobs: nine and the rest
    assert group_table(graph, jobs)["reviews"].sum() == 1
    assert list(group_agents(run, graph, "age").value_counts(sort=False)) == [6, 6, 6, 6]
    with pytest.raises(SettingsError, match=r"groups='jobs' is neither.*Did you mean 'job'\?"):
        social_graph.draw(run, groups="jobs")


def test_settings_that_contradict_each_other_are_refused(society: Run) -> None:
    with pytest.raises(SettingsError, match="groups='label' is of a matrix"):
        social_graph.draw(society, view="graph", groups="label")
    with pytest.raises(SettingsError, match="view='matrx' is not one of auto, graph, matrix"):
        social_graph.draw(society, view="matrx")  # type: ignore[arg-type]


def test_games_without_ratings_count_messages(tiny_world: Callable[..., World]) -> None:
    run = tiny_world("jury", size=2, rater="lm").run(1)
    graph = legend(social_graph.draw(run))
    assert "A → B: A spoke to B" in graph
    assert not [entry for entry in graph if "review" in entry or "readable" in entry]
    assert "share of its messages (%)" in words(social_graph.draw(run, view="matrix", groups="outlook"))
