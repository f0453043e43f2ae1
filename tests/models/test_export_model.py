"""`sandbox export-model`: full weights that are the same model, a card, and Ollama's way of writing turns."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import yaml
from typer.testing import CliRunner

from sandbox.cli.main import app
from sandbox.errors import ModelNotFound, RunExists, SettingsError
from sandbox.models.local.chat_template import add_lead, render
from sandbox.models.local.export import export_model
from sandbox.models.local.loading import load
from sandbox.models.local.ollama import modelfile, turn_format
from sandbox.testing import tiny_lm, tiny_rows
from trainers import load_trainer

pytestmark = pytest.mark.needs_torch

FAST = {"learning_rate": 5e-3, "max_steps": 3, "progress": False, "device": "cpu", "measure_kl": False}
IDS = torch.arange(5, 40)[None]
CHATML = (
    "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TALK = [
    {"role": "user", "content": "How are you?"},
    {"role": "assistant", "content": "Well."},
    {"role": "user", "content": "Good."},
]


@pytest.fixture
def adapter(tiny_lm_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_lm_path, "base")
    rows = tiny_rows("preferences")
    return load_trainer("dpo", **FAST, lora_r=24).train(rows, base="hf:base", out="models/first").path


def logits(folder):
    return load(str(folder), device="cpu", dtype="float32").model(IDS).logits


def theirs(folder):
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()(IDS).logits


def test_the_export_is_the_same_model_in_transformers(adapter):
    done = CliRunner().invoke(app, ["export-model", f"hf:{adapter}", "--out", "models/merged", "--json"])
    said = json.loads(done.output)
    assert said == {
        "path": "models/merged", "name": "merged", "dtype": "float32", "merged": 1,
        "vllm": "vllm serve models/merged --served-model-name merged",
        "ollama": "ollama create merged -f models/merged/Modelfile",
    }  # fmt: skip
    torch.testing.assert_close(theirs("models/merged"), logits(adapter), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(theirs("models/merged"), logits("base"), atol=1e-2)


def test_half_precision_is_rounded_once(adapter):
    found = export_model(f"hf:{adapter}", adapter.parent / "half", dtype="bfloat16")
    assert found.dtype == json.loads((found.path / "config.json").read_text(encoding="utf-8"))["dtype"] == "bfloat16"
    whole = load(str(adapter), device="cpu", dtype="float32").model.state_dict()
    half = load(str(found.path), device="cpu", dtype="bfloat16").model.state_dict()
    assert all(torch.equal(half[name], whole[name].to(torch.bfloat16)) for name in half)


def test_the_card_says_what_it_is_and_how_to_serve_it(adapter):
    found = export_model(f"hf:{adapter}", adapter.parent / "merged", name="kind one")
    _, meta, text = (found.path / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(meta) == {
        "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["social-sandbox", "dpo"],
    }  # fmt: skip
    assert "vllm serve models/merged --served-model-name 'kind one'" in text
    assert "| trainer | dpo |" in text
    assert "| learning_rate | 0.005 |" in text


def test_a_trained_adapter_has_a_card_too(adapter, tmp_path):
    _, meta, text = (adapter / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(meta)["library_name"] == "peft"
    line = f"vllm serve {tmp_path}/base --enable-lora --lora-modules first=models/first --max-lora-rank 32"
    assert line in text.splitlines()
    assert "sandbox export-model hf:models/first --out models/first-merged" in text


def test_what_cannot_be_exported_is_refused(adapter):
    with pytest.raises(ModelNotFound, match="'scripted:x' has no local weights to export"):
        export_model("scripted:x", adapter.parent / "m")
    with pytest.raises(RunExists, match="already exists and is not an empty folder; choose another --out"):
        export_model(f"hf:{adapter}", adapter)
    with pytest.raises(SettingsError, match="dtype='int8' is not one of auto, float32, bfloat16, float16"):
        export_model(f"hf:{adapter}", adapter.parent / "m", dtype="int8")
    assert [path.name for path in adapter.parent.iterdir()] == ["first"]


@pytest.fixture
def tokenizer(tiny_lm_path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_lm_path)


@pytest.mark.parametrize("kind", ["tiny", "chatml", "alpaca", "lead"])
def test_ollama_writes_turns_as_the_chat_template(kind, tokenizer):
    """With and without a system message, which chatml replaces by one of its own."""
    if kind == "chatml":
        tokenizer.chat_template = CHATML
    if kind == "alpaca":
        tokenizer.chat_template = None
    if kind == "lead":
        add_lead(tokenizer, "A good answer:\n")
    found = turn_format(tokenizer)
    for system in ([], [{"role": "system", "content": "Be brief."}]):
        for talk in (TALK, TALK[:1]):
            assert found.render([*system, *talk]) == render(tokenizer, [*system, *talk])


def test_the_modelfile_in_ollamas_language(tokenizer):
    assert modelfile(tokenizer) == (
        'FROM .\nTEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}<|system|>{{ .Content }}<|end|>'
        '{{ else if eq .Role "user" }}<|user|>{{ .Content }}'
        '{{ else if eq .Role "assistant" }}<|end|><|assistant|>{{ .Content }}<|end|>{{ end }}{{ end }}'
        '<|end|><|assistant|>"""\n'
        'PARAMETER stop "<|end|>"\n'
    )


def test_a_template_that_counts_turns_is_not_guessed(tokenizer):
    tokenizer.chat_template = "{% for m in messages %}{{ loop.index }}: {{ m['content'] }}\n{% endfor %}"
    assert turn_format(tokenizer) is None
    assert modelfile(tokenizer).startswith("# In this model's chat template a turn depends on more than its role")


def test_a_model_without_a_chat_template_carries_the_format_it_is_spoken_to_in(tmp_path):
    tiny_lm(tmp_path / "plain", chat=False)
    before = load(str(tmp_path / "plain"), device="cpu", dtype="float32").tokenizer
    export_model(f"hf:{tmp_path / 'plain'}", tmp_path / "out")
    after = load(str(tmp_path / "out"), device="cpu", dtype="float32").tokenizer
    assert after.chat_template
    assert render(after, TALK) == render(before, TALK)
