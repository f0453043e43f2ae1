"""Model folders with damaged or missing files, of other kinds of models, or whose parts do not fit each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from sandbox.errors import ModelNotFound
from sandbox.models.base import Message, Request
from sandbox.models.local.hf import HFModel
from sandbox.models.local.loading import load
from sandbox.models.local.weight_integrity import check_files

pytestmark = pytest.mark.needs_torch

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 127608\n"


def refused(folder: Path) -> str:
    with pytest.raises(ModelNotFound) as caught:
        load(str(folder), device="cpu", dtype="float32")
    return str(caught.value)


def test_a_pointer_in_place_of_a_file_is_named(make_tiny_lm: Callable[..., Path]) -> None:
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        folder = make_tiny_lm(name.partition(".")[0])
        (folder / name).write_bytes(POINTER)
        assert refused(folder).startswith(f"{folder / name} is a Git LFS pointer and not the file itself; run `git lfs")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda whole: whole[: len(whole) // 2], "it is incomplete, "),
        (lambda whole: whole[:100], "it is incomplete, 100 bytes"),
        (lambda whole: whole + b"x", "it is too long, "),
        (lambda whole: b"<html>not found</html>", "it is not a safetensors file"),
        (lambda whole: whole[:8] + b"?" + whole[9:], "its header is damaged"),
        (lambda whole: b"", "it is empty"),
    ],
)
def test_damaged_weights_are_named(
    make_tiny_lm: Callable[..., Path], damage: Callable[[bytes], bytes], words: str
) -> None:
    folder = make_tiny_lm("damaged")
    file = folder / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    assert refused(folder).startswith(f"{file} cannot be read as weights: {words}")


def test_pickled_weights_are_read_and_named_when_damaged(make_tiny_lm: Callable[..., Path]) -> None:
    folder = make_tiny_lm("pickled")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    file = folder / "pytorch_model.bin"
    torch.save(weights, file)
    assert load(str(folder), device="cpu", dtype="float32").model is not None
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "cannot be loaded as a causal language model" in refused(folder)
    file.write_bytes(b"<html>")
    assert refused(folder).startswith(f"{file} cannot be read as weights: it is not a file that torch wrote")


def test_missing_files_of_sharded_weights_are_named(make_tiny_lm: Callable[..., Path]) -> None:
    folder = make_tiny_lm("shards")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert "lacks 1 of 2 files of weights that model.safetensors.index.json names: model-00002-of" in refused(folder)


def test_weights_that_are_missing_inside_a_file_are_not_made_up(make_tiny_lm: Callable[..., Path]) -> None:
    folder = make_tiny_lm("lacking")
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "are not those of the model in its config.json: model.norm.weight is missing" in refused(folder)


def test_a_folder_without_a_tokenizer_says_what_is_expected(make_tiny_lm: Callable[..., Path]) -> None:
    folder = make_tiny_lm("mute")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert "mute has no tokenizer: expected one of tokenizer.json, tokenizer.model, vocab.json" in refused(folder)


def small(kind: Any, **settings: Any) -> Any:
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 32}
    return kind(vocab_size=400, initializer_range=0.4, **sizes, **settings)


def save(model: Any, folder: Path, tokenizer_of: Path) -> Path:
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_of).save_pretrained(folder)
    return folder


def test_encoders_and_classifiers_are_refused(tmp_path: Path, tiny_lm_path: Path) -> None:
    bart = BartConfig(
        vocab_size=400,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
    )
    models = {
        "bert": (BertForMaskedLM(small(BertConfig)), "it is a BertForMaskedLM, which fills gaps"),
        "bart": (BartForConditionalGeneration(bart), "it is an encoder-decoder model (BartForConditionalGeneration)"),
        "judge": (
            LlamaForSequenceClassification(small(LlamaConfig)),
            "as a judge it is given by --rater reward:FOLDER",
        ),
        # Nothing in its name says that it sees both sides.
        "lm": (
            BertLMHeadModel(small(BertConfig, is_decoder=False)),
            "in BertLMHeadModel words depend on those after them",
        ),
    }
    for name, (model, words) in models.items():
        assert words in refused(save(model, tmp_path / name, tiny_lm_path))


def test_a_decoder_of_the_same_family_is_taken(tmp_path: Path, tiny_lm_path: Path) -> None:
    folder = save(BertLMHeadModel(small(BertConfig, is_decoder=True)), tmp_path / "decoder", tiny_lm_path)
    assert load(str(folder), device="cpu", dtype="float32").model.config.is_decoder


def add_tokens(folder: Path, *tokens: str, template: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(tokens)})
    if template:
        tokenizer.chat_template = tokenizer.chat_template.replace("<|end|>", tokens[0])
    tokenizer.save_pretrained(folder)


def test_a_vocabulary_larger_than_the_embedding_is_refused_where_prompts_use_it(
    make_tiny_lm: Callable[..., Path],
) -> None:
    folder = make_tiny_lm("chatml")
    add_tokens(folder, "<|im_start|>", "<|im_end|>", template=True)
    assert refused(folder).startswith(
        f"the tokenizer of {folder} has 402 tokens and the model 400 embeddings; too many: <|im_start|>, <|im_end|>. Use "
    )


def test_tokens_that_no_prompt_uses_do_no_harm_until_a_text_contains_one(make_tiny_lm: Callable[..., Path]) -> None:
    """As Gemma 3's token of images in its models of text."""
    folder = make_tiny_lm("images")
    add_tokens(folder, "<image>", template=False)
    lm = HFModel(str(folder))
    fine, faulty = lm.generate([Request((Message("user", words),), max_tokens=2) for words in ("Hi", "See <image>")])
    assert fine.error is None
    assert "the prompt contains '<image>', a token that the model has no embedding of" in (faulty.error or "")


def test_an_adapter_of_another_base_is_refused(make_tiny_lm: Callable[..., Path], tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = make_tiny_lm("base")
    loaded = load(str(base), device="cpu", dtype="float32")
    adapter = tmp_path / "adapter"
    get_peft_model(loaded.model, LoraConfig(target_modules=["q_proj"])).save_pretrained(adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
    assert load(str(adapter), device="cpu", dtype="float32").folders == (base, adapter)
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({k: v for k, v in weights.items() if "layers.0." in k}, adapter / "adapter_model.safetensors")
    assert f"the adapter {adapter} does not fit its base: 2 of 4 weights are missing" in refused(adapter)
    (adapter / "adapter_model.safetensors").unlink()
    assert f"{adapter} has no weights: expected adapter_model.safetensors" in refused(adapter)


def test_a_whole_folder_passes(tiny_lm_path: Path, tmp_path: Path) -> None:
    check_files(Path(shutil.copytree(tiny_lm_path, tmp_path / "copy")))
