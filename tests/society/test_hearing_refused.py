"""What is refused of hearing and of the settings of memories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_hearing import village

from sandbox import Scenario, World
from sandbox.errors import ScenarioError, SettingsError

MakeWorld = Callable[..., World]


def nested(agent, question, world):
    def inside():
        reply = yield agent.answer(question)
        agent.hear(reply, from_=agent)

    yield inside()
    return world.interaction(agent, question, draft="no")


def wrong(agent, question, world):
    reply = yield agent.answer(question)
    agent.hear(reply, from_=3)
    return world.interaction(agent, question, draft=reply.text)


def vain(agent, question, world):
    reply = yield agent.answer(question)
    agent.hear(reply, from_=agent, importance=7)
    return world.interaction(agent, question, draft=reply.text)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (
            nested,
            r"test_hearing_refused.py:\d+: agent.hear\(...\) was called where it cannot be recorded; call it in the protocol",
        ),
        (
            wrong,
            r"test_hearing_refused.py:\d+: agent.hear\('.*', from_=3\): expected a text, and from_= an agent or the name",
        ),
        (vain, r"importance=7\) must be in \[0, 1\], or None"),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_its_line(protocol: Any, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        World(
            Scenario(name="x", questions=["Q?"], protocol=protocol), model="scripted:", embedder="hashing", size=2
        ).run()


def test_it_is_refused_outside_of_a_run(tiny_world: MakeWorld) -> None:
    with pytest.raises(ScenarioError, match="was called where it cannot be recorded"):
        tiny_world(village(), size=2).members[0].hear("psst", from_="me")


def test_settings_of_memories() -> None:
    with pytest.raises(SettingsError, match="recall_turns=2 is for memories that recall answers one by one"):
        World(village(), model="scripted:", embedder="hashing", size=2, memory="stream", recall_turns=2)
    scenario = village(society={"memory": "stream", "memory.items": 7})
    world = World(scenario, model="scripted:", embedder="hashing", size=2)
    assert (world.society.memory, world.society.memory_settings) == ("stream", {"items": 7})
    again = World(
        scenario, model="scripted:", embedder="hashing", size=2, memory="stream", memory_settings={"items": 3},
        **{"memory.decay": 0.5},
    )  # fmt: skip
    assert again.society.memory_settings == {"items": 3, "decay": 0.5}
    other = World(scenario, model="scripted:", embedder="hashing", size=2, memory="summary", **{"memory.every": "2"})
    assert (other.society.memory, other.society.memory_settings) == ("summary", {"every": 2})
    with pytest.raises(
        ScenarioError, match=r"society\['memery'\]: is not a setting of the society. Did you mean 'memory'"
    ):
        village(society={"memery": "stream"})
