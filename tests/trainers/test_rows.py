from __future__ import annotations

import json

import pytest

import trainers
from sandbox.errors import DataFileError, RunNotFound, SettingsError
from trainers import rows_from, write_rows

pytestmark = pytest.mark.needs_torch


def user(text):
    return [{"role": "user", "content": text}]


def assistant(text):
    return [{"role": "assistant", "content": text}]


@pytest.fixture
def run(make_run, interaction):
    """One contrast (6 against 2), one lone good answer (5), one pair of bad answers (3 against 2.5)."""
    return make_run(
        interaction("contrast", "bad", "good", 2.0, 6.0),
        interaction("lone", "fine", None, 5.0, None),
        interaction("poor", "worse", "bad", 2.5, 3.0),
    )


def test_ranked_rows(run):
    rows = trainers.ranked_rows(run)
    assert rows[0] == {
        "prompt": user("contrast"),
        "completions": ["good", "bad"],
        "ratings": [6.0, 2.0],
        "part": "imitation",
        "question": "contrast",
        "scale": 7.0,
    }
    assert rows["completions"] == [["good", "bad"], ["fine"], ["bad", "worse"]]
    assert trainers.ranked_rows(str(run.path))[:] == trainers.ranked_rows([run])[:] == rows[:]


def test_preferences_are_the_best_against_each_other(run, make_run, interaction):
    many = make_run(interaction("Q", "a", "b", 2.0, 6.0), interaction("Q", "c", "d", 4.0, 5.5))
    rows = trainers.preference_rows([run, many], max_candidates=4, min_gap=1.0)
    # The gap of "poor" is 0.5 and that of b to d 0.5: both below the least gap.
    assert [(r["question"], r["chosen"], r["rejected"], r["gap"]) for r in rows] == [
        ("contrast", assistant("good"), assistant("bad"), 4.0),
        ("Q", assistant("b"), assistant("c"), 2.0),
        ("Q", assistant("b"), assistant("a"), 4.0),
    ]
    assert rows[0]["prompt"] == user("contrast")


def test_demonstrations_are_the_best_above_the_middle(run):
    rows = trainers.demonstration_rows(run)
    assert [(r["question"], r["completion"], r["rating"]) for r in rows] == [
        ("contrast", assistant("good"), 6.0),
        ("lone", assistant("fine"), 5.0),
    ]


def test_unpaired_rows_are_good_above_the_middle_and_bad_below(run, make_run, interaction):
    """A rating of exactly 4 is neither."""
    more = make_run(interaction("middle", "so-so", "better", 4.0, 4.5))
    rows = trainers.unpaired_rows([run, more])
    assert [(r["completion"][0]["content"], r["label"]) for r in rows] == [
        ("good", True),
        ("bad", False),
        ("fine", True),
        ("bad", False),
        ("worse", False),
        ("better", True),
    ]
    assert trainers.row_statistics(rows)["left_out"]["candidates rated at the middle"] == 1


def test_prompts_stand_once_each(run):
    rows = trainers.prompt_rows([run, run])
    assert rows["prompt"] == [user("contrast"), user("lone"), user("poor")]


def test_statistics_say_what_is_there_and_what_is_not(make_run, interaction):
    run = make_run(
        interaction("contrast", "bad", "good", 2.4, 5.5),
        interaction("lone", "fine", None, 5.0, None),
        interaction("unrated", before=None, after=None),
    )
    assert trainers.row_statistics(trainers.ranked_rows(run, parts=["imitation"])) == {
        "rows": 2,
        "questions": 2,
        "parts": {"imitation": 2},
        "candidates": 3,
        "single": 1,
        "ratings": {"2": 1, "5": 1, "6": 1},
        "left_out": {"candidates without a rating": 2},
    }


def test_a_run_without_ratings_gives_no_rows_but_their_columns(make_run, interaction):
    rows = trainers.ranked_rows(make_run(interaction(before=None, after=None)))
    assert len(rows) == 0
    assert {"prompt", "completions", "ratings"} <= set(rows.column_names)


def test_rows_from_runs_with_settings_as_text(run):
    rows = rows_from([str(run.path)], "preferences", min_gap="1", parts="imitation", mix="5,1,1")
    assert rows[:] == trainers.preference_rows(run, min_gap=1.0, parts=["imitation"])[:]


def test_ranked_files_become_any_other_kind(run, tmp_path):
    file = write_rows(trainers.ranked_rows(run), tmp_path / "rows.jsonl")
    for kind, make in [
        ("preferences", trainers.preference_rows),
        ("demonstrations", trainers.demonstration_rows),
        ("unpaired", trainers.unpaired_rows),
        ("prompts", trainers.prompt_rows),
    ]:
        assert rows_from(file, kind)[:] == make(run)[:]


def test_a_file_of_the_kind_is_taken_as_it_is(make_run, interaction, tmp_path):
    """Four candidates were asked for when it was made; the default of three is not applied to it again."""
    run = make_run(interaction("Q", "a", "b", 1.0, 2.0), interaction("Q", "c", "d", 3.0, 4.0))
    file = write_rows(trainers.ranked_rows(run, max_candidates=4), tmp_path / "rows.jsonl")
    assert rows_from(file, "ranked")["completions"] == [["d", "c", "b", "a"]]
    assert rows_from(file, "ranked", max_candidates=2)["completions"] == [["d", "a"]]


def test_runs_and_files_together(run, tmp_path):
    file = write_rows(trainers.preference_rows(run), tmp_path / "pairs.parquet")
    rows = rows_from([run, file], "preferences")
    assert rows["question"] == ["contrast", "poor", "contrast", "poor"]


def test_rows_from_refuses_what_it_cannot_use(run, tmp_path):
    pairs = write_rows(trainers.preference_rows(run), tmp_path / "pairs.jsonl")
    good = write_rows(trainers.demonstration_rows(run), tmp_path / "good.jsonl")
    with pytest.raises(DataFileError, match="holds demonstrations rows, which cannot be made into ranked"):
        rows_from(good, "ranked")
    with pytest.raises(SettingsError, match="holds preferences rows already"):
        rows_from(pairs, "preferences", min_gap=1.0)
    with pytest.raises(SettingsError, match=r"no rows of kind 'prefs'. Did you mean 'preferences'\?"):
        rows_from(pairs, "prefs")
    with pytest.raises(SettingsError, match=r"ranked rows has no setting 'mingap'. Did you mean 'min_gap'\?"):
        rows_from(run, "ranked", mingap=1)
    with pytest.raises(RunNotFound, match="is not a run: it does not exist"):
        rows_from(tmp_path / "nowhere", "ranked")


def test_the_released_layout(make_run, interaction, tmp_path):
    run = make_run(interaction("Q", "bad", "good", 2.0, 5.5))
    file = write_rows(trainers.ranked_rows(run), tmp_path / "rows.json")
    assert json.loads(file.read_text(encoding="utf-8")) == [
        {
            "query": "Q",
            "responses": ["good", "bad"],
            "scores": [5.5, 2],
            "models": ["social-sandbox", "social-sandbox"],
        }
    ]
    assert rows_from(file, "ranked")[:] == trainers.ranked_rows(run)[:]


def test_conversations_that_too_few_neighbours_rated_are_left_out(make_run, interaction):
    """Three spoke and two of them gave a rating; of the other conversation's two one did."""
    run = make_run(
        interaction("heard", "bad", "good", 2.0, 6.0, feedback=[(2.0, "a"), (3.0, "b"), (None, "c")]),
        interaction("unheard", "bad", "good", 2.0, 6.0, feedback=[(2.0, "a"), (None, "b")]),
    )
    rows = trainers.ranked_rows(run, parts=["imitation"], min_raters=2)
    assert rows["question"] == ["heard"]
    assert trainers.row_statistics(rows)["left_out"] == {"interactions with too few raters": 1}


def test_only_what_some_language_models_said(tmp_path, interaction):
    """By kind, by URI; the agents' table says who spoke through what."""
    from sandbox import open_run
    from sandbox.store.writer import RunWriter

    writer = RunWriter(tmp_path / "run", {"rubric": {"dimensions": ["alignment", "engagement"], "scale": 7}})
    said = [interaction(question, "bad", "good", 2.0, 6.0) for question in ("local", "served", "other")]
    models = ["hf:smollm2", "openai:gpt-4o-mini", "hf:models/x"]
    writer.add_agents([(it.agent, "n", "good", 0, i) for i, it in enumerate(said)], models)
    for it in said:
        writer.commit(it)
    writer.close()
    run = open_run(tmp_path / "run")

    def asked(*wanted):
        return trainers.ranked_rows(run, models=wanted)["question"]

    assert asked("hf") == ["local", "other"]
    assert asked("smollm2") == ["local"]  # an alias
    assert asked("hf:models/x", "openai") == ["served", "other"]
    assert asked() == ["local", "served", "other"]
    left_out = trainers.row_statistics(rows_from(run, "ranked", models="openai"))["left_out"]
    assert left_out["interactions of other language models"] == 2


def test_preferences_become_any_other_kind(tmp_path):
    """Without a gap the answers stand half the range apart around the middle: 5.5 and 2.5 on 1..7."""
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"prompt": "Q", "chosen": "good", "rejected": "bad"}\n')
    ranked = rows_from(file, "ranked")
    assert ranked[0] == {
        "prompt": user("Q"), "completions": ["good", "bad"], "ratings": [5.5, 2.5], "part": "imitation", "question": "Q",
        "scale": 7.0,
    }  # fmt: skip
    assert [(r["completion"], r["label"]) for r in rows_from(file, "unpaired")] == [
        (assistant("good"), True),
        (assistant("bad"), False),
    ]
    assert rows_from(file, "demonstrations")["completion"] == [assistant("good")]
    assert rows_from(file, "prompts")["prompt"] == [user("Q")]


def test_preferences_of_a_record_are_grouped_by_their_better_answer(make_run, interaction, tmp_path):
    """Ratings 6, 5 and 2: gaps 1 and 4 of one group. Around the middle 4: 6, 5 and 2. Gaps survive the way back."""
    run = make_run(interaction("Q", "a", "b", 2.0, 6.0), interaction("Q", "c", "a", 5.0, 2.0))
    pairs = trainers.preference_rows(run)
    ranked = rows_from(write_rows(pairs, tmp_path / "pairs.jsonl"), "ranked")
    assert (ranked["completions"], ranked["ratings"]) == ([["b", "c", "a"]], [[6.0, 5.0, 2.0]])
    assert rows_from(ranked, "preferences")["gap"] == pairs["gap"]


def test_rows_in_memory_are_taken_as_files_are():
    from datasets import Dataset

    rows = Dataset.from_list([{"prompt": "Q", "chosen": "good", "rejected": "bad"}])
    assert rows_from(rows, "preferences")[0]["chosen"] == assistant("good")
    with pytest.raises(DataFileError, match="what was given holds prompts rows, which cannot be made into ranked"):
        rows_from(Dataset.from_list([{"prompt": "Q"}]), "ranked")


def test_the_released_layout_survives_there_and_back(make_run, interaction, tmp_path):
    run = make_run(interaction("Q", "bad", "good", 2.0, 5.5), interaction("P", "x", "y", 1.0, 7.0))
    first = write_rows(trainers.ranked_rows(run), tmp_path / "first.json")
    second = write_rows(rows_from(first, "ranked"), tmp_path / "second.json")
    assert first.read_text(encoding="utf-8") == second.read_text(encoding="utf-8")
