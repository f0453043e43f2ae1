"""What all built-in trainers do, on a tiny random model."""

from __future__ import annotations

import json
import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sandbox.errors import ModelNotFound, RunExists, SettingsError, TrainingDataError, TrainingDiverged
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.models.local.loading import load
from trainers import load_trainer, rows_from, write_rows
from trainers.finetuning.arguments import training_arguments
from trainers.finetuning.base import FIELDS

pytestmark = pytest.mark.needs_torch

NAMES = ("sft", "dpo", "kto", "orpo", "hindsight", "rrhf", "stable_alignment")
FAST = {"learning_rate": 5e-3, "batch_size": 4, "progress": False, "device": "cpu"}


@pytest.fixture
def rows(ranked_rows_by_hand, tmp_path):
    """The same record as rows of the kind that a trainer needs."""
    file = write_rows(ranked_rows_by_hand, tmp_path / "ranked.jsonl")
    return lambda name: rows_from(file, load_trainer(name).accepts)


@pytest.fixture
def base(tiny_lm_path):
    return f"hf:{tiny_lm_path}"


def weights(folder):
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_and_the_model_speaks(name, rows, base, tmp_path):
    out = tmp_path / "models" / "first"
    trained = load_trainer(name, epochs=6, **FAST).train(rows(name), base=base, out=out)
    losses = [record["loss"] for record in trained.history]
    assert sum(losses[-2:]) < 0.8 * sum(losses[:2])
    assert (trained.uri, trained.path) == (f"hf:{out}", out)
    request = Request((Message("user", "How do I get on with neighbour 3?"),), max_tokens=4)
    (before,), (after,) = load_model(base).generate([request]), load_model(trained.uri).generate([request])
    assert (before.error, after.error) == (None, None)


def test_the_folder_says_how_it_was_made(rows, base, tmp_path, docs_site):
    trained = load_trainer("stable_alignment", max_steps=3, **FAST).train(
        rows("stable_alignment"), base=base, out=tmp_path / "m"
    )
    about = json.loads((tmp_path / "m" / "training.json").read_text(encoding="utf-8"))
    assert docs_site("file_fields").unnamed(FIELDS, about) == []
    assert set(FIELDS) == set(about)
    assert (about["schema"], about["trainer"], about["base"]) == (1, "stable_alignment", base)
    assert about["template"] == "chat"
    assert about["settings"]["learning_rate"] == 5e-3
    assert about["rows"]["candidates"] == 4 * 2 + 4 * 3
    assert about["history"] == trained.history
    assert [record["step"] for record in about["history"]] == [1, 2, 3]
    assert {"epoch", "loss", "nll_best", "reward_margin", "preference_accuracy", "tokens_per_s"} <= set(
        about["history"][0]
    )
    assert about["metrics"] == trained.metrics
    # Eight rows by four are two steps an epoch: the last epoch holds the third step alone.
    assert trained.metrics["loss"] == trained.history[-1]["loss"]
    assert {"python", "torch", "trl"} <= set(about["versions"])
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "trained with `stable_alignment`" in card  # and not the form that PEFT leaves to be filled in
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "m").iterdir()} == {0o644}
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_draws_alone(name, rows, base, tmp_path):
    def train(seed, out):
        load_trainer(name, max_steps=2, seed=seed, **FAST).train(rows(name), base=base, out=tmp_path / out)
        return weights(tmp_path / out)

    def draws():
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        yield
        yield random.random(), float(np.random.rand()), float(torch.rand(()))

    undisturbed = draws()
    next(undisturbed)
    expected = next(undisturbed)
    disturbed = draws()
    next(disturbed)
    first = train(0, "a")
    assert next(disturbed) == expected
    assert same(first, train(0, "b"))
    assert not same(first, train(1, "c"))


@pytest.mark.parametrize("name", NAMES)
def test_merged_and_full_models_are_whole(name, rows, base, tmp_path):
    """Merged weights are the base's with the adapter's difference; both speak the same."""
    made = {}
    for kind, settings in {"adapter": {}, "merged": {"merge": True}, "full": {"lora": False}}.items():
        out = tmp_path / kind
        load_trainer(name, max_steps=2, **FAST, **settings).train(rows(name), base=base, out=out)
        made[kind] = load(str(out), device="cpu", dtype="float32").model
        assert (out / "adapter_config.json").exists() == (kind == "adapter")
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = {kind: model(input_ids=ids).logits for kind, model in made.items()}
    torch.testing.assert_close(logits["adapter"], logits["merged"], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits["full"], logits["merged"], atol=1e-3)
    assert made["full"].config.use_cache
    assert made["merged"].config.use_cache


def test_an_adapter_on_an_adapter_moves_with_its_base(rows, base, tmp_path, monkeypatch):
    """The second begins where the first ended; it names the root base, and moves with it to another place."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    trainer = load_trainer("stable_alignment", max_steps=4, **FAST)
    shutil.copytree(base.removeprefix("hf:"), "models/base")
    first = trainer.train(rows("stable_alignment"), base="hf:models/base", out="models/first")
    second = trainer.train(rows("stable_alignment"), base=first.uri, out="models/second")
    assert second.history[0]["loss"] < 0.9 * first.history[0]["loss"]
    config = json.loads((second.path / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(tmp_path / "here" / "models" / "base")
    about = json.loads((second.path / "training.json").read_text(encoding="utf-8"))
    assert about["base_folder"] == "../base"
    ids = torch.tensor([[5, 6, 7, 8]])
    before = load("models/second", device="cpu", dtype="float32").model(input_ids=ids).logits
    (tmp_path / "here").rename(tmp_path / "there")
    moved = load(str(tmp_path / "there" / "models" / "second"), device="cpu", dtype="float32").model
    assert torch.equal(moved(input_ids=ids).logits, before)


def test_an_empty_folder_is_filled_and_another_is_refused(rows, base, tmp_path):
    (tmp_path / "empty").mkdir()
    trainer = load_trainer("sft", max_steps=1, **FAST)
    trainer.train(rows("sft"), base=base, out=tmp_path / "empty")
    for taken in (tmp_path / "empty", tmp_path / "empty" / "training.json"):
        with pytest.raises(RunExists, match="already exists and is not an empty folder; choose another --out"):
            trainer.train(rows("sft"), base=base, out=taken)


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_loss_ends_the_training_and_leaves_nothing(name, rows, base, tmp_path):
    out = tmp_path / "models" / "m"
    trainer = load_trainer(name, epochs=9, max_grad_norm=1e30, **{**FAST, "learning_rate": 1e25})
    words = r"the loss became (nan|inf) in step \d+ of \d+; try --set learning_rate=1e\+24"
    with pytest.raises(TrainingDiverged, match=words):
        trainer.train(rows(name), base=base, out=out)
    assert list(out.parent.iterdir()) == []


def test_a_training_that_broke_is_not_said_to_be_done(rows, base, tmp_path, capfd):
    trainer = load_trainer("sft", max_grad_norm=1e30, **{**FAST, "learning_rate": 1e25, "progress": True})
    with pytest.raises(TrainingDiverged):
        trainer.train(rows("sft"), base=base, out=tmp_path / "m")
    assert "done" not in capfd.readouterr().err


def test_weights_broken_by_the_last_step_are_not_saved(rows, base, tmp_path):
    trainer = load_trainer("sft", max_steps=1, **{**FAST, "learning_rate": 1e39})
    with pytest.raises(TrainingDiverged, match=r"after the last step .* contains NaN or infinite weights"):
        trainer.train(rows("sft"), base=base, out=tmp_path / "models" / "m")
    assert list((tmp_path / "models").iterdir()) == []


def test_rows_and_bases_that_cannot_be_used(rows, base, tmp_path):
    trainer = load_trainer("dpo", **FAST)
    with pytest.raises(TrainingDataError, match="trainer 'dpo' learns from preferences rows"):
        trainer.train(rows("stable_alignment"), base=base, out=tmp_path / "m")
    with pytest.raises(ModelNotFound, match="base 'scripted:x' has no local weights to train"):
        trainer.train(rows("dpo"), base="scripted:x", out=tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_nothing_is_said_and_nobody_is_called(rows, base, tmp_path, monkeypatch, capfd):
    """TRL pings its makers unless told not to; the variable that tells it was read long before."""
    from huggingface_hub import constants

    pings = []
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(constants, "is_offline_mode", lambda: False)
    monkeypatch.setattr("huggingface_hub.utils._telemetry._start_telemetry_thread", lambda: None)
    monkeypatch.setattr("huggingface_hub.utils._telemetry._TELEMETRY_QUEUE.put", pings.append)
    for name in NAMES:
        load_trainer(name, max_steps=1, **FAST).train(rows(name), base=base, out=tmp_path / name)
    assert pings == []
    assert constants.HF_HUB_DISABLE_TELEMETRY is False
    assert capfd.readouterr() == ("", "")


def test_a_log_gets_plain_lines(rows, base, tmp_path, capfd):
    load_trainer("sft", epochs=5, **{**FAST, "progress": True}).train(rows("sft"), base=base, out=tmp_path / "m")
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0].startswith("training (sft):   0%")
    assert lines[-1].endswith("done")
    assert any("loss " in line for line in lines)
    assert all(line.startswith("training (sft): ") for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_checkpointing_and_trackers(name, rows, base, tmp_path):
    trained = load_trainer(
        name, epochs=6, dtype="bfloat16", gradient_checkpointing=True, report_to="tensorboard", **FAST
    ).train(rows(name), base=base, out=tmp_path / "m")
    losses = [record["loss"] for record in trained.history]
    assert sum(losses[-2:]) < 0.9 * sum(losses[:2])
    assert list(trained.path.rglob("events.out.tfevents.*"))


def test_every_trainer_reports_in_the_same_words(rows, base, tmp_path, undocumented):
    """What a trainer cannot know is absent: sft and hindsight compare nothing, kto has no pairs."""
    knows = {
        "sft": set(),
        "hindsight": set(),
        "kto": {"reward_margin"},
        "dpo": {"reward_margin", "preference_accuracy"},
        "orpo": {"reward_margin", "preference_accuracy"},
        "rrhf": {"reward_margin", "preference_accuracy"},
        "stable_alignment": {"reward_margin", "preference_accuracy"},
    }
    for name in NAMES:
        trained = load_trainer(name, max_steps=2, **FAST).train(rows(name), base=base, out=tmp_path / name)
        assert undocumented(name, trained) == []
        for record in trained.history:
            assert {"loss", "kl", "answer_tokens", "tokens_per_s"} <= set(record), name
            assert set(record) & {"reward_margin", "preference_accuracy"} == knows[name], name
            assert record["kl"] >= 0
            assert record["tokens_per_s"] > 0
        assert not {"margin", "accuracy", "rewards/margins", "num_tokens", "tokens_read"} & set(trained.history[0])
        # The three answers have 6, 4 and 7 words and marks, and an end; in tokens of the tiny model some more.
        assert 4 <= trained.history[0]["answer_tokens"] <= 40, name


def test_what_this_machine_cannot_do_is_said(rows, base, tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.finetuning.policy.find_spec", lambda name: None)
    for settings, words in (
        (
            {"quantize": "4bit"},
            "quantize='4bit' needs the package bitsandbytes, which is not installed: pip install bitsandbytes. Without "
            "it, use quantize=none; dtype=bfloat16 halves the memory of the base's weights",
        ),
        (
            {"fsdp": "full_shard"},
            "fsdp='full_shard' shards a model over accelerators, and this training runs on the CPU, where transformers "
            "would copy the model instead; leave fsdp out",
        ),
    ):
        with pytest.raises(SettingsError) as error:
            load_trainer("sft", **FAST, **settings).train(rows("sft"), base=base, out=tmp_path / "m")
        assert str(error.value) == words
    assert not (tmp_path / "m").exists()


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(SettingsError) as error:
        load_trainer("sft", quantize="8bit", lora=False, merge=True, fsdp_config="x.json")
    assert str(error.value) == (
        "trainer settings cannot be used:\n"
        "  quantize='8bit' trains adapters on frozen weights; it needs lora=true\n"
        "  quantize='8bit' gives adapters no full weights to merge into; use merge=false\n"
        "  fsdp_config has no effect without fsdp, for example fsdp=full_shard"
    )


def test_fsdp_settings_are_passed_on_where_there_are_accelerators(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    made = load_trainer("rrhf", fsdp="full_shard", fsdp_config="fsdp.json")
    arguments = training_arguments(made.settings, 8, tmp_path, tmp_path)
    assert (arguments["fsdp"], arguments["fsdp_config"]) == ("full_shard", "fsdp.json")
    assert "fsdp" not in training_arguments(load_trainer("rrhf").settings, 8, tmp_path, tmp_path)
