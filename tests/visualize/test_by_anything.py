"""What maps, graphs and animations are coloured by: dimensions and personas too, and no numbers that name agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from by_hand import legend, told
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sandbox import Personas, Scenario, World
from sandbox.errors import SettingsError
from sandbox.store.run import Run
from visualize import animation
from visualize.drawing.style import missing_glyphs_ignored
from visualize.plots import grid, social_graph
from visualize.plots.selection import select_plots

JOBS = ("baker", "smith", "baker", "miller")


@pytest.fixture
def people(tiny_world: Callable[..., World]) -> Run:
    """Four persons, with a job and an age each; ratings are those of the tiny world's scripted model."""
    rows = [{"name": name, "job": job, "age": 30 + i} for i, (name, job) in enumerate(zip("ABCD", JOBS, strict=True))]
    scenario = Scenario(questions=["Why?"], personas=Personas(rows, "You are {age}, a {job}."))
    return tiny_world(scenario, size=2).run(1)


def test_a_dimension_colours_by_its_final_ratings(society: Run) -> None:
    """Agent 3's revision of round 2 is not rated on engagement, so its draft counts: 2."""
    table = grid.data(society, by="engagement").set_index("agent")
    assert table["engagement"].tolist() == [2.0, 7.0, 1.0, 2.0]
    figure = grid.draw(society, by="engagement")
    assert figure.axes[0].get_title(loc="left") == "engagement of final answers, round 2"
    assert figure.axes[1].get_ylabel() == "engagement (1 to 7)"
    assert "gain" in grid.data(society, by="alignment")  # the first dimension is the rating
    means = social_graph.data(society, by="engagement").query("kind == 'node'")["engagement"]
    assert means.tolist() == [4.0, 5.5, 1.0, 2.0]


def test_columns_of_personas_are_numbers_or_groups(people: Run) -> None:
    assert grid.data(people, by="persona.age")["persona.age"].tolist() == [30, 31, 32, 33]
    assert grid.data(people, by="job")["persona.job"].tolist() == list(JOBS)
    figure = grid.draw(people, by="job")
    assert (figure.axes[0].get_title(loc="left"), legend(figure)) == ("job, round 1", ["baker", "miller", "smith"])
    assert len(figure.axes) == 1  # no bar
    graph = social_graph.draw(people, by="job")
    assert graph.axes[0].get_title(loc="left") == "social graph, by job"
    assert {"baker", "miller", "smith"} <= set(legend(graph))
    assert len(list(animation.frames(people, by="job"))) == 1
    with pytest.raises(SettingsError, match=r"limits are of numbers, and persona\.job has texts"):
        grid.draw(people, by="job", limits=(1, 2))
    with pytest.raises(SettingsError, match=r"no column of that name in its agents' personas.*persona\.job"):
        grid.draw(people, by="persona.town")


def test_numbers_that_name_agents_are_no_quantities(tiny_world: Callable[..., World]) -> None:
    def give(agent: Any, question: str, world: World) -> Any:
        reply = yield agent.answer(question)
        return world.interaction(agent, question, draft=reply.text, extra={"best_partner": 1, "gift": 2})

    run = tiny_world(Scenario(questions=["?"], protocol=give, state={"opponent": 3, "purse": 1}), size=2).run(1)
    assert {name for name in grid.data(run) if name.startswith("state")} == {"state.purse"}
    assert grid.data(run, by="extra.gift")["extra.gift"].tolist() == [2.0] * 4
    with pytest.raises(SettingsError, match=r"by='extra\.best_partner' names agents.*extra\.gift"):
        grid.draw(run, by="extra.best_partner")


def test_a_map_of_nothing_is_left_out_and_shows_agents_where_it_is_named(tiny_world: Callable[..., World]) -> None:
    def speak(agent: Any, question: str, world: World) -> Any:
        reply = yield agent.answer(question)
        return world.interaction(agent, question, draft=reply.text)

    run = tiny_world(Scenario(questions=["?"], protocol=speak), size=2).run(1)
    assert (
        select_plots(run)["grid"] == "no answer was rated, and neither states nor extra have numbers or words to show"
    )
    figure = grid.draw(run)
    assert (figure.axes[0].get_title(loc="left"), legend(figure)) == ("agents, round 1", ["agents"])


def test_long_names_stay_within_their_cells(make_run: Callable[..., Run]) -> None:
    """Of four cells a side; the widest letters there are, and a name that fits in smaller letters."""
    names = ["W" * 30, "Ann", "Constantine", "好邻居" * 9, *(f"Dr. Maximilian von Wrangel {i}" for i in range(12))]
    said = [told(0, i, (2.0, 3.0), (4.0, 4.0)) for i in range(16)]
    figure = grid.draw(make_run(said, labels=["good"] * 16, names=names, width=4))
    ax = figure.axes[0]
    shown = [text for text in ax.texts if not text.get_text().replace(".", "").isdigit()]
    assert len(shown) == 16
    with missing_glyphs_ignored():
        FigureCanvasAgg(figure).draw()
        side = ax.transData.transform((1, 0))[0] - ax.transData.transform((0, 0))[0]
        assert all(text.get_window_extent().width < side for text in shown)
    assert {"Ann", "Constantine"} <= {text.get_text() for text in shown}
    assert sum(text.get_text().endswith("…") for text in shown) == 14


def test_a_node_in_blocks_has_the_mean_of_its_agents(make_run: Callable[..., Run]) -> None:
    """33 x 33 agents whose ratings are the rows' numbers from 1 to 7: each block has the mean of its own rows."""
    rows = 33
    said = [told(0, i, (1.0, 1.0), (1.0 + i // rows % 7, 2.0), {(i + 1) % rows**2: 3.0}) for i in range(rows**2)]
    run = make_run(said, labels=["good"] * rows**2, width=rows)
    table = social_graph.data(run, by="gain", view="graph").query("kind == 'node'")
    assert 1 < len(table) < 1000
    assert (table["gain"] + 1).tolist() == pytest.approx(table["alignment"].tolist())
