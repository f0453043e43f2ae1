"""Agents' answers against people's: values by hand and by scipy, subgroups, intervals, the ceiling, and faults."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from sandbox import ScriptedModel, open_run
from sandbox.cli.main import app
from sandbox.errors import DamagedFile, DataFileError, NothingToShow, SandboxError, SettingsError
from sandbox.models.base import Reply, Request
from sandbox.survey.people import read_people
from sandbox.survey.samples import number_scale
from sandbox.survey.validation import validate_survey

ASKED: dict[str, dict[str, Any]] = {
    "vote": {"question": "Which?", "kind": "choice", "options": "park|road"},
    "often": {"question": "How often?", "kind": "ordered", "options": "never|sometimes|always"},
    "fine": {"question": "How fine?", "kind": "ordered", "options": "1|3|7"},
    "hours": {"question": "How long?", "kind": "number", "low": 0, "high": 10},
    "why": {"question": "Why?", "kind": "text"},
}


def agent(number: int, question: str, answer: Any, *, at: int = 1, **more: Any) -> dict[str, Any]:
    """A row as ``sandbox survey`` writes it; an answer to a choice is an option, or shares of all."""
    about = ASKED[question]
    row = {"run": "r", "at": at, "agent": number, "question_id": question, "options": None, "probabilities": None,
           "number": None, "low": None, "high": None, **about, **more}  # fmt: skip
    if about["kind"] in ("choice", "ordered") and answer is not None:
        options = about["options"].split("|")
        shares = answer if isinstance(answer, list) else [float(option == answer) for option in options]
        row |= {
            "answer": options[int(np.argmax(shares))],
            "probabilities": json.dumps(dict(zip(options, shares, strict=True))),
        }
    else:
        row |= {
            "answer": answer if answer is None else str(answer),
            "number": answer if about["kind"] == "number" else None,
        }
    return row


def files(folder: Path, agents: list[dict[str, Any]], people: list[dict[str, Any]]) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    pd.DataFrame(agents).to_csv(folder / "survey.csv", index=False)
    pd.DataFrame(people).to_csv(folder / "people.csv", index=False)
    return folder / "survey.csv", folder / "people.csv"


def human(question: str, *answers: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"question_id": question, "answer": answer, **more} for answer in answers]


def by_id(found: dict[str, Any], group: str | None = None) -> dict[str, dict[str, Any]]:
    return {one["question_id"]: one for one in found["questions"] if one["group"] == group}


def value(entry: dict[str, Any], name: str) -> Any:
    return entry[name] and entry[name]["value"]


def test_choices_by_hand(tmp_path: Path) -> None:
    """Agents: park 0.5 and 0.75, so 0.625; people: 3 of 4 park. TV is 0.125, of the uniform guess 0.25."""
    agents = [agent(0, "vote", [0.5, 0.5]), agent(1, "vote", [0.75, 0.25])]
    found = validate_survey(*files(tmp_path, agents, human("vote", "park", "Park", "road", "park")))
    entry = by_id(found)["vote"]
    assert (entry["n_agents"], entry["n_people"]) == (2, 4)
    assert value(entry, "tv") == pytest.approx(0.125)
    assert value(entry, "score") == pytest.approx(50)
    assert entry["wasserstein"] is None
    assert entry["ks"] is None
    assert found["overall"][0]["score"]["value"] == pytest.approx(50)


def test_ordered_options_and_weights_by_hand(tmp_path: Path) -> None:
    """Agents say never; people always with weight 3 and never with weight 1: two steps for 3/4; of 1, 3 and 7, six."""
    agents = [agent(n, q, a) for n in (0, 1) for q, a in (("often", "never"), ("fine", "1"))]
    people = [
        *human("often", "always", weight=3), *human("often", "never", weight=1),
        *human("fine", 7, weight=3), *human("fine", 1.0, weight=1),
    ]  # fmt: skip
    found = by_id(validate_survey(*files(tmp_path, agents, people)))
    assert value(found["often"], "wasserstein") == pytest.approx(1.5)
    assert value(found["fine"], "wasserstein") == pytest.approx(4.5)
    assert value(found["fine"], "tv") == pytest.approx(0.75)


def test_numbers_as_scipy_has_them(tmp_path: Path) -> None:
    draw = random.Random(0)
    said, heard = ([draw.choice([draw.uniform(0, 10), draw.randint(0, 10)]) for _ in range(n)] for n in (40, 60))
    agents = [agent(n, "hours", number) for n, number in enumerate(said)]
    entry = by_id(validate_survey(*files(tmp_path, agents, human("hours", *heard))))["hours"]
    assert value(entry, "wasserstein") == pytest.approx(stats.wasserstein_distance(said, heard))
    assert value(entry, "ks") == pytest.approx(stats.ks_2samp(said, heard).statistic)
    edges = np.linspace(0, 10, 11)
    shares = [np.histogram(sample, edges)[0] / len(sample) for sample in (said, heard)]
    assert value(entry, "tv") == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)


def test_whole_numbers_are_their_own_bins() -> None:
    assert number_scale([1, 3], 0.0, 10.0).bins.tolist() == [1, 3]
    assert number_scale([1, 3], 0.0, 10.0).n_bins == 11
    assert number_scale([1.5, 10.0], 0.0, 10.0).bins.tolist() == [1, 9]
    assert number_scale([0, 50, 100], 0.0, 100.0).bins.tolist() == [0, 5, 9]


def test_rounds_and_subgroups_are_compared_apart(tmp_path: Path) -> None:
    """Young agents turn from road to park; young people want the park, old ones the road; the middle-aged are alone."""
    agents = [
        agent(n, "vote", answer, at=at, age=age)
        for at, young in ((0, "road"), (2, "park"))
        for n, (age, answer) in enumerate([("young", young), ("young", young), ("old", "road")])
    ]
    people = [
        *human("vote", "park", "park", age="young"),
        *human("vote", "road", age="old"),
        *human("vote", "park", age="40"),
    ]
    found = validate_survey(*files(tmp_path, agents, people), by="age")
    assert {(one["at"], one["group"]): round(one["tv"]["value"], 3) for one in found["questions"]} == {
        (0, None): 0.75, (0, "old"): 0.0, (0, "young"): 1.0,
        (2, None): 0.083, (2, "old"): 0.0, (2, "young"): 0.0,
    }  # fmt: skip
    assert found["notes"] == ["only people have age '40'; not compared"]


def test_a_respondent_is_drawn_whole(tmp_path: Path) -> None:
    """Of 20 people each answers 50 times: intervals are as wide as those of 20 answers, not of 1,000."""
    answers = ["park"] * 10 + ["road"] * 10
    agents = [agent(n, "vote", "park") for n in range(30)]
    whole = [one for who, answer in enumerate(answers) for one in human("vote", *[answer] * 50, respondent=f"r{who}")]
    widths = []
    for people in (whole, human("vote", *answers), human("vote", *answers * 50)):
        entry = by_id(validate_survey(*files(tmp_path, agents, people)))["vote"]
        widths.append(entry["tv"]["high"] - entry["tv"]["low"])
        assert entry["tv"]["value"] == pytest.approx(0.5)
    assert widths[0] == pytest.approx(widths[1], rel=0.2)
    assert widths[2] < widths[1] / 4


def test_the_interval_covers_the_distance_of_the_populations(tmp_path: Path) -> None:
    """Agents say park with 0.7, people with 0.3; in 40 draws of 100 each the 95% interval holds 0.4 in most."""
    hits = 0
    for seed in range(40):
        draw = random.Random(seed)
        agents = [agent(n, "vote", draw.choices(["park", "road"], [7, 3])[0]) for n in range(100)]
        people = human("vote", *draw.choices(["park", "road"], [3, 7], k=100))
        tv = by_id(validate_survey(*files(tmp_path, agents, people), resamples=200, splits=1))["vote"]["tv"]
        hits += tv["low"] <= 0.4 <= tv["high"]
    assert hits >= 34


def test_the_ceiling_is_what_halves_of_the_people_reach(tmp_path: Path) -> None:
    """People who agree have a perfect ceiling; two who do not have the worst, for each is a half."""
    agents = [agent(n, "vote", "road") for n in range(3)]
    one, two = (
        by_id(validate_survey(*files(tmp_path, agents, human("vote", *answers))))["vote"]["ceiling"]
        for answers in (["park"] * 6, ["park", "road"])
    )
    assert (one["tv"]["value"], one["score"]["value"]) == (0, 100)
    assert (two["tv"]["value"], two["score"]["value"]) == (1, -100)
    many = human("vote", *["park"] * 3000, *["road"] * 1000)
    good = by_id(validate_survey(*files(tmp_path, agents, many), splits=50))["vote"]
    assert good["ceiling"]["score"]["value"] > 90
    assert good["score"]["value"] == pytest.approx(-200)


def test_the_same_seed_gives_the_same_result(tmp_path: Path) -> None:
    agents = [agent(n, "vote", [0.2 + n / 20, 0.8 - n / 20]) for n in range(8)]
    given = files(tmp_path, agents, human("vote", "park", "road", "park", "park"))
    assert validate_survey(*given, seed=1) == validate_survey(*given, seed=1)
    assert validate_survey(*given, seed=1) != validate_survey(*given, seed=2)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    agents = [agent(0, "vote", "park"), agent(1, "vote", None), agent(0, "hours", 3), agent(0, "why", "So.")]
    people = [
        *human("vote", "park", "forest", "road"),
        *human("hours", "3", "12", "few"),
        *human("why", "So."),
        *human("x", 1),
    ]
    found = validate_survey(*files(tmp_path, agents, people))
    assert {name: one["left_out"] for name, one in by_id(found).items()} == {
        "vote": {"agents": 1, "people": 1}, "hours": {"agents": 0, "people": 2},
    }  # fmt: skip
    assert found["notes"] == [
        "why is free text and is not compared",
        "people answered what agents were not asked: x",
        "1 answers of agents could not be read, and are left out",
        "answers of people that are no option or number of their question are left out: vote 1, hours 2",
    ]
    assert by_id(found)["vote"]["tv"]["low"] is None


def test_means_are_over_the_questions_that_both_answered(tmp_path: Path) -> None:
    agents = [agent(n, q, a) for n in range(3) for q, a in (("vote", "park"), ("hours", None))]
    found = validate_survey(*files(tmp_path, agents, [*human("vote", "park", "park", "road"), *human("hours", 1, 2)]))
    [overall] = found["overall"]
    assert overall["n_questions"] == 1
    assert overall["tv"]["value"] == pytest.approx(1 / 3)
    assert by_id(found)["hours"]["tv"] is None


@pytest.mark.parametrize(
    ("people", "error", "words"),
    [
        ("question_id,anwser\nvote,park\n", DataFileError, "has no column 'answer'. Did you mean 'anwser'?"),
        ("item,answer\nvote,park\n", DataFileError, "has no column 'question_id'"),
        ("question_id,answer\nvote,\n", DataFileError, "holds no answers"),
        ("question_id,answer,weight\nvote,park,-1\n", DataFileError, "line 2: weight is '-1'; expected a number of 0 or more"),
        ("question_id,answer\nother,park\n", DataFileError, "agents were asked vote, people other"),
    ],
)  # fmt: skip
def test_people_that_cannot_be_compared(tmp_path: Path, people: str, error: type[SandboxError], words: str) -> None:
    survey, path = files(tmp_path, [agent(0, "vote", "park")], human("vote", "park"))
    path.write_text(people, encoding="utf-8")
    with pytest.raises(error) as refused:
        validate_survey(survey, path)
    assert words in str(refused.value)


def test_a_column_that_is_not_in_both(tmp_path: Path) -> None:
    given = files(tmp_path, [agent(0, "vote", "park", age=3)], human("vote", "park", sex="f"))
    with pytest.raises(SettingsError, match=r"--by 'sex' is not a column of .*survey.csv"):
        validate_survey(*given, by="sex")
    with pytest.raises(SettingsError, match=r"--by 'age' is not a column of .*people.csv.* Its columns: sex"):
        validate_survey(*given, by="age")


def test_people_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pd.DataFrame({"id": ["a", "a"], "answer": [3.0, None], "respondent": [1, 2], "age": [41.0, 5.0]}).to_parquet(path)
    [one] = read_people(path)
    assert (one.question, one.answer, one.respondent, one.weight, dict(one.about)) == (
        "a",
        "3",
        "1",
        1.0,
        {"age": "41"},
    )


def test_a_survey_of_scripted_agents_against_people(run_dir: Path, tmp_path: Path) -> None:
    """Every agent says "-5 C" with 0.8, a text that a spreadsheet would run; three of four people do: TV 0.05, 80."""

    def reply(request: Request) -> Reply:
        return Reply("-5 C", dict(zip(request.choices, (0.8, 0.2), strict=True)))

    out = tmp_path / "survey.csv"
    asked = [{"id": "cold", "question": "How cold?", "options": "-5 C|=0 C"}]
    open_run(run_dir).survey(asked, model=ScriptedModel(replies=reply), out=out)
    assert "'-5 C" in out.read_text(encoding="utf-8")
    _, people = files(tmp_path / "given", [], human("cold", "-5 C", "-5 C", "-5 C", "=0 C"))
    words = ["validate", str(out), str(people), "--resamples", "50"]
    said = json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).output)
    assert round(said["questions"][0]["tv"]["value"], 6) == 0.05
    assert round(said["questions"][0]["score"]["value"], 6) == 80
    shown = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "v.csv")], catch_exceptions=False).output
    assert "mean of 1" in shown
    assert round(pd.read_csv(tmp_path / "v.csv")["score"][0], 6) == 80
    CliRunner().invoke(app, [*words, "--out", str(tmp_path / "v.json")], catch_exceptions=False)
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))["overall"] == said["overall"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_survey_is_compared_whatever_its_format(run_dir: Path, tmp_path: Path, ending: str) -> None:
    """Made-up agents choose by the hash of the request; the mean of the recorded probabilities is theirs."""
    out = tmp_path / f"survey.{ending}"
    asked = [
        {"id": "vote", "question": "Which?", "options": "park|road"},
        {"id": "n", "question": "?", "low": 0, "high": 9},
    ]
    frame = open_run(run_dir).survey(asked, out=out)
    shares = [json.loads(text)["park"] for text in frame["probabilities"].dropna()]
    _, people = files(tmp_path / "given", [], [*human("vote", "road"), *human("n", 3)])
    found = by_id(validate_survey(out, people, resamples=2, splits=2))
    assert value(found["vote"], "tv") == pytest.approx(np.mean(shares), abs=1e-6)
    numbers = frame["number"].dropna().tolist()
    assert value(found["n"], "wasserstein") == pytest.approx(stats.wasserstein_distance(numbers, [3]))


@pytest.mark.parametrize(
    ("column", "content"),
    [
        ("at", "soon"), ("probabilities", "{"), ("probabilities", '{"park": -1, "road": 2}'), ("probabilities", "3"),
        ("probabilities", '{"forest": 1}'), ("options", "x|y"), ("low", "x"), ("high", ""),
    ],
)  # fmt: skip
def test_a_damaged_survey_is_named(tmp_path: Path, column: str, content: str) -> None:
    agents = [agent(0, "vote", "park"), agent(0, "hours", 3)]
    survey, people = files(
        tmp_path, [one | {column: content} for one in agents], human("vote", "park") + human("hours", 1)
    )
    with pytest.raises(DamagedFile, match=r"survey.csv is damaged, or was not written by this program"):
        validate_survey(survey, people)


def test_an_error_of_our_own_is_not_taken_for_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    survey, people = files(tmp_path, [agent(0, "vote", "park")], human("vote", "park"))
    monkeypatch.setattr("sandbox.survey.validation.option_scale", wrong)
    with pytest.raises(KeyError, match="a bug"):
        validate_survey(survey, people)


def test_a_run_stands_for_its_survey(tmp_path: Path) -> None:
    from sandbox.testing.tiny import tiny_run

    run = tiny_run(tmp_path / "run", rounds=1)
    _, people = files(tmp_path, [], human("q1", "a"))
    with pytest.raises(NothingToShow, match=f"has no survey; make one with: sandbox survey {run} QUESTIONS.csv"):
        validate_survey(run, people)
    for name in ("one", "two"):
        open_run(run).survey([{"question": "Which?", "options": "a|b"}], out=run / "survey" / f"{name}.csv")
        if name == "one":
            assert validate_survey(run, people, resamples=2, splits=2)["questions"][0]["n_agents"] == 9
    with pytest.raises(SettingsError, match=r"has several surveys; name one of .*one.csv, .*two.csv"):
        validate_survey(run, people)


def test_a_file_that_is_no_survey(tmp_path: Path) -> None:
    _, people = files(tmp_path, [], human("vote", "park"))
    with pytest.raises(DataFileError, match=r"has no column at, agent, question, kind; expected a table written by"):
        validate_survey(people, people)
