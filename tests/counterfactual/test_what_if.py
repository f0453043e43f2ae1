"""Two futures of a run: what is asked again, what differs, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox import Scenario, ScriptedModel, WhatIf, World, load_scenario, open_run, what_if
from sandbox.cli.main import app
from sandbox.errors import (
    DamagedFile,
    RunExists,
    RunNotFound,
    SandboxError,
    ScenarioError,
    SettingsError,
)

MakeWorld = Callable[..., World]
NEWS = "The mill has burnt down."


@pytest.fixture
def before(tiny_world: MakeWorld, tmp_path: Path) -> Path:
    """A run of four rounds of 16 agents."""
    world = tiny_world(size=4, out=tmp_path / "before")
    world.run(4)
    world.close()
    return tmp_path / "before"


def test_an_event_that_reaches_one_agent_saves_most_calls_of_the_next_round(tmp_path: Path, before: Path) -> None:
    """Where the run goes on, the future without the event asks nothing, and the other only what changed."""
    model = ScriptedModel()
    found = what_if(f"{before}@2", NEWS, to=5, out=tmp_path / "futures", model=model)
    assert found.calls["without"]["reused"] == found.calls["without"]["calls"]
    first, later = found.calls["with"]["by_round"]
    assert first["reused"] >= first["calls"] / 2
    assert later["reused"] >= later["calls"] / 2
    assert len({request.key() for request in model.history}) == found.needed - found.saved
    assert found.rounds == (2, 4)
    without, with_ = found.runs
    assert without.interactions() == open_run(before).interactions()
    assert [one.agent for one in found.divergences if one.part == "draft" and one.round == 2] == [5]
    start = found.divergences[0]
    assert (start.round, start.agent, start.part) == (2, 5, "draft")
    assert start.first != start.second
    assert with_.interactions(2, agent=5)[0].draft.startswith(start.second)
    assert found.reach[0] == {"round": 2, "agents": 16, "differs": sum(one.round == 2 for one in found.divergences)}
    assert 0 < found.reach[0]["differs"] < 16
    assert json.loads((tmp_path / "futures" / "what_if.json").read_text()) == json.loads(json.dumps(found.as_dict()))


def test_beyond_the_run_the_futures_share_their_calls(tmp_path: Path, before: Path) -> None:
    model = ScriptedModel()
    found = what_if(f"{before}@4", NEWS, to=[5], out=tmp_path / "futures", model=model)
    [first] = found.calls["with"]["by_round"]
    [second] = found.calls["without"]["by_round"]
    assert first["reused"] == 0
    assert second["reused"] >= second["calls"] / 2
    assert len({request.key() for request in model.history}) == found.needed - found.saved


@pytest.mark.parametrize("in_flight", [1, 7, 1000])
def test_futures_are_those_that_runs_without_any_record_would_have(
    tiny_world: MakeWorld, tmp_path: Path, before: Path, in_flight: int
) -> None:
    """The record is emptied of its calls, so that every call is made."""
    found = what_if(f"{before}@2", NEWS, to="bad", rounds=5, out=tmp_path / "futures", in_flight=in_flight)
    plain = tiny_world(size=4, out=tmp_path / "plain", branch=f"{before}@2", event=NEWS, event_to="bad")
    plain.store._db.execute("DELETE FROM calls")
    plain.run(5)
    assert found.runs[1].interactions() == open_run(tmp_path / "plain").interactions()
    assert found.runs[1].metrics() == open_run(tmp_path / "plain").metrics()
    assert found.runs[0].interactions(3) == open_run(before).interactions(3)


def test_an_event_that_changes_nothing_gives_the_same_future_for_no_call(tmp_path: Path, before: Path) -> None:
    found = what_if(f"{before}@1", lambda world: None, out=tmp_path / "futures")
    assert found.divergences == []
    assert found.saved == found.needed > 0
    assert {row["difference"] for row in found.metrics.values()} == {0.0}
    assert {(row["low"], row["high"]) for row in found.metrics.values()} == {(0.0, 0.0)}
    assert [one["differs"] for one in found.reach] == [0, 0, 0]


def test_differences_are_those_of_the_two_runs(tmp_path: Path, before: Path) -> None:
    """The metrics of one round, which each run has computed for itself."""
    found = what_if(f"{before}@2", NEWS, rounds=3, out=tmp_path / "futures")
    metrics = [run.metrics()[2] for run in found.runs]
    for name, row in found.metrics.items():
        assert [row["first"], row["second"]] == pytest.approx([of[name] for of in metrics], abs=1e-9), name
        assert row["difference"] == pytest.approx(metrics[1][name] - metrics[0][name], abs=1e-9)
        assert row["low"] <= row["difference"] <= row["high"]
        assert (row["n"], row["over"]) == (16, "agents")
    assert {"rating", "alignment", "engagement_gain", "consensus"} <= set(found.metrics)


def bank(interactions: list[Any], world: World) -> float:
    """Coins of all."""
    return sum(agent.state["purse"] for agent in world.members)


def give(agent, question, world):
    """The gift is the number of words in the reply."""
    reply = yield agent.answer(question)
    return world.interaction(agent, question, draft=reply.text, extra={"gift": len(reply.text.split())})


def pay(world, interactions):
    for it in interactions:
        world.members[it.agent].state["purse"] -= it.extra["gift"]


def game(**more: Any) -> Scenario:
    return Scenario(
        name="game", questions=["What do you give?"], protocol=give, settle=pay, state={"purse": 100.0},
        measures={"bank": bank}, **more,
    )  # fmt: skip


def test_own_measures_states_and_results_are_compared(tiny_world: MakeWorld, tmp_path: Path) -> None:
    """Agent 0 gives one word, and after the event three; the other eight are not reached.

    Its purse after two rounds is 98 without and 94 with the event; the mean over nine agents differs by 4/9, and its gift of a
    round by 2.
    """
    model = ScriptedModel(replies=lambda request: "One two three." if NEWS in request.messages[0].content else "One.")
    world = tiny_world(game(), model=model, out=tmp_path / "game")
    world.run(3)
    world.close()
    asked = len(model.history)
    found = what_if(f"{tmp_path / 'game'}@1", NEWS, to=0, scenario=game(), model=model, out=tmp_path / "futures")
    assert len(model.history) - asked == 2
    assert (found.saved, found.needed) == (34, 36)
    assert found.states["purse"]["difference"] == pytest.approx(-4 / 9)
    assert found.extra["gift"]["difference"] == pytest.approx(2 / 9)
    assert found.extra["gift"]["low"] < 2 / 9 < found.extra["gift"]["high"]
    assert [found.measures["bank"][key] for key in ("difference", "n", "over")] == [-3.0, 2, "rounds"]
    assert [(one.agent, one.part, one.first, one.second) for one in found.divergences] == [
        (0, "draft", "One.", "One two three."), (0, "draft", "One.", "One two three."),
    ]  # fmt: skip
    assert "told" not in found.states


def test_one_that_was_stopped_goes_on_and_ends_the_same(tmp_path: Path, before: Path) -> None:
    """Broken off in the second future, after the first of its two rounds."""
    whole = what_if(f"{before}@3", NEWS, to=5, rounds=5, out=tmp_path / "whole").as_dict()

    @contextmanager
    def watch(name: str, world: World, rounds: int) -> Iterator[None]:
        assert rounds == 5
        if name == "without":
            world.step()
            raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        what_if(f"{before}@3", NEWS, to=5, rounds=5, out=tmp_path / "part", watch=watch)
    for _ in range(2):
        model = ScriptedModel()
        part = what_if(f"{before}@3", NEWS, to=5, rounds=5, out=tmp_path / "part", model=model).as_dict()
        assert {**part, "out": ""} == {**whole, "out": ""}
    assert model.history == []


def test_caps_are_of_both_futures_together_and_what_is_in_the_record_is_free(tmp_path: Path, before: Path) -> None:
    """The future with the event reaches the cap, and the other makes no call; all ends as without a cap."""
    whole = what_if(f"{before}@3", NEWS, to=5, rounds=5, out=tmp_path / "whole").as_dict()
    made = whole["needed"] - whole["saved"]
    half = what_if(f"{before}@3", NEWS, to=5, rounds=5, out=tmp_path / "part", max_calls=made // 2)
    assert (half.stopped, half.needed - half.saved) == (True, made // 2)
    assert any("repeat the same with a higher cap" in note for note in half.notes)
    end = what_if(f"{before}@3", NEWS, to=5, rounds=5, out=tmp_path / "part", max_calls=made)
    assert {**end.as_dict(), "out": "", "calls": 0} == {**whole, "out": "", "calls": 0}
    with pytest.raises(SettingsError, match="no model has prices"):
        what_if(f"{before}@3", NEWS, to=5, out=tmp_path / "dear", max_cost=1.0)


def test_a_cap_before_the_first_round_leaves_nothing_to_compare(tmp_path: Path, before: Path) -> None:
    found = what_if(f"{before}@4", NEWS, out=tmp_path / "futures", max_calls=1)
    assert (found.stopped, found.metrics, found.states, found.divergences) == (True, {}, {}, [])
    assert found.needed <= 1
    assert found.notes[-1] == "compared: no round, for a future ended or was stopped after 4 rounds"


def test_a_dry_run_counts_the_future_that_is_not_in_the_record(before: Path) -> None:
    command = ["what-if", f"{before}@3", "--event", NEWS, "--dry-run", "--json"]
    found = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)
    assert (found["rounds"], found["future"]["interactions"], found["without_is_recorded"]) == ([3, 4], 16, True)
    assert found["at_most"]["calls"] == found["future"]["calls"] > 16
    more = json.loads(CliRunner().invoke(app, [*command, "--rounds", "5"], catch_exceptions=False).stdout)
    assert more["at_most"]["calls"] == 2 * more["future"]["calls"]


def test_another_seed_is_that_of_both_futures(tmp_path: Path, before: Path) -> None:
    found = what_if(f"{before}@2", NEWS, to=5, rounds=3, out=tmp_path / "futures", seed=7)
    assert [run.manifest["seed"] for run in found.runs] == [7, 7]
    assert found.calls["with"]["reused"] == 0 < found.calls["without"]["reused"]
    assert found.runs[0].interactions(2) != open_run(before).interactions(2)
    assert found.reach[0]["differs"] < 16


def test_a_future_that_ends_early_is_compared_as_far_as_it_goes(tiny_world: MakeWorld, tmp_path: Path) -> None:
    def stop(world: World) -> bool:
        return world.round == 2 and bool(world.members[0].state.get("told"))

    world = tiny_world(game(stop=stop), out=tmp_path / "game")
    world.run(4)
    world.close()
    found = what_if(f"{tmp_path / 'game'}@1", NEWS, scenario=game(stop=stop), out=tmp_path / "futures")
    assert found.rounds == (1, 2)
    assert found.notes[-1] == "compared: round 2, for a future ended or was stopped after 2 rounds"


def test_an_event_that_fails_is_told_before_any_call_and_leaves_nothing(tmp_path: Path, before: Path) -> None:
    path, model = tmp_path / "flood.py", ScriptedModel()
    path.write_text("def event(world):\n    world.members[0].state['purse'] += 1\n")
    words = r"future with the event: .*flood.py:2: .*KeyError: the state of Agent 1 has .*Correct the cause and repeat"
    with pytest.raises(ScenarioError, match=words):
        what_if(f"{before}@2", str(path), out=tmp_path / "futures", model=model)
    assert (model.history, (tmp_path / "futures").exists()) == ([], False)
    path.write_text("def event(world):\n    world.tell('It floods.')\n")
    assert what_if(f"{before}@2", str(path), out=tmp_path / "futures").reach[0]["differs"] == 16


@pytest.mark.parametrize(
    ("branch", "given", "words"),
    [
        ("{run}@5", {}, "has 4 complete rounds"),
        ("{run}", {}, "what-if takes RUN@ROUNDS"),
        ("{run}@2", {"rounds": 2}, "leaves no round after the event: .* give at least 3"),
        ("{run}@2", {"to": 16}, "Agents are 0 to 15"),
        ("{run}@2", {"event": ""}, "empty text"),
        ("{run}@2", {"resume": True}, "resume cannot be a setting of what_if"),
        ("{run}@2", {"sizes": 4}, "no setting 'sizes'"),
        (
            "{run}@2",
            {"scenario": "jury"},
            "holds another scenario: questions.n was .* Give the scenario as the run had it",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_and_leaves_nothing(
    tmp_path: Path, before: Path, branch: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(SandboxError, match=words):
        what_if(branch.format(run=before), **{"event": NEWS, "out": tmp_path / "futures", **given})
    assert not (tmp_path / "futures").exists()


def test_a_damaged_manifest_is_named(tmp_path: Path, before: Path) -> None:
    path = before / "manifest.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "models": {"agents": 3}}))
    with pytest.raises(DamagedFile, match="the manifest of .*before is damaged"):
        what_if(f"{before}@1", NEWS, out=tmp_path / "futures")


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound):
        what_if(f"{tmp_path / 'none'}@1", NEWS)


def test_a_folder_holds_one_what_if(tmp_path: Path, before: Path) -> None:
    what_if(f"{before}@2", NEWS, rounds=3, out=tmp_path / "futures")
    with pytest.raises(RunExists, match="another what-if: from was"):
        what_if(f"{before}@3", NEWS, out=tmp_path / "futures")
    with pytest.raises(RunExists, match="event.text was"):
        what_if(f"{before}@2", "It rains.", rounds=3, out=tmp_path / "futures")


def test_scenarios_and_models_that_were_given_as_objects_are_asked_for(tiny_world: MakeWorld, tmp_path: Path) -> None:
    made = load_scenario("value_alignment", {})
    world = tiny_world(made, model=ScriptedModel(replies=["No."]), out=tmp_path / "before")
    world.run(1)
    world.close()
    branch, out = f"{tmp_path / 'before'}@1", tmp_path / "futures"
    with pytest.raises(SettingsError, match="given as an object; give it again"):
        what_if(branch, NEWS, out=out)
    with pytest.raises(RunExists, match="another language model: agents.fingerprint was"):
        what_if(branch, NEWS, out=out, scenario=made)
    assert what_if(branch, NEWS, out=out, scenario=made, model=ScriptedModel(replies=["No."])).rounds == (1, 2)


def test_the_scenario_and_its_settings_come_from_the_manifest(tiny_world: MakeWorld, tmp_path: Path) -> None:
    path = tmp_path / "village.py"
    path.write_text(
        "from sandbox import Scenario\n\n\ndef scenario(topic: str = 'snow'):\n"
        "    return Scenario(questions=[f'Who clears the {topic}?'])\n"
    )
    world = tiny_world(
        str(path), topic="leaves", recall_distance=0.7, population="good=0.5,bad=0.5", out=tmp_path / "before"
    )
    world.run(1)
    world.close()
    found = what_if(f"{tmp_path / 'before'}@1", NEWS, out=tmp_path / "futures")
    assert found.runs[1].interactions(1)[0].question == "Who clears the leaves?"
    assert found.runs[1].manifest["settings"]["recall_distance"] == 0.7


def test_the_command(tmp_path: Path, before: Path) -> None:
    def call(*more: str) -> Any:
        words = [
            "what-if",
            f"{before}@2",
            "--event",
            NEWS,
            "--event-to",
            "5",
            "--out",
            str(tmp_path / "futures"),
            *more,
        ]
        return CliRunner().invoke(app, words, catch_exceptions=False)

    done = json.loads(call("--json").stdout)
    assert done["event"] == {"round": 2, "text": NEWS, "to": [5]}
    assert done["saved"] > done["needed"] / 2
    said = call().stdout
    assert f"{done['saved']} of {done['needed']} calls were taken from the record" in said
    first = done["divergences"][0]
    assert f"  without: {first['first']}\n  with:    {first['second']}\n" in said
    assert f"round 3: {done['reach'][0]['differs']} of 16 interactions differ" in said
    with pytest.raises(SettingsError, match="--set seed cannot be"):
        call("--set", "seed=3")


def test_calls_of_a_branch_are_counted_by_round(tiny_world: MakeWorld, tmp_path: Path, before: Path) -> None:
    """Of rounds that it ran itself, also where it was capped and resumed; other runs have none."""
    out = tmp_path / "branch"
    for cap in (40, None):
        world = tiny_world(size=4, out=out, branch=f"{before}@2", seed=3, resume=True, max_calls=cap)
        world.run(3)
        world.close()
    run = open_run(out)
    [counted] = run.branch_calls()
    assert (counted["round"], counted["reused"]) == (2, 0)
    assert counted["calls"] == run.manifest["tokens"]["calls"]
    tiny_world(size=4, out=tmp_path / "same", branch=f"{before}@2").run(3)
    summary = open_run(tmp_path / "same").summary()
    assert (summary["calls"], summary["reused"]) == (0, counted["calls"])
    assert open_run(before).branch_calls() == []
    assert "reused" not in open_run(before).summary()


def test_a_local_model_is_asked_only_for_what_changed(
    tiny_world: MakeWorld, tmp_path: Path, tiny_lm_path: Path
) -> None:
    """Its calls run in other batches than in the first run; what is taken from the record is the same to the last digit."""
    world = tiny_world(model=f"hf:{tiny_lm_path}", max_tokens=8, reason_tokens=8, out=tmp_path / "before")
    world.run(1)
    world.close()
    _check_first_round(what_if(f"{tmp_path / 'before'}@0", NEWS, to=0, out=tmp_path / "futures"))


@pytest.mark.slow
def test_the_bundled_model_is_asked_only_for_what_changed(tiny_world: MakeWorld, tmp_path: Path) -> None:
    world = tiny_world(model="smollm2", max_tokens=16, reason_tokens=16, out=tmp_path / "before")
    world.run(1)
    world.close()
    _check_first_round(what_if(f"{tmp_path / 'before'}@0", NEWS, to=0, out=tmp_path / "futures"))


def _check_first_round(found: WhatIf) -> None:
    [first] = found.calls["with"]["by_round"]
    assert first["calls"] / 2 <= first["reused"] < first["calls"]
    assert found.calls["without"]["reused"] == found.calls["without"]["calls"]
    without, with_ = (run.interactions(0) for run in found.runs)
    differs = {one.agent for one in found.divergences}
    assert [it for it in without if it.agent not in differs] == [it for it in with_ if it.agent not in differs]
    assert (found.divergences[0].agent, found.divergences[0].part) == (0, "draft")
