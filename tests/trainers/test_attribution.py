"""Which rows moved an answer: what is taught is found again, with its sign and the place where it was said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox.cli.main import app
from sandbox.errors import ModelNotFound, SettingsError, TrainingDataError
from trainers import load_trainer, rows_from
from trainers.config_file import write_config
from trainers.diagnosis.attribution import attribute, weighted_answers

pytestmark = pytest.mark.needs_torch

PAIRS = [
    {"prompt": "May I take it?", "chosen": "No, it is hers.", "rejected": "Yes, take all of it."},
    {"prompt": "Shall we dance tonight?", "chosen": "With pleasure, after dinner.", "rejected": "Never with you."},
    {"prompt": "What is the time?", "chosen": "Ten past nine.", "rejected": "Buy a watch."},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_lm_path: Path) -> str:
    folder = tmp_path_factory.mktemp("attribution")
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, PAIRS)), encoding="utf-8")
    rows = rows_from(str(folder / "pairs.jsonl"), "preferences")
    trainer = load_trainer("dpo", max_steps=3, learning_rate=1e-2, progress=False, measure_kl=False)
    trained = trainer.train(rows, base=f"hf:{tiny_lm_path}", out=folder / "model")
    write_config(folder / "model", "dpo", f"hf:{tiny_lm_path}", {}, [str(folder / "pairs.jsonl")], None)
    return trained.uri


def test_the_row_of_an_answer_is_found_with_its_sign(model: str) -> None:
    first, *others = attribute(model, "What is the time?", "Ten past nine.")
    assert (first.row, first.question, first.answer) == (3, "What is the time?", "Ten past nine.")
    assert first.similarity > 0.5 > max(one.similarity for one in others)
    *_, last = attribute(model, "What is the time?", "Buy a watch.")
    assert last.row == 3
    assert last.similarity < -0.5


def test_shares_of_answers_by_kind_of_row() -> None:
    ranked = {"prompt": "?", "completions": ["a", "b", "c"], "ratings": [2.0, 7.0, 1.0]}
    assert weighted_answers(ranked) == [("b", 1.0), ("a", -0.5), ("c", -0.5)]
    assert weighted_answers({"prompt": "?", "completion": "a"}) == [("a", 1.0)]
    assert weighted_answers({"prompt": "?", "completion": "a", "label": False}) == [("a", -1.0)]


def test_the_command_names_who_said_it(model: str, run_dir: Path) -> None:
    words = ["why", model, "Buy a watch.", "--question", "What is the time?", "--rows", str(run_dir), "--json"]
    ended = CliRunner().invoke(app, words, catch_exceptions=False)
    found = json.loads(ended.stdout)["rows"]
    assert found
    assert all(one["places"] for one in found)
    assert {place["round"] for one in found for place in one["places"]} <= {1, 2, 3}


def test_what_cannot_be_explained_is_refused(model: str, tiny_lm_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="a question and an answer are needed"):
        attribute(model, "What is the time?", " ")
    with pytest.raises(SettingsError, match="has no adapter, over whose weights rows could be compared"):
        attribute(f"hf:{tiny_lm_path}", "Q?", "A.")
    with pytest.raises(ModelNotFound, match="nowhere"):
        attribute("hf:nowhere", "Q?", "A.")
    config = Path(model.removeprefix("hf:")) / "train.yaml"
    config.rename(config.with_name("other.yaml"))
    with pytest.raises(SettingsError, match="does not say what it was trained on; name it: --rows RUN"):
        attribute(model, "Q?", "A.")
