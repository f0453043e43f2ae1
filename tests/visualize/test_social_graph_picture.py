"""The social graph: nodes, arrows, colours and widths against the run's own graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from by_hand import TEXTS, legend, told, words
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from sandbox.errors import SettingsError
from sandbox.store.run import Run
from visualize.drawing.style import rating_colormap, rating_norm
from visualize.plots import social_graph


def arrows(figure: Figure) -> list[FancyArrowPatch]:
    return [p for p in figure.axes[0].patches if isinstance(p, FancyArrowPatch)]


def nodes(figure: Figure) -> list[PathCollection]:
    return [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]


def test_the_numbers_are_the_graphs_own(society: Run) -> None:
    table, graph = social_graph.data(society), society.social_graph()
    edges = table[table["kind"] == "edge"]
    found = {(e.reviewer, e.author): (e.reviews, e.rating) for e in edges.itertuples()}
    expected = {(a, b): (d["count"], d["rating"]) for a, b, d in graph.edges(data=True)}
    assert found.keys() == expected.keys()
    for pair, (count, rating) in expected.items():
        assert found[pair][0] == count
        assert found[pair][1] == pytest.approx(np.nan if rating is None else rating, nan_ok=True)
    own = table[table["kind"] == "node"].set_index("reviewer")
    for node, data in graph.nodes(data=True):
        for name in ("influence", "alignment"):
            expected_value = np.nan if data[name] is None else data[name]
            assert own.loc[node, name] == pytest.approx(expected_value, nan_ok=True)


def test_an_arrow_has_the_mean_rating_and_the_count_of_its_reviews(society: Run) -> None:
    """1 reviewed 0 with 3 and 5, mean 4, twice; 3 reviewed 2 once readably, with 1; 2 reviewed 0 unreadably."""
    figure = social_graph.draw(society)
    graph = society.social_graph()
    drawn = arrows(figure)
    assert len(drawn) == graph.number_of_edges()
    colours = [tuple(np.round(p.get_edgecolor()[:3], 4)) for p in drawn]
    four = tuple(np.round(rating_colormap()(rating_norm(7)(4.0))[:3], 4))
    unread = tuple(np.round(to_rgba("#8a929b")[:3], 4))
    assert four in colours
    assert unread in colours
    widths = {round(p.get_linewidth(), 3) for p in drawn}
    assert max(widths) == pytest.approx(min(widths) * np.sqrt(2), rel=1e-3)  # two reviews against one
    assert {"good", "bad", "1 review", "2 reviews", "rating not readable"} <= set(legend(figure))


def test_every_agent_is_a_node_with_its_number_and_the_colour_of_its_rating(society: Run) -> None:
    figure = social_graph.draw(society)
    assert sum(len(c.get_offsets()) for c in nodes(figure)) == 4
    assert {"1", "2", "3", "4"} <= set(words(figure))
    good = next(c for c in nodes(figure) if c.get_label() == "good")
    expected = rating_colormap()(rating_norm(7)([4.5, 6.5]))  # means of agents 0 and 1 over both rounds
    assert np.allclose(good.get_facecolors(), expected)
    assert figure.axes[1].get_ylabel() == "mean rating (1 to 7): alignment of a node, reviews on an edge"


def test_sizes_are_in_proportion_to_influence(make_run: Callable[..., Run]) -> None:
    """Agent 0 takes up 1's words and not 2's, so 1 has more influence than 2, and is drawn larger."""
    told_ = told(0, 0, (1.0, 1.0), (2.0, 2.0), {1: 3.0}, draft="no", revision="be kind", reason="be kind")
    other = told(0, 3, (1.0, 1.0), (2.0, 2.0), {2: 3.0}, draft="no", revision="never", reason="a word")
    run = make_run([told_, other], labels=["good"] * 4)
    influence = [d["influence"] for _, d in run.social_graph().nodes(data=True)]
    table = social_graph.data(run).set_index("reviewer")
    drawn = nodes(social_graph.draw(run))
    sizes = {tuple(at): size for c in drawn for at, size in zip(c.get_offsets().tolist(), c.get_sizes(), strict=True)}
    first, second = (sizes[tuple(table.loc[agent, ["x", "y"]].iloc[0])] for agent in (1, 2))
    assert influence[1] > influence[2]
    assert first / second == pytest.approx(influence[1] / influence[2])


def test_an_arrow_runs_from_the_reviewer_to_the_author(lone: Run) -> None:
    """Agent 3 reviewed agent 0, and that is all that happened."""
    figure = social_graph.draw(lone)
    assert len(arrows(figure)) == 1
    start, end = arrows(figure)[0]._posA_posB
    table = social_graph.data(lone)
    where = table[table["kind"] == "node"].set_index("reviewer")[["x", "y"]].to_numpy()
    assert np.allclose([start, end], where[[3, 0]])


def test_without_reasons_there_is_no_influence_to_show(make_run: Callable[..., Run]) -> None:
    run = make_run([told(0, 0, (1.0, 1.0), (2.0, 2.0), {1: 3.0, 2: 5.0}, reason="")])
    assert social_graph.data(run)["influence"].isna().all()
    figure = social_graph.draw(run)
    assert len({float(s) for c in nodes(figure) for s in c.get_sizes()}) == 1
    assert not [name for name in legend(figure) if "influence" in name]


def test_a_run_without_reviews_says_so(nobody: Run, make_run: Callable[..., Run]) -> None:
    assert words(social_graph.draw(nobody)) == ["no finished round yet"]
    alone = make_run([told(0, 0, (1.0, 1.0), (2.0, 2.0))], name="alone")
    assert words(social_graph.draw(alone)) == ["no agent reviewed another"]


def test_many_edges_are_lines_without_heads(crowd: Run) -> None:
    figure, graph = social_graph.draw(crowd), crowd.social_graph()
    assert graph.number_of_edges() > social_graph.MAX_ARROWS
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert [len(c.get_segments()) for c in lines] == [graph.number_of_edges()]
    assert not arrows(figure)
    assert sum(len(c.get_offsets()) for c in nodes(figure)) == 100


def test_places_do_not_depend_on_when_it_is_drawn(society: Run) -> None:
    first, second = social_graph.data(society), social_graph.data(society)
    assert first.equals(second)


def test_on_the_grid_nodes_stand_where_agents_live(society: Run) -> None:
    """Row 0 is on top: agent 0 upper left, agent 3 lower right."""
    table = social_graph.data(society, layout="grid").set_index("reviewer")
    nodes_ = table[table["kind"] == "node"]
    assert nodes_.loc[0, ["x", "y"]].tolist() == [-0.5, 0.5]
    assert nodes_.loc[3, ["x", "y"]].tolist() == [0.5, -0.5]


def test_more_than_a_thousand_agents_are_drawn_in_blocks(make_run: Callable[..., Run]) -> None:
    """33x33 agents of two labels, each reviewed by the next: blocks of 3x3 places, so 11x11 of each label at most.

    Every review is in one edge, and all influence in the nodes.
    """
    n = 33 * 33
    labels = ["good" if i % 2 else "bad" for i in range(n)]
    interactions = [told(0, i, (2.0, 2.0), (4.0, 4.0), {(i + 1) % n: 1.0 + i % 7}, label=labels[i]) for i in range(n)]
    run = make_run(interactions, labels=labels, width=33)
    table = social_graph.data(run, view="graph")
    blocks, edges = table[table["kind"] == "node"], table[table["kind"] == "edge"]
    assert len(blocks) == 2 * 11 * 11
    assert edges["reviews"].sum() == n
    assert (edges["rating"] * edges["reviews"]).sum() == pytest.approx(sum(1.0 + i % 7 for i in range(n)))
    assert blocks["influence"].sum() == pytest.approx(1.0)
    assert (blocks["alignment"] == 4.0).all()
    figure = social_graph.draw(run, view="graph")
    assert figure.axes[0].get_title(loc="left") == "social graph in blocks: agents of a label, by part of the grid"


def test_labels_in_any_script_are_shown_as_they_are(make_run: Callable[..., Run]) -> None:
    for text in ("chinese", "arabic", "hindi", "emoji", "html", "math"):
        label = TEXTS[text]
        run = make_run([told(0, 0, (1.0, 1.0), (2.0, 2.0), {1: 3.0}, label=label)], labels=[label, "a"], name=text)
        assert label in legend(social_graph.draw(run))


def test_an_unknown_layout_is_refused(society: Run) -> None:
    with pytest.raises(SettingsError) as error:
        social_graph.draw(society, layout="spiral")  # type: ignore[arg-type]
    assert str(error.value) == "layout='spiral' is not one of spring, grid. Did you mean 'spring'?"
