"""A scenario of one's own: personas, roles, rubric, measures and stop condition go through world, record and pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox import Dimension, Example, Rubric, Scenario, open_run
from sandbox.cli.main import app
from sandbox.errors import DataFileError, ScenarioError
from sandbox.metrics.round_metrics import own_measures
from sandbox.preview.prompt_preview import render_prompts
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.personas import Personas, read_personas
from sandbox.scenario.prompts import Prompts
from sandbox.sweep.sweep import run_sweep
from visualize.plots import measures as picture

PEOPLE = (
    "name,age,job,politics\nAda,34,nurse,left\nBoris,61,baker,right\nCarla,45,teacher,left\nDora,20,student,right\n"
)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


def words(interactions: Any, world: Any) -> float:
    """Words of all final answers."""
    return float(sum(len(it.final.split()) for it in interactions))


def longest_yet(interactions: Any, world: Any) -> float:
    """Most words of a round so far."""
    return max(words(interactions, world), world.metrics.get("longest_yet") or 0)


def village(people: Path, **changes: Any) -> Scenario:
    given: dict[str, Any] = {
        "questions": ["May I?", "Must I?"],
        "personas": read_personas(people, "You are {age} and work as a {job}."),
        "population": "column:politics",
        "roles": {"left": "You vote for the left."},
        "rubric": Rubric(tuple(Dimension(n, f"how {n} it is") for n in ("kind", "true", "brief")), scale=10),
        "measures": {"words": words, "longest_yet": longest_yet},
        "stop": lambda world: world.round == 2,
        "society": {"reviewers": 1, "score_only": True},
    }
    return Scenario("village", **(given | changes))


def test_personas_reach_prompts_records_and_resumed_runs(people: Path, tiny_world: Any, tmp_path: Path) -> None:
    world = tiny_world(village(people), size=2, rater="lm")
    world.run(1)
    assert [a.name for a in world.members] == ["Ada", "Boris", "Carla", "Dora"]
    assert [a.label for a in world.members] == ["left", "right", "left", "right"]
    systems = {r.messages[0].content for r in world.lm.history if r.messages[0].role == "system"}
    assert (
        "You are Ada, a member of a small community. You vote for the left. You are 34 and work as a nurse. Answer what you "
        "are asked in two or three sentences."
    ) in systems
    assert any("and work as a" in s and "You say what you think" in s for s in systems)
    world.close()
    frame = open_run(tmp_path / "run").agents()
    assert frame[["name", "age", "job"]].to_numpy().tolist()[1] == ["Boris", 61, "baker"]
    people.write_text(PEOPLE.replace("34", "35"), encoding="utf-8")
    with pytest.raises(Exception, match=r"personas\.hash was "):
        tiny_world(village(people), size=2, rater="lm", resume=True)


def test_fewer_agents_are_drawn_and_more_share(people: Path, tiny_world: Any, tmp_path: Path) -> None:
    few = tiny_world(village(people), agents=3, size=2, rater="lm")
    assert len({a.name for a in few.members} & {"Ada", "Boris", "Carla", "Dora"}) == 3
    many = tiny_world(village(people), out=tmp_path / "many", rater="lm")
    assert [a.name for a in many.members][3:6] == ["Dora", "Ada 2", "Boris 2"]
    assert f"9 agents share the 4 personas of {people}" in many.notes


def test_a_branch_goes_on_with_the_same_people(people: Path, tiny_world: Any, tmp_path: Path) -> None:
    tiny_world(village(people), agents=3, size=2, rater="lm").run(1)
    branch = tiny_world(
        village(people), agents=3, size=2, rater="lm", seed=9, branch=f"{tmp_path}/run@1", out=tmp_path / "b"
    )
    assert open_run(tmp_path / "b").personas() == open_run(tmp_path / "run").personas()
    assert [dict(a.persona) for a in branch.members] == open_run(tmp_path / "run").personas()


def test_labels_come_from_shares_when_the_run_says_so(people: Path, tiny_world: Any) -> None:
    world = tiny_world(village(people), size=2, rater="lm", population="left=0.75,right=0.25")
    assert sorted(a.label for a in world.members) == ["left", "left", "left", "right"]
    with pytest.raises(
        ScenarioError, match=r"'column:job_' is not a column of .*people\.csv; its columns are name, age, job, politics"
    ):
        tiny_world(village(people), size=2, rater="lm", population="column:job_", out=people.parent / "b")


def test_every_fault_is_told_with_file_and_field(tmp_path: Path) -> None:
    (tmp_path / "people.jsonl").write_text('{"name": "Ada", "age": 3}\n{"name": ""}\n', encoding="utf-8")
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nfrom sandbox import *\nfrom sandbox.scenario.personas import read_personas\n"
        "HERE = Path(__file__).parent\n"
        "scenario = Scenario(questions='May I?', population='column:agee', stop=3, protocol=None, options=['a'],\n"
        "    personas=read_personas(HERE / 'people.jsonl', 'You are {age}, a {jobb}.'), measures={'rating': len, 'x': 1},\n"
        "    rubric=Rubric((Dimension('kind', ' '), Dimension('failed', 'x'))), society={'reviewer': 2})\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(tmp_path / "mine.py"), {})
    first, *lines = str(caught.value).splitlines()
    assert first.startswith(f"{tmp_path / 'mine.py'}: scenario 'without a name' cannot be used:")
    assert [line.strip().partition(":")[0] for line in lines] == [
        "questions", "population", "rubric.dimensions[0]", "rubric.dimensions[1]", "measures['rating']", "measures['x']",
        "stop", "protocol", "options", "personas.template", "personas", "society['reviewer']",
    ]  # fmt: skip
    assert "people.jsonl, row 2 has no name, age" in str(caught.value)
    assert "uses {jobb}" in str(caught.value)
    assert "is not a setting of the society. Did you mean 'reviewers'?" in str(caught.value)
    said = CliRunner().invoke(
        app, ["run", str(tmp_path / "mine.py"), "--model", "scripted:", "--out", str(tmp_path / "r")]
    )
    assert isinstance(said.exception, ScenarioError)
    assert not (tmp_path / "r").exists()


def test_an_error_in_a_scenario_function_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def scenario():\n    return 1 / 0\n", encoding="utf-8")
    with pytest.raises(
        ScenarioError, match=r"mine\.py: scenario '.*' cannot be made: ZeroDivisionError: division by zero"
    ):
        load_scenario(str(tmp_path / "mine.py"), {})
    with pytest.raises(DataFileError, match=r"gone\.csv cannot be read"):
        read_personas(tmp_path / "gone.csv", "")


def test_a_scenario_is_called_after_its_file(tmp_path: Path) -> None:
    (tmp_path / "town.py").write_text("from sandbox import Scenario\nscenario = Scenario(questions=['May I?'])\n")
    assert load_scenario(str(tmp_path / "town.py"), {}).name == "town"


def test_three_dimensions_of_any_scale_are_in_records_frames_and_measures(people: Path, tiny_world: Any) -> None:
    world = tiny_world(village(people), size=2, rater="lm")
    world.run(1)
    run = open_run(world.path)
    assert (run.dimensions, run.scale) == (["kind", "true", "brief"], 10)
    frame = run.frame()
    assert {f"{d}_{when}" for d in run.dimensions for when in ("before", "after")} <= set(frame.columns)
    assert frame["brief_after"].between(1, 10).all()
    assert {"kind", "true", "brief", "brief_gain"} <= set(run.measures()) & set(run.metrics()[0])
    assert len(run.interactions()[0].after.ratings["true"].distribution or ()) == 10


def test_own_measures_and_stop_condition(people: Path, tiny_world: Any, tmp_path: Path) -> None:
    world = tiny_world(village(people), size=2, rater="lm")
    run = world.run(5)
    assert (run.rounds, run.ended, world.ended, world.running) == (2, True, True, False)
    assert run.own_measures == {"words": "Words of all final answers.", "longest_yet": "Most words of a round so far."}
    first, second = run.metrics()
    assert first["words"] == sum(len(it.final.split()) for it in run.interactions(0) if it.final)
    assert second["longest_yet"] == max(first["words"], second["words"])
    assert run.measures()["words"] == {"value": second["words"], "low": None, "high": None, "n": 2}
    assert world.datacollector.get_model_vars_dataframe()["words"].tolist() == [first["words"], second["words"]]
    world.close()
    again = tiny_world(village(people), size=2, rater="lm", resume=True)
    assert again.ended
    assert again.run(5).rounds == 2


def test_a_resumed_run_measures_as_one_that_was_not_stopped(people: Path, tiny_world: Any, tmp_path: Path) -> None:
    """``world.metrics`` and ``world.previous`` stand in a resumed world as in one that went on."""

    def heard(interactions: Any, world: Any) -> float:
        """Words said the round before."""
        return float(sum(len(it.final.split()) for it in world.previous.values()))

    made = village(people, stop=None, measures={"heard": heard, "longest_yet": longest_yet})
    whole = tiny_world(made, size=2, rater="lm", out=tmp_path / "whole").run(3)
    tiny_world(made, size=2, rater="lm", out=tmp_path / "parts").run(2)
    parts = tiny_world(made, size=2, rater="lm", out=tmp_path / "parts2", branch=f"{tmp_path}/parts@2").run(3)
    assert parts.metrics() == whole.metrics()
    assert whole.metrics()[0]["heard"] == 0 < whole.metrics()[1]["heard"]


def test_a_measure_that_fails_is_named(people: Path, tiny_world: Any) -> None:
    world = tiny_world(village(people, measures={"mine": lambda interactions, world: "much"}), size=2, rater="lm")
    with pytest.raises(ScenarioError, match=r"scenario 'village': measures\['mine'\] failed in round 1: ValueError"):
        world.run(1)
    assert own_measures(village(people), [], world) == {"words": None, "longest_yet": None}


def test_own_measures_are_drawn_and_swept(people: Path, tiny_world: Any, tmp_path: Path) -> None:
    run = tiny_world(village(people), size=2, rater="lm").run(2)
    assert picture.data(run)["measure"].tolist() == ["words", "words", "longest_yet", "longest_yet"]
    first, second, *_ = picture.draw(run).axes
    assert (first.get_title(loc="left"), first.get_ylabel()) == ("words", "Words of all final answers")
    assert second.lines[0].get_ydata().tolist() == [m["longest_yet"] for m in run.metrics()]
    found = run_sweep(village(people), seeds=2, rounds=3, out=tmp_path / "s", model="scripted:", rater="lm",
                      embedder="hashing", size=2)  # fmt: skip
    assert [row["status"] for row in found["runs"]] == ["done", "done"]
    assert found["points"][0]["scores"]["words"]["n"] == 2


@pytest.mark.parametrize("examples", [(), (Example("Q", "yes, gladly", True), Example("Q", "no, never", False))])
def test_values_need_labelled_answers(examples: Any, tiny_world: Any, tmp_path: Path) -> None:
    """Asked for by name it is an error that names lm; as the bundled model's own default it gives way, with a note."""
    made = Scenario("mine", ["May I?"], rubric=Rubric((Dimension("kind", "how kind it is", examples),)))
    if examples:
        world = tiny_world(made, rater="values")
        assert "agents' values are those of the examples of kind" in world.notes[0]
        assert world.run(1).frame()["rating"].notna().any()
        return
    with pytest.raises(ScenarioError, match=r"cannot learn 'kind': .* or rate with --rater lm"):
        tiny_world(made, rater="values")
    assert not (tmp_path / "run").exists()

    from sandbox.models.scripted import ScriptedModel

    model = ScriptedModel()
    model.default_rater = "values"
    world = tiny_world(made, model=model)
    assert world.rater_names == {"neighbours": "lm", "observer": "lm"}
    assert "values cannot be learnt for kind" in world.notes[0]


def test_a_network_comes_from_a_file(people: Path, tiny_world: Any, tmp_path: Path) -> None:
    (tmp_path / "friends.edgelist").write_text("0 1\n1 2\n2 3\n", encoding="utf-8")
    made = village(people, society={"neighborhood": str(tmp_path / "friends.edgelist")})
    world = tiny_world(made, size=2, rater="lm")
    assert [[b.name for b in world.space.neighbors(a)] for a in world.members] == [
        ["Boris"], ["Ada", "Carla"], ["Boris", "Dora"], ["Carla"],
    ]  # fmt: skip


def test_prompts_are_overridden_one_by_one_and_shown_filled_in(people: Path) -> None:
    made = village(people, prompts=Prompts(observe="How good is {answer} to {question} as to {words}? Up to {scale}."))
    shown = {one.templates: one for one in render_prompts(made)}
    answer = shown[("answer_system", "answer", "recalled")]
    assert "You are Ada, a member of a small community. You vote for the left. You are 34" in answer.messages[0][1]
    [observed] = shown[("observe",)].messages
    assert observed[1].startswith("How good is ")
    assert re.search(r"as to how (kind|true|brief) it is\? Up to 10\.$", observed[1])
    assert shown[("observe",)].choices == tuple(map(str, range(1, 11)))
    assert {"rate", "revise"} <= {name for names in shown for name in names}
    right = render_prompts(made, label="right")[0]
    assert "You are Boris" in right.messages[0][1]
    with pytest.raises(ScenarioError, match=r"no agent is labelled 'lefd'\. Did you mean 'left'\? Labels: left, right"):
        render_prompts(made, label="lefd")


def test_show_prompts_prints_what_a_model_sees() -> None:
    said = CliRunner().invoke(app, ["show-prompts", "rumour", "--label", "teller"], catch_exceptions=False).output
    assert "── answer_system + answer + recalled + heard" in said
    assert "you are sure of it, and you tell everybody." in said
    assert "[assistant] Answer: ← one of yes, no" in said
    found = json.loads(CliRunner().invoke(app, ["show-prompts", "jury", "--json"], catch_exceptions=False).output)
    assert found[0].keys() == {"templates", "messages", "prefix", "choices", "max_tokens", "note"}
    assert any("guilty" in one["choices"] for one in found)


def test_show_prompts_names_a_prompt_that_no_request_used(tmp_path: Path) -> None:
    """The protocol asks for a number, whose prompt is another one than that of free text."""
    (tmp_path / "coins.py").write_text(
        "from sandbox import Prompts, Scenario\n\n\ndef give(agent, question, world):\n"
        "    found = yield agent.number(question, 0, 9)\n"
        "    return world.interaction(agent, question, draft=found.raw)\n\n\n"
        "scenario = Scenario(questions=['How many?'], protocol=give, prompts=Prompts(answer='Please. {question}'))\n",
        encoding="utf-8",
    )
    said = CliRunner().invoke(app, ["show-prompts", str(tmp_path / "coins.py")], catch_exceptions=False).output
    assert "prompts.answer of the scenario was not used above." in " ".join(said.split())


def test_json_of_a_run_holds_own_dimensions_and_measures(tmp_path: Path) -> None:
    said = CliRunner().invoke(
        app, ["run", "commons", "--model", "scripted:", "--set", "embedder=hashing", "--size", "2", "--rounds", "9",
              "--out", str(tmp_path / "r"), "--json"], catch_exceptions=False,
    )  # fmt: skip
    found = json.loads(said.output)
    assert {"stock", "harvest", "equality", "alignment", "engagement", "ended"} <= set(found)
    assert found["ended"] == (found["rounds"] < 9)
    again = CliRunner().invoke(app, ["plot", str(tmp_path / "r"), "--out", str(tmp_path / "f")], catch_exceptions=False)
    assert again.output.splitlines()[0] == str(tmp_path / "f" / "measures.png")


def test_personas_may_be_rows() -> None:
    people = Personas([{"mood": "merry"}, {"mood": "sad"}], "You are {mood}.")
    assert (people.tell(people.rows[1]), people.columns, people.faults()) == ("You are sad.", ["mood"], [])
