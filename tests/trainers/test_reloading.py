"""Saved adapters are the same model in plain PEFT and transformers, from any working directory."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from sandbox.models.local.loading import adapter_chain, load
from sandbox.testing import tiny_rows
from trainers import load_trainer

pytestmark = pytest.mark.needs_torch

FAST = {"learning_rate": 5e-3, "max_steps": 3, "progress": False, "device": "cpu", "measure_kl": False}
IDS = torch.arange(5, 40)[None]


def ours(folder):
    return load(str(folder), device="cpu", dtype="float32").model(IDS).logits


def theirs(folder):
    """Logits by PEFT and by transformers, which know nothing of this project."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    found = []
    for kind in (AutoPeftModelForCausalLM, AutoModelForCausalLM):
        with torch.no_grad():
            found.append(kind.from_pretrained(folder).eval()(IDS).logits)
    return found


def check_same(folder):
    for logits in theirs(folder):
        torch.testing.assert_close(logits, ours(folder), atol=2e-4, rtol=1e-4)


@pytest.fixture
def train(tiny_lm_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_lm_path, "base")

    def make(out, base="hf:base", trainer="sft", rows="demonstrations", **settings):
        made = load_trainer(trainer, **{**FAST, **settings})
        return made.train(tiny_rows(rows), base=base, out=out)

    return make


def test_an_adapter_on_a_relative_folder_loads_anywhere(train, tmp_path, monkeypatch):
    train("models/a")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    check_same(tmp_path / "models" / "a")


def test_an_adapter_on_an_adapter_becomes_one_on_the_root_base(train, tmp_path):
    """Rank 16 on rank 4 is one adapter of rank 20, whose weights differ from the first one's."""
    train("models/a", trainer="dpo", rows="preferences", lora_r=4)
    train("models/b", base="hf:models/a")
    config = json.loads((tmp_path / "models/b/adapter_config.json").read_text(encoding="utf-8"))
    assert (config["base_model_name_or_path"], config["r"]) == (str(tmp_path / "base"), 20)
    assert [path.name for path in adapter_chain(tmp_path / "models/b")] == ["base", "b"]
    check_same("models/b")
    assert not torch.allclose(ours("models/a"), ours("models/b"), atol=1e-2)


def test_the_combined_adapter_is_the_model_that_was_trained(train, tmp_path):
    """Merged into the base, both adapters give the same weights as training with merge=true on the first."""
    train("models/a")
    train("models/b", base="hf:models/a")
    train("models/merged", base="hf:models/a", merge=True)
    torch.testing.assert_close(ours("models/b"), ours("models/merged"), atol=2e-4, rtol=1e-4)


def test_adapters_on_other_layers_are_combined_too(train, tmp_path):
    """An adapter of the attention alone, by another rank and scale, under one on all linear layers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained("base"),
        LoraConfig(r=3, lora_alpha=12, target_modules=["q_proj"], use_rslora=True, init_lora_weights=False),
    )
    model.save_pretrained("models/foreign")
    train("models/b", base="hf:models/foreign")
    check_same("models/b")
    assert not torch.allclose(ours("base"), ours("models/foreign"), atol=1e-2)


def test_what_cannot_be_combined_is_merged_and_says_so(train, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=4, target_modules=["q_proj"], use_dora=True, init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained("base"), config).save_pretrained("models/foreign")
    trained = train("models/b", base="hf:models/foreign")
    assert not (trained.path / "adapter_config.json").exists()
    assert trained.notes == ("saved as full weights, merged with the adapter below it: models/foreign uses use_dora",)
    check_same_full = theirs_full("models/b")
    torch.testing.assert_close(check_same_full, ours("models/b"), atol=1e-5, rtol=1e-5)


def theirs_full(folder):
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder).eval()(IDS).logits


def test_an_adapter_on_the_bundled_model_loads_in_peft(train, tmp_path, monkeypatch):
    """Its base is the folder of the converted weights; where that is another one, our own loading finds it."""
    converted = tmp_path / "cache" / "converted"
    shutil.copytree("base", converted)
    for module in ("sandbox.models.local.loading", "trainers.finetuning.policy"):
        monkeypatch.setattr(f"{module}.converted_folder", lambda: converted)
    monkeypatch.setattr("sandbox.models.local.loading.bundled_path", lambda: converted)
    train("models/a", base="smollm2")
    check_same("models/a")
    assert json.loads((tmp_path / "models/a/training.json").read_text(encoding="utf-8"))["base_folder"] == "smollm2"
    before = ours("models/a")
    (tmp_path / "cache").rename(tmp_path / "other")
    monkeypatch.setattr("sandbox.models.local.loading.bundled_path", lambda: tmp_path / "other" / "converted")
    assert torch.equal(ours("models/a"), before)
