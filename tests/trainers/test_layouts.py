"""Layouts in which data sets are shared, as rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import DataFileError
from trainers import row_statistics, rows_from
from trainers.rows.build import pairs_from

pytestmark = pytest.mark.needs_torch


def talk(*contents: str) -> list[dict[str, str]]:
    """User and assistant in turn."""
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


def system(content: str) -> dict[str, str]:
    return {"role": "system", "content": content}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


PAIR = {"prompt": talk("Lie?"), "chosen": talk("", "No.")[1:], "rejected": talk("", "Yes.")[1:]}
LONG = {"prompt": talk("Hi", "Hello", "Lie?"), "chosen": talk("", "No.")[1:], "rejected": talk("", "Yes.")[1:]}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        # TRL's implicit prompt: what both sides share.
        ({"chosen": talk("Lie?", "No."), "rejected": talk("Lie?", "Yes.")}, PAIR),
        ({"chosen": talk("Hi", "Hello", "Lie?", "No."), "rejected": talk("Hi", "Hello", "Lie?", "Yes.")}, LONG),
        # UltraFeedback: the first turn as text beside the whole conversations.
        ({"prompt": "Hi", "chosen": talk("Hi", "Hello", "Lie?", "No."), "rejected": talk("Hi", "Hello", "Lie?", "Yes.")}, LONG),
        # Anthropic's HH-RLHF.
        (
            {
                "chosen": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Lie?\n\nAssistant: No.",
                "rejected": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Lie?\n\nAssistant: Yes.",
            },
            LONG,
        ),
        ({"prompt": "\n\nHuman: Lie?\n\nAssistant:", "chosen": "No.", "rejected": "Yes."}, PAIR),
        # Orca and LlamaFactory.
        (
            {"system": "Be brief.", "question": "Lie?", "chosen": "No.", "rejected": "Yes."},
            {**PAIR, "prompt": [system("Be brief."), *talk("Lie?")]},
        ),
        (
            {"instruction": "Lie?", "input": "Now?", "chosen": "No.", "rejected": "Yes."},
            {**PAIR, "prompt": talk("Lie?\n\nNow?")},
        ),
        ({"system": "", "prompt": "Lie?", "chosen": "No.", "rejected": "Yes."}, PAIR),
    ],
)  # fmt: skip
def test_pairs_of_well_known_data_sets(tmp_path: Path, row: dict[str, Any], found: dict[str, Any]) -> None:
    rows = rows_from(write(tmp_path / "pairs.jsonl", row), "preferences")
    assert {name: rows[0][name] for name in ("prompt", "chosen", "rejected")} == found
    assert "left_out" not in row_statistics(rows)


@pytest.mark.parametrize(
    ("row", "prompt", "completion"),
    [
        ({"messages": [system("Be kind."), *talk("Hi", "Hello")]}, [system("Be kind."), *talk("Hi")], "Hello"),
        # UltraChat repeats the first turn in a column of its own.
        ({"prompt": "Hi", "messages": talk("Hi", "Hello", "Lie?", "No.")}, talk("Hi", "Hello", "Lie?"), "No."),
        ({"prompt": "Hi", "completion": talk("", "Hello", "Lie?", "No.")[1:]}, talk("Hi", "Hello", "Lie?"), "No."),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
            talk("Hi"),
            "Hello",
        ),
        ({"instruction": "Greet.", "input": "", "output": "Hello"}, talk("Greet."), "Hello"),
        ({"prompt": "Greet.", "response": "Hello"}, talk("Greet."), "Hello"),
    ],
)
def test_demonstrations_of_well_known_data_sets(
    tmp_path: Path, row: dict[str, Any], prompt: list[dict[str, str]], completion: str
) -> None:
    rows = rows_from(write(tmp_path / "rows.jsonl", row), "demonstrations")
    assert (rows[0]["prompt"], rows[0]["completion"][0]["content"]) == (prompt, completion)


def test_a_json_array_and_a_table_hold_pairs(tmp_path: Path) -> None:
    row = {"prompt": "Lie?", "chosen": "No.", "rejected": "Yes."}
    (tmp_path / "array.json").write_text(json.dumps([row]))
    (tmp_path / "wrapped.json").write_text(json.dumps({"version": 1, "data": [row]}))
    (tmp_path / "pairs.csv").write_text("prompt,chosen,rejected,gap\nLie?,No.,Yes.,2\n")
    found = [rows_from(tmp_path / name, "preferences")[0] for name in ("array.json", "wrapped.json", "pairs.csv")]
    assert [{name: row[name] for name in PAIR} for row in found] == [PAIR] * 3
    assert [row["gap"] for row in found] == [None, None, 2.0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "Hi", "chosen": talk("Hi", "A", "Bye"), "rejected": talk("Hi", "B", "Bye")}, "do not end with an"),
        ({"prompt": "Hi", "chosen": talk("Hi", "A", "Bye", "C"), "rejected": talk("Hi", "B")}, "differ before their last turn"),
        ({"prompt": "Hi", "chosen": talk("Other", "A"), "rejected": talk("Hi", "B")}, "answer does not continue their prompt"),
        ({"prompt": talk("Hi", "A"), "chosen": "B", "rejected": "C"}, "answer does not follow a user turn"),
        ({"prompt": "Hi", "chosen": " ", "rejected": "C"}, "with an empty turn"),
        ({"chosen": "\n\nHuman: Hi\n\nAssistant:", "rejected": "\n\nHuman: Hi\n\nAssistant: B"}, "do not end with an"),
    ],
)  # fmt: skip
def test_conversations_without_one_answer_each_are_left_out_and_counted(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    good = {"prompt": "Lie?", "chosen": "No.", "rejected": "Yes."}
    statistics = row_statistics(rows_from(write(tmp_path / "pairs.jsonl", row, good), "ranked"))
    assert statistics["rows"] == 1
    assert [n for name, n in statistics["left_out"].items() if reason in name] == [1]
    with pytest.raises(DataFileError, match=rf"pairs.jsonl holds no rows that can be used; left out: 1 \w+ .*{reason}"):
        rows_from(write(tmp_path / "pairs.jsonl", row), "ranked")


def test_columns_that_are_not_used_are_counted(tmp_path: Path) -> None:
    row = {"prompt": "Lie?", "chosen": "No.", "rejected": "Yes.", "source": "web", "score": None}
    statistics = row_statistics(rows_from(write(tmp_path / "pairs.jsonl", row, row), "preferences"))
    assert statistics["left_out"] == {"values of the column 'source'": 2}


def test_texts_without_a_prompt_are_refused_with_their_columns(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"rows of no known kind; .* line 1 has the columns chosen, rejected"):
        rows_from(write(tmp_path / "pairs.jsonl", {"chosen": "It is no.", "rejected": "It is yes."}), "preferences")


def test_pairs_without_a_contrast_are_left_out_of_training_and_kept_for_evaluation(tmp_path: Path) -> None:
    def pair(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected}

    file = write(
        tmp_path / "pairs.jsonl",
        pair("A", "Same.", "Same. "), pair("B", "Yes.", "No."), pair("C", "Yes.", "No."), pair("C", "No.", "Yes."),
    )  # fmt: skip
    left_out = {"pairs of equal answers": 1, "pairs that are given both ways round": 2}
    for kind in ("preferences", "ranked", "demonstrations", "unpaired", "prompts"):
        rows = rows_from(file, kind)
        assert set(rows["question"]) == {"B"}
        assert row_statistics(rows)["left_out"].items() >= left_out.items()
    assert pairs_from(file)["question"] == ["A", "B", "C", "C"]


def test_all_answers_of_a_file_are_used_unless_told_otherwise(tmp_path: Path) -> None:
    row = {"prompt": "Q", "completions": [f"answer {i}" for i in range(6)], "ratings": [7, 6, 5, 4, 3, 2]}
    file = write(tmp_path / "ranked.jsonl", row)
    assert len(rows_from(file, "preferences")) == 5
    assert len(rows_from(file, "preferences", max_candidates=3)) == 2


def test_an_answer_given_twice_has_its_mean_rating(tmp_path: Path) -> None:
    row = {"prompt": "Q", "completions": ["A", "B", "A"], "ratings": [7, 4, 2]}
    rows = rows_from(write(tmp_path / "ranked.jsonl", row), "ranked")
    assert (rows[0]["completions"], rows[0]["ratings"]) == (["A", "B"], [4.5, 4.0])
    assert row_statistics(rows)["left_out"] == {"candidates said twice": 1}


def test_left_out_is_told_of_files_together(tmp_path: Path) -> None:
    same = {"prompt": "A", "chosen": "Same.", "rejected": "Same."}
    good = {"prompt": "B", "chosen": "Yes.", "rejected": "No."}
    files = [write(tmp_path / f"{i}.jsonl", same, good) for i in range(2)]
    assert row_statistics(rows_from(files, "preferences"))["left_out"] == {"pairs of equal answers": 2}


def test_a_name_with_an_owner_is_a_hub_data_set_unless_there_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    """Tests are offline: the hub's client says so."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataFileError, match="'owner/name' does not exist here, and as a dataset of the hub it cannot be"
    ):
        rows_from("owner/name", "preferences")
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").symlink_to(run_dir)
    assert len(rows_from("owner/name", "prompts"))


def test_half_of_a_pair_of_equal_answers_is_right(tiny_lm_path: Path, tmp_path: Path) -> None:
    from trainers.evaluation.preference_accuracy import compare_pairs

    same = {"prompt": "A", "chosen": "Same.", "rejected": "Same."}
    longer = {
        "prompt": "A much longer prompt",
        "chosen": "Same, and the same again.",
        "rejected": "Same, and the same again.",
    }
    found = compare_pairs([f"hf:{tiny_lm_path}"] * 2, pairs_from(write(tmp_path / "pairs.jsonl", same, longer)))
    assert (found["pairs"], found["equal"]) == (2, 2)
    assert (found["models"][0]["accuracy"]["mean"], found["models"][0]["margin"]) == (0.5, 0.0)
    assert found["differences"][0]["accuracy"]["p"] == 1.0


def test_what_was_left_out_is_told_by_trainings_comparisons_and_evaluations(
    tiny_lm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from sandbox.cli.main import app

    monkeypatch.chdir(tmp_path)
    good = [{"prompt": f"Question {i}?", "chosen": "No.", "rejected": "Yes."} for i in range(4)]
    odd = {"prompt": "Hi", "chosen": talk("Hi", "A", "Bye"), "rejected": talk("Hi", "B", "Bye")}
    write(tmp_path / "pairs.jsonl", *good, odd, {"prompt": "Q", "chosen": "Same.", "rejected": "Same."})
    lines = {"train": "1 rows that do not end with an assistant turn, 1 pairs of equal answers"}
    lines |= {"compare": lines["train"], "evaluate": "1 rows that do not end with an assistant turn"}
    base = f"hf:{tiny_lm_path}"
    quick = ["--set", "device=cpu", "--set", "max_steps=1", "--set", "measure_kl=false"]
    for name, command in {
        "train": ["train", "pairs.jsonl", "--trainer", "dpo", "--base", base, "--out", "m", *quick],
        "compare": ["compare", "pairs.jsonl", "--trainers", "sft", "--base", base, "--out", "c", "--seeds", "1", "--steps",
                    "1", "--embedder", "hashing", "--n-questions", "1", "--set", "device=cpu"],
        "evaluate": ["evaluate", base, "--pairs", "pairs.jsonl", "--out", "e"],
    }.items():  # fmt: skip
        said = CliRunner().invoke(app, command, catch_exceptions=False, env={"COLUMNS": "400"})
        assert said.exit_code == 0
        assert f"left out: {lines[name]}" in " ".join(said.stdout.split())


def test_rows_that_were_cut_are_told_by_trainings_and_evaluations(tiny_lm_path: Path, tmp_path: Path) -> None:
    from trainers import load_trainer
    from trainers.evaluation.preference_accuracy import compare_pairs
    from trainers.evaluation.tables import tables

    long = {"prompt": "Lie? " * 90, "chosen": "No.", "rejected": "Yes."}
    short = {"prompt": "Lie?", "chosen": "No.", "rejected": "Yes."}
    pairs = pairs_from(write(tmp_path / "pairs.jsonl", long, short))
    trainer = load_trainer("dpo", max_steps=1, max_length=64, device="cpu", progress=False, measure_kl=False)
    trained = trainer.train(pairs, base=f"hf:{tiny_lm_path}", out=tmp_path / "model")
    assert trained.notes[0].startswith(
        "1 of 2 rows (50.0%) are longer than max_length=64 tokens and were cut: 1 prompts cut"
    )
    assert json.loads((tmp_path / "model" / "training.json").read_text())["rows"]["rows cut"] == 1
    found = compare_pairs([f"hf:{tiny_lm_path}"], pairs, max_length=64)
    assert found["models"][0]["cut"] == 1
    [(title, _, _)] = tables({"questions": 0, "models": [], "dimensions": [], "differences": [], "pairs": found})
    assert title.endswith("; 1 of them (50.0%) are longer than max_length=64 tokens and were cut")


def test_trainings_and_evaluations_read_as_many_tokens() -> None:
    import inspect

    from trainers.evaluation.likelihood_model import LikelihoodModel
    from trainers.evaluation.preference_accuracy import compare_pairs
    from trainers.likelihood.tokenization import MAX_LENGTH
    from trainers.settings import TrainingSettings

    readers = [inspect.signature(of).parameters["max_length"].default for of in (LikelihoodModel, compare_pairs)]
    assert {TrainingSettings().max_length, *readers} == {MAX_LENGTH} == {1024}
