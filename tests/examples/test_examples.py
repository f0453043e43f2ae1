"""Every numbered example runs as it is, is short, and is linked from README; models that are slow are stood in for."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from typer.testing import CliRunner

from sandbox import open_run
from sandbox.cli.main import app
from sandbox.testing import check_memory, check_scenario

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
CHEAP = {"model": "scripted:", "embedder": "hashing"}


def example(number: int) -> ModuleType:
    [path] = [one for one in EXAMPLES if one.name.startswith(f"{number:02d}_")]
    spec = importlib.util.spec_from_file_location(f"example_{number}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_linked(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60
    assert f"(../examples/{path.name})" in (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")


def test_a_first_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example(1).main(out=tmp_path / "run", **CHEAP)
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said[:2]] == ["Agent 1 was asked", "It answered"]
    assert said[-1] == str(tmp_path / "run" / "figures" / "ratings.png")


def test_an_own_scenario_in_under_forty_lines(tmp_path: Path) -> None:
    path = ROOT / "examples" / "02_own_scenario.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) < 41
    check_scenario(str(path))
    command = ["run", str(path), "--model", "scripted:", "--set", "embedder=hashing", "--size", "3", "--rounds", "2"]
    said = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run"), "--json"], catch_exceptions=False)
    assert {"fair", "practical", "friendly", "gap", "ended"} <= set(json.loads(said.output))
    people = open_run(tmp_path / "run").agents()
    assert people[["name", "label", "job"]].to_numpy().tolist()[0] == ["Ada", "newcomer", "nurse"]
    drawn = CliRunner().invoke(app, ["plot", str(tmp_path / "run"), "measures", "ratings"], catch_exceptions=False)
    assert [Path(line).name for line in drawn.output.splitlines()] == ["measures.png", "ratings.png"]


def test_agents_hear_each_other_and_recall_it_by_a_memory_of_ones_own(tmp_path: Path) -> None:
    """Nothing is recalled in the first round; then each recalls only what one speaker said to it."""
    path = ROOT / "examples" / "12_hearing_and_memory.py"
    check_scenario(str(path))
    check_memory(f"{path}:Confidant")
    command = ["run", str(path), "--model", "scripted:", "--set", "embedder=hashing", "--size", "3", "--rounds", "4"]
    CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run"), "--json"], catch_exceptions=False)
    run = open_run(tmp_path / "run")
    assert run.manifest["settings"]["memory"] == "Confidant"
    assert len(run.heard()) == 4 * 9 * 2 + 9
    assert {it.recalled for it in run.interactions(0)} == {None}
    lines = [line for it in run.interactions(3) if it.recalled for line in it.recalled[1].split("\n")]
    assert lines
    assert all(line.startswith("- ") and ' said: "' in line for line in lines)
    other = [*command, "--set", "memory=stream", "--set", "memory.items=4", "--out", str(tmp_path / "stream"), "--json"]
    CliRunner().invoke(app, other, catch_exceptions=False)
    stream = open_run(tmp_path / "stream")
    assert {k: stream.manifest["settings"][k] for k in ("memory", "memory_settings")} == {
        "memory": "stream", "memory_settings": {"items": 4},
    }  # fmt: skip
    assert any("The moderator" in it.recalled[1] for it in stream.interactions(2))


def test_a_belief_is_kept_in_states_and_an_event_changes_the_prompts(tmp_path: Path) -> None:
    """With made-up replies every choice is between the two; the denial is in the states from the third round on."""
    path = ROOT / "examples" / "11_state_and_stages.py"
    check_scenario(str(path))
    command = ["run", str(path), "--model", "scripted:", "--set", "embedder=hashing", "--size", "3", "--rounds", "3"]
    said = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run"), "--json"], catch_exceptions=False)
    assert 0 <= json.loads(said.output)["belief"] <= 1
    states = open_run(tmp_path / "run").states()
    assert list(states.query("rounds == 0")["belief"]) == [1.0, *[0.2] * 8]
    assert [set(states.query(f"rounds == {rounds}")["news"]) for rounds in (2, 3)] == [{""}, {"The city denies it. "}]


def test_a_survey_against_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever remembers an answer, after the round, gives an hour more: 5 and 3 hours become 6 and 4."""
    example(14).main(tmp_path / "run", embedder="hashing")
    said = capsys.readouterr().out
    assert [line.split()[-1] for line in said.splitlines() if line[:1] in "02 1" and line.endswith(".0")] == [
        "5.0", "3.0", "6.0", "4.0",
    ]  # fmt: skip
    assert said.count("halves of the people") == 12


def test_an_own_language_model(capsys: pytest.CaptureFixture[str]) -> None:
    example(5).main()
    said = capsys.readouterr().out.splitlines()
    assert (len(said), said[0]) == (4, "Proverbs does what language models promise")


def test_two_models_in_one_society(capsys: pytest.CaptureFixture[str]) -> None:
    from sandbox.models.scripted import ScriptedModel

    kind, rude = (ScriptedModel(replies=[word, *"1234567"]) for word in ("Be kind.", "Who cares?"))
    kind.uri, rude.uri = "scripted:kind", "scripted:rude"
    example(6).main(kind, rude, embedder="hashing")
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()[2:]} == {"scripted:kind", "scripted:rude"}


def test_a_run_is_read(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example(7).main(run_dir)
    said = capsys.readouterr().out
    assert said.startswith("tiny: 3 rounds of value_alignment, seed 0")
    assert "polarisation: " in said


def test_a_sweep(tmp_path: Path) -> None:
    table = example(8).main(tmp_path / "sweep", **CHEAP)
    assert table[["population", "reviewers", "n"]].to_numpy().tolist() == [
        ["all_good", 1, 2], ["all_good", 4, 2], ["all_bad", 1, 2], ["all_bad", 4, 2],
    ]  # fmt: skip
    assert (tmp_path / "sweep" / "figures" / "sweep.png").is_file()


def test_what_if_one_agent_had_heard_some_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Most calls of the round are taken from the record; the first difference is in what that agent says."""
    found = example(15).main(tmp_path, **CHEAP)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{found.saved} of {found.needed} calls were taken from the record"
    assert found.saved > found.needed / 2
    assert (found.divergences[0].agent, found.divergences[0].part) == (5, "draft")


def test_a_class_talks_in_groups(tmp_path: Path) -> None:
    path = ROOT / "examples" / "13_groups.py"
    check_scenario(str(path))
    command = ["run", str(path), "--model", "scripted:", "--set", "embedder=hashing", "--size", "3", "--rounds", "2"]
    said = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run"), "--json"], catch_exceptions=False)
    assert {name: json.loads(said.output)[name] for name in ("interactions", "failed")} == {
        "interactions": 18,
        "failed": 0,
    }
    run = open_run(tmp_path / "run")
    assert all(0 <= it.extra["sure"] <= 100 and len(it.extra["group"]) == 3 for it in run.interactions())
    shown = CliRunner().invoke(app, ["show-prompts", str(path)], catch_exceptions=False)
    assert "Answer with a number from 0 to 100." in shown.output
    assert "You are the teacher of a class." in shown.output


def test_who_asks_whom(tmp_path: Path) -> None:
    """Each week one half is asked, drivers about the car; it ends after six weeks."""
    path = ROOT / "examples" / "20_who_asks_whom.py"
    check_scenario(str(path))
    command = ["run", str(path), "--model", "scripted:", "--set", "embedder=hashing", "--rounds", "9"]
    CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run")], catch_exceptions=False)
    run = open_run(tmp_path / "run")
    assert (run.rounds, run.ended) == (6, True)
    assert all(it.agent % 2 == it.round % 2 for it in run.interactions())
    assert all(("to town" in it.question) == (it.label == "driver") for it in run.interactions())
    shown = CliRunner().invoke(app, ["show-prompts", str(path)], catch_exceptions=False)
    assert "It rains on" in shown.output


def test_the_poor_leave_and_the_rich_have_a_child(tmp_path: Path) -> None:
    """Children begin with three coins and know their parent; those who left had none."""
    path = ROOT / "examples" / "16_births.py"
    check_scenario(str(path))
    command = ["run", str(path), "--model", "scripted:", "--set", "embedder=hashing", "--size", "4", "--rounds", "6"]
    said = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run"), "--json"], catch_exceptions=False)
    run = open_run(tmp_path / "run")
    people, states = run.population(), run.states()
    assert json.loads(said.output)["alive"] == len(states.query("rounds == 6")) == people["removed"].isna().sum()
    assert people.query("name == 'Noor'")["added"].tolist() == [2]
    children = states[states["parent"] != ""].drop_duplicates("agent")
    assert set(children["purse"]) == {3}
    assert set(children["agent"]) == set(people.query("added > 0 and name != 'Noor'")["agent"])
    left = [one.state for one in run.changes() if one.change == "removed"]
    assert left
    assert all(json.loads(state)["purse"] <= 0 for state in left)


@pytest.mark.needs_torch
def test_a_model_learns_from_what_was_paid(capsys: pytest.CaptureFixture[str]) -> None:
    check_scenario(str(ROOT / "examples" / "17_reward.py"))
    example(17).main()
    paid, trained = capsys.readouterr().out.splitlines()
    assert paid.startswith("paid ")
    assert trained.endswith(" steps on the best-paid answers")


@pytest.mark.slow
@pytest.mark.needs_torch
def test_a_policy_gradient_as_a_trainer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It keeps the contract of trainers, and what pays 20 becomes likelier than what pays 5."""
    check_scenario(str(ROOT / "examples" / "18_policy_gradient.py"))
    example(18).main(str(tmp_path))
    before, after = (float(line.split()[1]) for line in capsys.readouterr().out.splitlines())
    assert 5 < before < after <= 20


def test_a_policy_gradient_in_a_society(capsys: pytest.CaptureFixture[str]) -> None:
    """At even odds, returns 15 (cooperated) and 9 (defected) about their mean 12: 0.3 * (3 * 0.5 + 3 * 0.5) / 2 = 0.45."""
    module = example(19)
    played = [
        SimpleNamespace(total=total, turns=[SimpleNamespace(action=action)])
        for total, action in ((15, "cooperate"), (9, "defect"))
    ]
    assert module.update(0.0, played) == pytest.approx(0.45)
    [mean] = module.main(steps=1)
    assert 5 <= mean <= 17  # 5 for the first defection and 0 for each round after it; or 3 for each of four before it
    assert capsys.readouterr().out.startswith("step 0: cooperates with probability 0.50, earns ")
