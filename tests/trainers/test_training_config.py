"""`sandbox train --config`, the file beside every model, and arguments passed through to transformers."""

from __future__ import annotations

import json

import pytest
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from sandbox.cli.main import app
from sandbox.errors import SettingsError
from trainers import load_trainer, rows_from, write_rows
from trainers.config_file import read_config

pytestmark = pytest.mark.needs_torch

FAST = {"max_steps": 2, "learning_rate": 5e-3, "batch_size": 4, "progress": False, "device": "cpu", "measure_kl": False}


@pytest.fixture
def here(ranked_rows_by_hand, tiny_lm_path, tmp_path, monkeypatch):
    """A working directory with a file of rows, and a configuration that trains on them."""
    monkeypatch.chdir(tmp_path)
    write_rows(ranked_rows_by_hand, tmp_path / "rows.jsonl")
    content = {"trainer": "rrhf", "base": f"hf:{tiny_lm_path}", "rows": ["rows.jsonl"], "settings": FAST}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path


def sandbox(*arguments):
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    if isinstance(done.exception, SettingsError):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def training(folder):
    return json.loads((folder / "training.json").read_text(encoding="utf-8"))


def test_the_file_beside_a_model_repeats_its_training(here):
    """With all settings in effect, also those that were left at their defaults, and the same weights."""
    sandbox("train", "--config", "mine.yaml", "--out", "first", "--set", "seed=3", "--set", "args.optim=adafactor")
    written = yaml.safe_load((here / "first" / "train.yaml").read_text(encoding="utf-8"))
    assert (written["trainer"], written["rows"]) == ("rrhf", ["rows.jsonl"])
    settings = written["settings"]
    assert (settings["seed"], settings["learning_rate"], settings["lora_r"]) == (3, 0.005, 16)
    assert settings["args"] == {"optim": "adafactor"}
    sandbox("train", "--config", "first/train.yaml", "--out", "second")
    first, second = (load_file(here / name / "adapter_model.safetensors") for name in ("first", "second"))
    assert all(bool((first[name] == second[name]).all()) for name in first)
    assert training(here / "first")["settings"] == training(here / "second")["settings"]


def test_the_command_line_overrides_the_file(here):
    sandbox("train", "rows.jsonl", "--config", "mine.yaml", "--trainer", "sft", "--out", "m", "--set", "max_steps=1")
    assert (training(here / "m")["trainer"], training(here / "m")["metrics"]["steps"]) == ("sft", 1)


def test_a_training_from_python_writes_the_file_too(here, tiny_lm_path):
    made = load_trainer("sft", **FAST)
    made.train(rows_from("rows.jsonl", made.accepts), base=f"hf:{tiny_lm_path}", out="m")
    config = read_config(here / "m" / "train.yaml")
    assert (config.trainer, config.base, config.rows) == ("sft", f"hf:{tiny_lm_path}", ())
    assert load_trainer("sft", **config.settings).settings == made.settings
    with pytest.raises(
        SettingsError, match="sandbox train needs run folders or files of rows, or rows in m/train.yaml"
    ):
        sandbox("train", "--config", "m/train.yaml", "--out", "n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trainer: [", "mine.yaml cannot be read as YAML: while parsing a flow node"),
        ("- 1", "mine.yaml must hold keys such as trainer, base, rows and settings; found [1]"),
        ("trianer: dpo", "'trianer' is no key of a training's configuration. Did you mean 'trainer'?"),
        ("rows: {a: 1}\ntrainer: 3", "trainer must be text; found 3"),
        ("rows: x\nsettings: [1]", "settings must be a mapping, for example epochs: 1; found [1]"),
        ("rows: rows.jsonl\nsettings: {epochs: many}", "epochs='many' is not a number"),
        ("rows: rows.jsonl\nsettings: {lora: 3}", "lora='3' is not true or false"),
        ("rows: rows.jsonl\nsettings: {bach_size: 3}", "has no setting 'bach_size'. Did you mean 'batch_size'?"),
        ("settings: {}", "sandbox train needs run folders or files of rows, or rows in mine.yaml"),
    ],
)
def test_what_a_file_may_not_say(text, words, here):
    (here / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        sandbox("train", "--config", "mine.yaml", "--out", "m")
    assert words in str(error.value)
    assert not (here / "m").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"args.optm": "sgd"}, "transformers.TrainingArguments has no argument 'optm'. Did you mean 'optim'?"),
        ({"args.optim": "adamw"}, "args.optim='adamw' is not one of adamw_torch, "),
        (
            {"args.optim": "adamw_8bit"},
            "args.optim='adamw_8bit' needs the package bitsandbytes, which is not installed",
        ),
        ({"args.learning_rate": "1"}, "args.learning_rate is a setting of its own here: use --set learning_rate=..."),
        ({"args.bf16": "true"}, "args.bf16 is a setting of its own here: use --set dtype=bfloat16"),
        ({"args.output_dir": "x"}, "args.output_dir has no use here: the folder is --out"),
        ({"args.hub_token": "x"}, "args.hub_token has no use here: models are not pushed to a hub"),
        ({"args.dataloader_num_workers": "-1"}, "args.dataloader_num_workers=-1 must be at least 0"),
        ({"args.dataloader_num_workers": "two"}, "args: dataloader_num_workers='two' is not a whole number"),
        ({"args.adam_beta2": "1"}, "args.adam_beta2=1.0 must be in [0, 1)"),
        ({"args.fp16": "true"}, "args.fp16=true needs an accelerator, and this training runs on the CPU"),
        ({"args.fp16": "true", "dtype": "bfloat16"}, "args.fp16=true and dtype=bfloat16 are two precisions"),
        ({"args.deepspeed": "zero.json"}, "args.deepspeed needs the package deepspeed, which is not installed"),
        ({"args.dataloader_prefetch_factor": "2"}, "TrainingArguments refuses args.dataloader_prefetch_factor: "),
        (
            {"report_to": "tensorbord"},
            "report_to='tensorbord' is no tracker of transformers. Did you mean 'tensorboard'?",
        ),
        ({"report_to": "clearml"}, "report_to='clearml' needs a package that is not installed: pip install clearml"),
    ],
)
def test_arguments_are_checked_before_a_model_is_loaded(settings, words, here):
    """The base does not exist: whoever came to it would say so."""
    made = load_trainer("sft", **FAST, **settings)
    with pytest.raises(SettingsError) as error:
        made.train(rows_from("rows.jsonl", made.accepts), base="hf:./nowhere", out="m")
    assert words in str(error.value)


def test_arguments_reach_transformers(here, tiny_lm_path, monkeypatch):
    from transformers import Trainer

    seen = []
    original = Trainer.__init__

    def spy(self, *args, **kwargs):
        original(self, *args, **kwargs)
        seen.append(
            (str(self.args.optim.value), self.args.adam_beta2, self.args.dataloader_num_workers, self.args.data_seed)
        )

    monkeypatch.setattr(Trainer, "__init__", spy)
    for name in ("sft", "rrhf"):
        made = load_trainer(name, **FAST, args={"optim": "adafactor", "adam_beta2": 0.95, "dataloader_num_workers": 1})
        made.train(rows_from("rows.jsonl", made.accepts), base=f"hf:{tiny_lm_path}", out=name)
    assert seen == [("adafactor", 0.95, 1, None)] * 2


def test_a_name_of_transformers_is_pointed_to():
    with pytest.raises(SettingsError, match=r"has no setting 'optim'[\s\S]*transformers are given as args.optim$"):
        load_trainer("sft", optim="sgd")
