"""Who speaks to whom in a large society, in the dashboard and in the report: a matrix of groups in the place of the graph."""

from __future__ import annotations

from collections.abc import Callable

from by_hand import told

from sandbox.store.run import Run
from visualize.page.data import PageData
from visualize.page.player import map_frames

N = 201


def test_more_than_two_hundred_agents_are_a_matrix_of_the_round(make_run: Callable[..., Run]) -> None:
    """Half of them good, on a ring: agent i is reviewed by i + 1, so that each half reviews itself but for one agent."""
    labels = ["good"] * 100 + ["bad"] * 101
    said = [
        told(r, i, (2.0, 2.0), (4.0, 4.0), {(i + 1) % N: 5.0 if labels[i] == "good" else 2.0}, label=labels[i])
        for r in (0, 1)
        for i in range(N)
        if (r, i) != (1, 99)
    ]
    run = make_run(said, labels=labels, width=15)
    found = PageData(run).matrix(0)
    assert found is not None
    assert found["title"] == "who speaks to whom, by label: shares of each row's reviews"
    assert (found["names"], found["sizes"]) == (["good", "bad"], [100, 101])
    assert [cell["text"] for cell in found["cells"]] == ["99%", "1%", "1%", "99%"]
    assert found["cells"][0]["tip"] == "good to good: 99, 99% of all by good, rating 5.0 on average"
    assert found["cells"][1]["tip"] == "good to bad: 1, 1% of all by good, rating 2.0 on average"
    assert found["cells"][0]["colour"] == found["cells"][2]["colour"] != found["cells"][3]["colour"]
    assert (found["bar"]["low"], found["bar"]["high"]) == ("1", "7")
    later = PageData(run).matrix(1)
    assert later is not None
    assert later["cells"][2]["tip"].startswith(
        "bad to good: 0, 0% of all by bad"
    )  # the author of that one said nothing
    assert later["cells"][2]["colour"] is None
    frames = map_frames(run, "rating")
    assert frames is not None
    assert frames["graph"] is None  # the report has the matrix as a picture


def test_without_labels_the_groups_are_communities(make_run: Callable[..., Run]) -> None:
    said = [told(0, i, (2.0, 2.0), (4.0, 4.0), {(i + 1) % N: None}) for i in range(N)]
    found = PageData(make_run(said, labels=["one"] * N, width=15)).matrix(0)
    assert found is not None
    assert found["title"].startswith("who speaks to whom, by community: shares of each row's messages")
    assert found["names"][0] == "1"
    assert sum(found["sizes"]) == N
    assert (found["bar"]["title"], found["bar"]["low"]) == ("share of the row's messages", "0%")


def test_a_small_society_has_a_graph(society: Run) -> None:
    assert PageData(society).matrix(0) is None
    assert PageData(society).has_reviews()


def test_a_society_without_reviews_has_neither(make_run: Callable[..., Run]) -> None:
    data = PageData(make_run([told(0, i, (2.0, 2.0), (4.0, 4.0)) for i in range(4)]))
    assert not data.has_reviews()
    assert data.matrix(0) is None
