"""Words of the scenario's own as colours: in states and in ``extra``, on pictures, in the dashboard and in the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from by_hand import legend

from sandbox import Scenario, World
from sandbox.errors import SettingsError
from sandbox.store.run import Run
from visualize import animation
from visualize.drawing.style import LABEL_STYLES
from visualize.page.data import PageData
from visualize.page.player import map_frames
from visualize.plots import grid, social_graph
from visualize.plots.selection import select_plots

MOODS = ("calm", "angry", "bored", "glad", "tired", "eager", "proud", "shy", "sad")


def talk(agent: Any, question: str, world: Any) -> Any:
    """Agent 1 takes no side."""
    reply = yield agent.answer(question)
    side = {} if agent.index == 0 else {"side": "left" if (agent.index + world.round) % 3 else "right"}
    return world.interaction(agent, question, draft=reply.text, extra=side)


def settle(world: Any, interactions: Any) -> None:
    """Moods in turn: two rounds of four agents have eight of them; agent 4 has none in the first."""
    for it in interactions:
        state = world.members[it.agent].state
        state["said"] = f"{it.agent} {world.round} {it.draft}"
        state["is_first"] = it.agent == 0
        if (it.agent, world.round) != (3, 0):
            state["mood"] = MOODS[(it.agent + 4 * world.round) % 9]


@pytest.fixture
def moody(tiny_world: Callable[..., World]) -> Run:
    return tiny_world(Scenario(questions=["Why?"], protocol=talk, settle=settle), size=2).run(2)


def test_words_are_groups_and_agents_without_one_come_last(moody: Run) -> None:
    assert grid.data(moody, by="state.mood", rounds=1)["state.mood"].fillna("-").tolist() == [*MOODS[:3], "-"]
    figure = grid.draw(moody, by="state.mood", rounds=1)
    assert legend(figure) == ["angry", "bored", "calm", "no value"]
    assert len(figure.axes) == 1  # no bar
    assert grid.draw(moody, by="state.is_first").axes[0].get_title(loc="left") == "is_first, round 2"
    assert legend(grid.draw(moody, by="state.is_first")) == ["False", "True"]
    with pytest.raises(SettingsError, match=r"state.mood has texts"):
        grid.draw(moody, by="state.mood", limits=(0, 1))


def test_a_word_has_one_colour_in_all_pictures_of_a_run(moody: Run) -> None:
    """Angry is the first in the alphabet of the run, and absent in the second round."""
    data = PageData(moody)
    assert data.colours.bar("state.mood") == {
        "title": "mood, after the round",
        "groups": [[name, LABEL_STYLES[i].colour] for i, name in enumerate(sorted({*MOODS} - {"glad", "sad"}))],
    }
    first, second = data.agents(0, "state.mood"), data.agents(1, "state.mood")
    assert [one["text"] for one in first] == [*MOODS[:3], ""]
    assert [one["colour"] for one in second] == [LABEL_STYLES[i].colour for i in (6, 3, 4, 5)]
    shown = grid.draw(moody, by="state.mood", rounds=2).axes[0].images[0]
    drawn = shown.cmap(shown.norm(shown.get_array())).reshape(-1, 4)[:, :3]
    assert ["#{:02X}{:02X}{:02X}".format(*(round(255 * c) for c in one)) for one in drawn] == [
        one["colour"] for one in second
    ]


def test_rare_words_share_a_colour_and_the_dashboard_tells_them(tiny_world: Callable[..., World]) -> None:
    def settle_all(world: Any, interactions: Any) -> None:
        for it in interactions:
            world.members[it.agent].state["mood"] = MOODS[it.agent]

    run = tiny_world(Scenario(questions=["Why?"], protocol=talk, settle=settle_all), size=3).run(1)
    assert legend(grid.draw(run, by="state.mood")) == [*sorted(MOODS[:6]), "3 others"]
    data = PageData(run)
    shown = {one["text"]: one["colour"] for one in data.agents(0, "state.mood")}
    assert set(shown) == set(MOODS)
    assert shown["proud"] == shown["shy"] == shown["sad"] == dict(data.colours.bar("state.mood")["groups"])["3 others"]


def test_over_rounds_the_most_frequent_word_is_shown(moody: Run) -> None:
    """Agent 2 says left and then left, agent 3 left and then right, of which left comes first in the alphabet."""
    figure = grid.draw(moody, by="extra.side", rounds="all")
    assert figure.axes[0].get_title(loc="left") == "side, most frequent in rounds 1 to 2"
    assert grid.draw(moody, by="state.mood", rounds="all").axes[0].get_title(loc="left") == "mood, after round 2"
    assert grid.data(moody, by="extra.side", rounds="all")["extra.side"].tolist()[1:] == ["left", "left", "left"]
    nodes = social_graph.data(moody, by="extra.side").query("kind == 'node'")
    assert nodes["extra.side"].tolist() == ["no value", "left", "left", "left"]


def test_words_alone_make_a_map_a_film_and_a_player(moody: Run) -> None:
    assert select_plots(moody)["grid"] == ""
    assert grid.draw(moody).axes[0].get_title(loc="left") == "is_first, round 2"  # the first in the alphabet
    first, second = animation.frames(moody, by="state.mood")
    assert first.tobytes() != second.tobytes()
    frames = map_frames(moody, "state.mood")
    assert frames is not None
    assert (frames["title"], len(frames["palette"])) == ("mood", 7)
    assert frames["frames"][0]["colours"][3] == -1  # no value


def test_what_was_said_is_no_word(tiny_world: Callable[..., World]) -> None:
    run = tiny_world(Scenario(questions=["Why?"], protocol=talk, settle=settle), size=7).run(1)
    with pytest.raises(
        SettingsError,
        match=r"the run has no number or word \(texts of at most 40 kinds and 40 characters\) of that name in its states",
    ):
        grid.draw(run, by="state.said")
