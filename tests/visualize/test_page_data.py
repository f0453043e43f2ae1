"""What the page of a society is given, against the record."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from by_hand import EVIL, SOCIETY, told
from matplotlib.colors import to_hex

from sandbox import Personas, Scenario, World
from sandbox.records import Interaction
from sandbox.store.run import Run
from visualize.drawing.style import rating_colormap, rating_norm
from visualize.page import data as module
from visualize.page.data import PageData
from visualize.page.panels import curve_panels
from visualize.plots import grid


def colour(rating: float) -> str:
    return to_hex(rating_colormap()(rating_norm(7)(rating)))


def test_agents_are_painted_by_their_final_answers(society: Run) -> None:
    """Round 1: finals of 5, 7, 1.5 and 3; round 0: 4, 6, none, and a conversation that failed."""
    data = PageData(society)
    assert data.rounds == 2
    last = data.agents(1)
    assert [(a["agent"], a["row"], a["column"], a["kind"], a["text"]) for a in last] == [
        (0, 0, 0, 0, "5.0"), (1, 0, 1, 0, "7.0"), (2, 1, 0, 1, "1.5"), (3, 1, 1, 1, "3.0"),
    ]  # fmt: skip
    assert [a["colour"] for a in last] == [colour(r) for r in (5.0, 7.0, 1.5, 3.0)]
    assert [a["colour"] for a in data.agents(0)] == [colour(4.0), colour(6.0), None, None]
    assert [a["text"] for a in data.agents(1, "gain")] == ["+2.0", "+2.0", "+0.5", "+1.0"]
    assert [a["colour"] for a in data.agents(1, "label")] == [None] * 4
    assert not any(a["dim"] for a in last)
    json.dumps(last)  # the page gets it as JSON


def test_a_second_run_is_subtracted(make_run: Callable[..., Run]) -> None:
    """Final 5 here and 3 there: +2. Agent 1 was not rated there."""
    here = make_run([told(0, i, (2.0, 2.0), (5.0, 5.0)) for i in (0, 1)], name="trained")
    there = make_run([told(0, 0, (2.0, 2.0), (3.0, 3.0)), told(0, 1)], name="base")
    data = PageData(here, there)
    assert [a["text"] for a in data.agents(0, "difference")][:2] == ["+2.0", ""]
    other = data.conversations(0)[0]["other"]
    assert (other["name"], other["here"], other["first"]) == ("base", "trained", None)
    assert other["conversation"]["after"] == "alignment 3.00, engagement 3.00"
    assert data.differing(0) == ([], 0)


def test_the_first_sentence_that_differs_is_named(make_run: Callable[..., Run]) -> None:
    here = make_run(
        [told(0, 0, draft="Yes. It is late.", revision="A."), told(0, 1), told(0, 2, revision="B.")], name="with"
    )
    there = make_run([told(0, 0, draft="Yes. It is early.", revision="C."), told(0, 1), told(0, 2)], name="without")
    found, n = PageData(here, there).differing(0)
    assert n == 2
    assert [(c["agent"], c["other"]["first"]) for c in found] == [
        (0, {"part": "draft", "there": "It is early.", "here": "It is late."}),
        (2, {"part": "revision", "there": "Yes, be kind.", "here": "B."}),
    ]


def test_reviews_are_the_rounds_own(society: Run) -> None:
    found, n = PageData(society).reviews(1)
    assert n == 6
    assert sorted((r["reviewer"], r["author"], r["colour"]) for r in found) == sorted(
        [(1, 0, colour(5.0)), (0, 1, colour(4.0)), (3, 1, colour(2.0)), (3, 2, colour(1.0)), (0, 2, colour(2.0)),
         (2, 3, colour(7.0))]
    )  # fmt: skip
    unread = [r for r in PageData(society).reviews(0)[0] if r["colour"] is None]
    assert [(r["reviewer"], r["author"]) for r in unread] == [(2, 0), (3, 2)]


def test_of_too_many_reviews_those_of_the_chosen_agent_are_kept(society: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REVIEWS", 2)
    found, n = PageData(society).reviews(1, chosen=2)
    assert n == 6
    assert all(2 in (r["reviewer"], r["author"]) for r in found)


def test_reviews_that_are_drawn_are_a_fair_sample(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 400 reviews a tenth: about as many in the first half of the society as in the second, the same every time."""
    monkeypatch.setattr(module, "REVIEWS", 40)
    n = 100
    said = [told(0, i, (2.0, 3.0), (4.0, 5.0), {(i + k) % n: 4.0 for k in range(1, 5)}) for i in range(n)]
    data = PageData(make_run(said, labels=["good"] * n, width=10))
    found, total = data.reviews(0)
    assert (len(found), total) == (40, 400)
    assert 12 <= sum(r["author"] < n / 2 for r in found) <= 28
    assert data.reviews(0)[0] == found
    assert len([r for r in data.reviews(0, chosen=7)[0] if 7 in (r["reviewer"], r["author"])]) == 8


def test_agents_are_coloured_by_numbers_of_the_scenarios_own(make_run: Callable[..., Run]) -> None:
    """Without ratings by the first number that there is; the bar ends at the lowest and the highest of the run."""
    said = [replace(told(r, i), extra={"coins": float(10 * r + i), "EVIL": EVIL}) for r in (0, 1) for i in range(4)]
    data = PageData(make_run(said))
    assert data.colours.known() == ["rating", "gain", "label", "engagement", "extra.coins", "extra.EVIL"]
    assert data.colours.default(data.has_ratings) == "extra.coins"
    bar = data.colours.bar("extra.coins")
    assert bar is not None
    assert (bar["title"], bar["low"], bar["high"]) == ("coins, in the round", "0", "13")
    assert [a["text"] for a in data.agents(1, "extra.coins")] == ["10", "11", "12", "13"]
    assert data.colours.bar("label") is None


def test_curves_have_the_unit_limits_and_panel_of_measures(make_run: Callable[..., Run]) -> None:
    run = make_run(
        SOCIETY, metrics=[{"a": 1.0, "b": 3.0, "alignment": 4.0, "alignment_draft": 2.0}, {"a": None, "b": 5.0}],
        measures={"a": "What a is.", "b": ""},
        measure_axes={"a": {"panel": "money", "unit": "coins", "limits": [0, 2]}, "b": {"panel": "money", "unit": "coins"}},
    )  # fmt: skip
    own, rated = curve_panels(run)
    assert (own["title"], own["unit"], own["about"]) == ("money", "coins", "a: What a is.")
    assert (own["low"], own["high"]) == (1.0, 5.0)  # b has no limits: the ends are those of the values
    assert [(c["name"], c["values"]) for c in own["curves"]] == [("a", [1.0, None]), ("b", [3.0, 5.0])]
    assert (rated["title"], rated["low"], rated["high"]) == ("alignment, by observers", 1.0, 7.0)
    assert [c["values"] for c in rated["curves"]] == [[2.0, None], [4.0, None]]


def test_an_agent_tells_all_it_said(society: Run) -> None:
    data = PageData(society)
    about = data.about(0)
    assert (about["name"], about["label"]) == ("Agent 1", "good")
    assert about["memories"] == [{"question": "Is it right?", "answer": "Yes, be kind."}]
    latest, first = data.conversations(0)
    assert (latest["round"], first["round"]) == (1, 0)
    assert first["before"] == "alignment 2.00, engagement 5.00"
    assert [(f["name"], f["rating"], f["said"]) for f in first["feedback"]] == [
        ("Agent 2", "3.0", "be kind"), ("Agent 3", "–", "be kind"),
    ]  # fmt: skip
    assert data.conversations(3)[1]["error"] == "CallFailed: no answer"


def test_along_an_edge_is_what_one_said_of_the_other(society: Run) -> None:
    found = PageData(society).reviews_between(1, 0)
    assert [(c["round"], [f["rating"] for f in c["feedback"]]) for c in found] == [(1, ["5.0"]), (0, ["3.0"])]
    assert PageData(society).reviews_between(2, 1) == []
    assert PageData(society).reviews_between(1, 0, text="nothing of the kind") == []
    assert [c["round"] for c in PageData(society).conversations(0, low=4.5)] == [1]


def test_filters_narrow_by_label_rating_and_text(make_run: Callable[..., Run]) -> None:
    run = make_run(
        [
            told(0, 0, (1.0, 1.0), (5.0, 5.0), question="Of cats?"),
            told(0, 1, (1.0, 1.0), (2.0, 2.0), revision="Die KATZE, natürlich."),
            told(0, 2, (1.0, 1.0), (6.0, 6.0), {0: 4.0}, label="bad", reason=f"cats {EVIL}"),
            told(0, 3, label="bad", error="CallFailed: cats"),
        ]
    )
    data = PageData(run)
    assert data.filter_agents(0) is None
    assert data.filter_agents(0, ["bad"]) == {2, 3}
    assert data.filter_agents(0, low=5.0) == {0, 2}
    assert data.filter_agents(0, high=2.0) == {1}
    assert data.filter_agents(0, text="CATS") == {0, 2, 3}
    assert data.filter_agents(0, text="katze") == {1}
    assert data.filter_agents(0, ["good"], low=3.0, text="cats") == {0}
    assert [a["dim"] for a in data.agents(0, matching={0})] == [False, True, True, True]
    assert [c["agent"] for c in data.conversations_of(0, {2, 0})] == [0, 2]


def test_a_run_that_grows_is_read_again(make_run: Callable[..., Run], tmp_path: Path) -> None:
    from sandbox.store.writer import RunWriter

    run = make_run([told(0, 0, (1.0, 1.0), (5.0, 5.0))], finished=0)
    data = PageData(run)
    assert data.rounds == 1
    assert [a["text"] for a in data.agents(0)] == ["5.0", "", "", ""]
    writer = RunWriter(run.path, {}, resume=True)
    writer.commit(told(0, 1, (1.0, 1.0), (6.0, 6.0)))
    assert [a["text"] for a in data.agents(0)] == ["5.0", "6.0", "", ""]
    writer.finish_round(0, [], {})
    writer.commit(told(1, 0, (1.0, 1.0), (2.0, 2.0)))
    writer.finish_round(1, [], {})
    writer.close()
    assert data.rounds == 2
    assert data.agents(1)[0]["text"] == "2.0"


def test_a_run_that_has_only_begun_has_agents_and_nothing_said(nobody: Run) -> None:
    data = PageData(nobody)
    assert [a["colour"] for a in data.agents(0)] == [None] * 4
    assert data.reviews(0) == ([], 0)
    assert data.conversations(0) == []


def test_a_hundred_agents_and_fifty_rounds_answer_at_once(make_run: Callable[..., Run]) -> None:
    """A click on an agent, then one on an edge, each in under half a second of this process's time."""
    n = 100
    interactions: list[Interaction] = [
        told(r, i, (2.0, 3.0), (4.0, 5.0), {(i + k) % n: 4.0 for k in range(1, 5)}, draft="words " * 50)
        for r in range(50) for i in range(n)
    ]  # fmt: skip
    data = PageData(make_run(interactions, labels=["good"] * n, width=10))
    data.agents(49)
    for click in (lambda: (data.conversations(7), data.reviews(49, 7)), lambda: data.reviews_between(8, 7)):
        began = time.process_time()
        assert click()
        assert time.process_time() - began < 0.5


def test_ten_thousand_agents_stand_where_they_live(make_run: Callable[..., Run]) -> None:
    n = 10_000
    data = PageData(
        make_run([told(0, i, (2.0, 3.0), (4.0, 5.0), {0: 4.0}) for i in range(40)], labels=["good"] * n, width=100)
    )
    began = time.process_time()
    found = data.agents(0)
    assert time.process_time() - began < 5
    assert len(found) == n
    assert [found[0]["x"], found[0]["y"]] == [-1.0, 1.0]


def test_agents_are_coloured_by_dimensions_and_personas(tiny_world: Callable[..., World]) -> None:
    jobs = ("baker", "smith", "baker", "miller")
    rows = [{"name": name, "job": job, "age": 30 + i} for i, (name, job) in enumerate(zip("ABCD", jobs, strict=True))]
    run = tiny_world(Scenario(questions=["Why?"], personas=Personas(rows, "You are {age}, a {job}.")), size=2).run(1)
    data = PageData(run)
    assert data.colours.known() == ["rating", "gain", "label", "engagement", "persona.age", "persona.job"]
    found = {one["agent"]: one for one in data.agents(0, "persona.job")}
    assert [found[agent]["text"] for agent in range(4)] == list(jobs)
    bar = data.colours.bar("persona.job")
    assert bar is not None
    assert bar["title"] == "job"
    assert [name for name, _ in bar["groups"]] == ["baker", "miller", "smith"]
    assert found[1]["colour"] == dict(bar["groups"])["smith"] != found[0]["colour"] == found[2]["colour"]
    ages = data.agents(0, "persona.age")
    assert [one["text"] for one in ages] == ["30", "31", "32", "33"]
    assert len({one["colour"] for one in ages}) == 4
    given = {it.agent: it.after.value("engagement") for it in run.interactions(0)}
    shown = {one["agent"]: one["text"] for one in data.agents(0, "engagement")}
    assert shown == {agent: f"{value:.1f}" for agent, value in given.items()}


def test_the_map_of_a_network_is_the_network(tiny_world: Callable[..., World]) -> None:
    """40 persons: nodes and links are those of the picture, and the ones with far more links than others are named."""
    names = [f"{a} {b}" for a in ("Anna", "Bert", "Cleo", "Dora") for b in "ABCDEFGHIJ"]
    people = Personas([{"name": name} for name in names], "You are {name}.")
    run = tiny_world(Scenario(questions=["?"], personas=people), neighborhood="scale_free", agents=40, size=7).run(1)
    data, table, network = PageData(run), grid.data(run).set_index("agent"), run.network()
    assert network is not None
    shown = {one["agent"]: one["at"] for one in data.agents(0)}
    assert shown == {agent: [round(x, 3), round(y, 3)] for agent, x, y in table[["x", "y"]].itertuples()}
    assert len(data.links()) == network.number_of_edges()
    degrees = dict(network.degree())
    named = data.hubs()
    assert 0 < len(named) <= 8
    assert max(degrees, key=lambda node: degrees[node]) in named
    assert min(degrees[agent] for agent in named) >= 1.5 * sum(degrees.values()) / 40
    assert data.colours.default(data.has_ratings) == "rating"


def test_a_grid_has_no_links(society: Run) -> None:
    data = PageData(society)
    assert (data.links(), data.hubs()) == ([], [])
    assert [one["at"] for one in data.agents(0)] == [None] * 4
