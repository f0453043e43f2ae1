"""Events given to a run from outside: who is told, how it is recorded, resumed, branched, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Scenario, World, open_run
from sandbox.chat import agent_role
from sandbox.errors import SandboxError, ScenarioError, SettingsError
from sandbox.models.scripted import ScriptedModel
from sandbox.preview.prompt_preview import render_prompts
from sandbox.society.agent_names import find_agent, find_agents
from sandbox.society.event import late_events

MakeWorld = Callable[..., World]
NEWS = "The mill has burnt down."


@pytest.fixture
def before(tiny_world: MakeWorld, tmp_path: Path) -> Path:
    """A run of three rounds, without states."""
    world = tiny_world(out=tmp_path / "before")
    world.run(3)
    world.close()
    return tmp_path / "before"


def told(out: Path) -> list[list[str]]:
    """What each agent was told, after the last round."""
    run = open_run(out)
    return [run.state(agent).get("told", []) for agent in range(9)]


def test_a_sentence_is_in_all_prompts_of_those_who_are_told_from_that_round_on(
    tiny_world: MakeWorld, tmp_path: Path, before: Path
) -> None:
    model = ScriptedModel()
    world = tiny_world(
        model=model, out=tmp_path / "after", branch=f"{before}@2", event=f"  {NEWS}\n", event_to="4", in_flight=1
    )
    world.run(4)
    asked = [request.messages[0].content for request in model.history if request.messages[0].role == "system"]
    mine = [text for text in asked if text.startswith("You are Agent 5,")]
    assert {"Answer what" in text for text in mine} == {True, False}  # it answers and reviews
    assert all(f"You have been told: {NEWS}" in text for text in mine)
    assert not any(NEWS in text for text in asked if text not in mine)
    run = open_run(tmp_path / "after")
    assert run.events().to_numpy().tolist() == [[2, "told", f"agents 4: {NEWS}"]]
    assert run.manifest["event"] == {"round": 2, "text": NEWS, "to": [4]}
    assert told(tmp_path / "after") == [[], [], [], [], [NEWS], [], [], [], []]
    assert sorted(set(run.states()["rounds"])) == [2, 3, 4]
    assert agent_role(run, 4).system.endswith(f"You have been told: {NEWS}")
    assert run.interactions(0) == open_run(before).interactions(0)


@pytest.mark.parametrize("in_flight", [1, 7, 1000])
def test_a_run_with_an_event_that_is_resumed_ends_the_same(
    tiny_world: MakeWorld, tmp_path: Path, before: Path, in_flight: int
) -> None:
    """Resumed before its first round, in the middle of it by a cap, and after it; the sentence need not be given again."""
    about: dict[str, Any] = {"branch": f"{before}@2", "event": NEWS, "event_to": "good"}
    tiny_world(out=tmp_path / "whole", **about).run(4)
    parts: list[dict[str, Any]] = [{}, {"max_calls": 30}, {}]
    for rounds, part in zip((2, 4, 3), parts, strict=True):
        out = tmp_path / f"{rounds}{part}"
        world = tiny_world(out=out, in_flight=in_flight, **about, **part)
        world.run(rounds)
        world.close()
        tiny_world(out=out, resume=True, in_flight=in_flight).run(4)
        assert open_run(out).interactions() == open_run(tmp_path / "whole").interactions()
        assert told(out) == told(tmp_path / "whole")
        assert told(out).count([NEWS]) > 1


def test_branches_take_over_what_was_told_before_them(tiny_world: MakeWorld, tmp_path: Path, before: Path) -> None:
    first = tiny_world(out=tmp_path / "first", branch=f"{before}@2", event=NEWS, event_to=[1, 3])
    first.run(3)
    first.close()
    tiny_world(out=tmp_path / "late", branch=f"{first.path}@3").run(4)
    assert [index for index, words in enumerate(told(tmp_path / "late")) if words] == [1, 3]
    tiny_world(out=tmp_path / "early", branch=f"{first.path}@2").run(3)
    assert told(tmp_path / "early") == [[]] * 9
    tiny_world(out=tmp_path / "more", branch=f"{first.path}@3", event="It rains.", event_to=3).run(4)
    assert told(tmp_path / "more")[3] == [NEWS, "It rains."]


def test_a_run_with_an_event_is_replayed(tiny_world: MakeWorld, tmp_path: Path, before: Path) -> None:
    about: dict[str, Any] = {"branch": f"{before}@2", "event": NEWS}
    first = tiny_world(out=tmp_path / "first", **about)
    first.run(3)
    uri = f"replay:{first.path}"
    again = tiny_world(model=uri, embedder=uri, rater="lm", out=tmp_path / "again", **about)
    again.run(3)
    assert open_run(again.path).interactions() == open_run(first.path).interactions()


def test_a_file_changes_states_and_tells(tiny_world: MakeWorld, tmp_path: Path, before: Path) -> None:
    path = tmp_path / "flood.py"
    path.write_text('def event(world):\n    """The river floods."""\n    world.tell("It floods.", [0])\n')
    about: dict[str, Any] = {"branch": f"{before}@2", "event": str(path)}
    world = tiny_world(out=tmp_path / "after", **about)
    world.run(3)
    world.close()
    run = open_run(world.path)
    assert run.events().to_numpy().tolist() == [[2, "event", "The river floods."]]
    assert run.manifest["event"] == {"round": 2, "function": path.as_posix()}
    assert told(world.path) == [["It floods."], *[[]] * 8]
    with pytest.raises(SettingsError, match="begun with the event .*flood.py; resume it with the same"):
        tiny_world(out=world.path, resume=True)
    tiny_world(out=world.path, resume=True, event=str(path)).run(4)
    assert told(world.path)[0] == ["It floods."]


def test_an_event_that_fails_names_its_line_and_can_be_mended(
    tiny_world: MakeWorld, tmp_path: Path, before: Path
) -> None:
    path = tmp_path / "flood.py"
    path.write_text("def event(world):\n    world.state['level'] = 1 / 0\n")
    about: dict[str, Any] = {"branch": f"{before}@2", "event": str(path), "out": tmp_path / "after"}
    world = tiny_world(**about)
    with pytest.raises(ScenarioError, match=r"flood.py:2: the event .*flood.py failed: ZeroDivisionError"):
        world.run(3)
    world.close()
    path.write_text("def event(world):\n    world.tell('It floods.', [9])\n")
    world = tiny_world(**about, resume=True)
    with pytest.raises(ScenarioError, match=r"flood.py:2: tell\(..., \[9\]\): no agent is meant by 9"):
        world.run(3)
    world.close()
    path.write_text("def event(world):\n    world.state['level'] = 1\n")
    tiny_world(**about, resume=True).run(3)
    assert open_run(tmp_path / "after").state() == {"level": 1}


def test_a_scenario_tells_in_its_own_events_but_not_within_a_stage(tiny_world: MakeWorld, tmp_path: Path) -> None:
    scenario = Scenario(questions=["What now?"], events={1: lambda world: world.tell(NEWS, "bad")})
    tiny_world(scenario, population="half_half").run(2)
    labels = open_run(tmp_path / "run").agents()["label"]
    assert told(tmp_path / "run") == [[NEWS] if label == "bad" else [] for label in labels]

    def talk(agent, question, world):
        world.tell(NEWS)
        yield agent.answer(question)

    world = tiny_world(Scenario(questions=["What now?"], protocol=talk), out=tmp_path / "other")
    with pytest.raises(ScenarioError, match="within a stage"):
        world.run(1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"event": " "}, "empty text"),
        ({"event": NEWS, "event_to": "gud"}, "no agent is meant by 'gud'. Did you mean 'good'"),
        ({"event": NEWS, "event_to": [9]}, "no agent is meant by 9.* Agents are 0 to 8; labels: bad, good"),
        ({"event": NEWS, "event_to": []}, "nobody is told"),
        ({"event": 3}, "expected a sentence or a function"),
        ({"event_to": 3}, "give --event too"),
        ({"event": lambda world: None, "event_to": 3}, "tells agents itself"),
        ({"event": "./none.py"}, "none.py' does not exist"),
    ],
)
def test_an_event_that_cannot_be_is_refused_before_anything_is_written(
    tiny_world: MakeWorld, tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(SandboxError, match=words):
        tiny_world(**given)
    assert not (tmp_path / "run").exists()


def test_another_event_is_another_run(tiny_world: MakeWorld, tmp_path: Path, before: Path) -> None:
    tiny_world(out=tmp_path / "after", branch=f"{before}@2", event=NEWS).close()
    with pytest.raises(SandboxError, match="event.text was 'The mill has burnt down.', now 'It rains.'"):
        tiny_world(out=tmp_path / "after", resume=True, event="It rains.")
    with pytest.raises(SandboxError, match="event was None"):
        tiny_world(out=before, resume=True, event="It rains.")


def test_those_who_are_told_are_found_by_number_and_label() -> None:
    labels = ["a", "b", "a", "7"]
    assert find_agents("a", labels) == (0, 2)
    assert find_agents("3, b", labels) == (1, 3)
    assert find_agents("7", labels) == (3,)
    assert find_agents([0, "b"], labels) == (0, 1)


def test_the_key_of_what_was_told_is_refused_to_others(tiny_world: MakeWorld) -> None:
    with pytest.raises(ScenarioError, match="holds the sentences that an agent was told"):
        tiny_world(Scenario(questions=["What now?"], state={"told": True}))
    tiny_world(Scenario(questions=["What now?"], state={"told": [NEWS]}))


def test_events_that_never_come_are_said(tiny_world: MakeWorld, tmp_path: Path) -> None:
    world = tiny_world(Scenario(questions=["What now?"], events={1: print, 5: print, 7: print}))
    assert late_events(world, 8) == []
    assert late_events(world, 6) == ["the event of round 7 does not take place: the run has 6 rounds, 0 to 5"]
    assert late_events(world, 3) == ["the events of rounds 5, 7 do not take place: the run has 3 rounds, 0 to 2"]
    tiny_world(Scenario(questions=["What now?"], events={1: print}), out=tmp_path / "before").run(3)
    later = Scenario(questions=["What now?"], events={0: print, 1: print, 3: print})
    branch = tiny_world(later, out=tmp_path / "branch", branch=f"{tmp_path / 'before'}@2")
    [said] = late_events(branch, 4)
    assert said.startswith("the event of round 0 does not take place: the run branches at round 2, and the record of")


def test_prompts_show_an_event() -> None:
    shown = render_prompts("value_alignment", event=NEWS)
    with_it = [one for one in shown if any(f"You have been told: {NEWS}" in text for _, text in one.messages)]
    assert {name for one in with_it for name in one.templates} >= {"told", "answer_system", "review_system", "revise"}
    assert all("told" in one.templates for one in with_it)
    assert not any("told" in one.templates for one in render_prompts("value_alignment"))


def test_agents_are_meant_by_their_names() -> None:
    """A label comes before a number, and a number before a name; a name with a comma is taken whole."""
    labels, names = ["good", "bad", "good", "bad"], {0: "Ada", 1: "Ben", 2: "Smith, Jo", 3: "Ben", 4: "removed"}
    assert find_agents("Ada,1", labels, names) == (0, 1)
    assert find_agents("Smith, Jo", labels, names) == find_agents(["Smith, Jo"], labels, names) == (2,)
    with pytest.raises(SettingsError, match=r"2 agents are called 'Ben'; give the number .*: 1, 3"):
        find_agents("Ben", labels, names)
    with pytest.raises(
        SettingsError, match=r"'Adda'. Did you mean 'Ada'\? Agents are 0 to 3; labels: bad, good; names: Ada,"
    ):
        find_agents("Adda", labels, names)
    with pytest.raises(SettingsError, match="no agent is meant by 'removed'"):
        find_agents("removed", labels, names)
    assert find_agent("Ada", names, "the run") == find_agent(0, names, "the run") == 0
    with pytest.raises(
        SettingsError, match=r"the run has no agent 'Adda'. Did you mean 'Ada'\? Its agents are 0 to 4; names"
    ):
        find_agent("Adda", names, "the run")


def test_a_node_of_a_network_is_told_by_its_name(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "net.csv"
    path.write_text("source,target\nAnn,Cy\nBob,Cy\n")
    world = tiny_world(neighborhood=str(path), event=NEWS, event_to="Cy")
    world.run(1)
    assert [NEWS in agent.state.get("told", ()) for agent in world.members if agent.name == "Cy"] == [True]
    world.close()
    resumed = tiny_world(
        out=tmp_path / "branch",
        neighborhood=str(path),
        branch=f"{tmp_path / 'run'}@1",
        event="More.",
        event_to="Ann,Bob",
    )
    resumed.run(2)
    assert {agent.name for agent in resumed.members if "More." in agent.state.get("told", ())} == {"Ann", "Bob"}
