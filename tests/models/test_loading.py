"""Loading of local models: bases, adapters on them, and what cannot be loaded."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.base import Message, Request
from sandbox.models.local.chat_template import render
from sandbox.models.local.hf import HFModel, fast_dtype
from sandbox.models.local.loading import adapter_chain

pytestmark = pytest.mark.needs_torch

QUESTIONS = (
    "How do I get on with my neighbours?",
    "Rate this answer, from 1 (not at all) to 7 (entirely).",
    "May I lie?",
    "What do you think of the people in the house next door, who were asked and answered honestly?",
    "Answer again, better.",
)


def ask(question: str, **fields: Any) -> Request:
    return Request((Message("user", question),), **{"max_tokens": 12, **fields})


@pytest.fixture(scope="module")
def lm(tiny_lm_path: Path) -> HFModel:
    return HFModel(str(tiny_lm_path))


def prompt_ids(lm: HFModel, request: Request) -> list[int]:
    text = render(lm.tokenizer, request.messages, request.prefix)
    return list(lm.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_what_is_known_of_a_loaded_model(lm: HFModel, tiny_lm_path: Path, make_tiny_lm: Callable[..., Path]) -> None:
    assert lm.uri == f"hf:{tiny_lm_path}"
    assert lm.default_rater == "lm"
    again = HFModel(str(make_tiny_lm("same")))
    other = HFModel(str(make_tiny_lm("other", seed=1)))
    assert lm.fingerprint == again.fingerprint != other.fingerprint
    assert len(lm.fingerprint) == 16


def test_a_base_model_is_spoken_to_in_alpacas_format_and_stops_at_the_next_instruction(
    make_tiny_lm: Callable[..., Path],
) -> None:
    lm = HFModel(str(make_tiny_lm("base", chat=False)))
    request = ask("May I lie?")
    assert lm.generate([request])[0].prompt_tokens == len(prompt_ids(lm, request))
    assert lm._encoder.row(request).stop == ("### Instruction:", "### Response:")


def save_adapter(base: Path, path: Path, name: str, *, seed: int = 0) -> None:
    """An adapter whose random weights are far from doing nothing."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    wrapped = get_peft_model(model, LoraConfig(r=4, lora_alpha=32, target_modules="all-linear"))
    generator = torch.Generator().manual_seed(seed)
    for parameter_name, parameter in wrapped.named_parameters():
        if "lora_" in parameter_name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    wrapped.peft_config["default"].base_model_name_or_path = name
    wrapped.save_pretrained(path)


def test_an_adapter_is_loaded_with_its_base(lm: HFModel, tiny_lm_path: Path, tmp_path: Path) -> None:
    """Merged or beside the weights, the adapter gives the same logits, and not the base's."""
    save_adapter(tiny_lm_path, tmp_path / "adapter", f"hf:{tiny_lm_path}")
    merged, beside = HFModel(str(tmp_path / "adapter")), HFModel(str(tmp_path / "adapter"), merge=False)
    ids = torch.tensor([prompt_ids(lm, ask(QUESTIONS[0]))])
    with torch.inference_mode():
        a, b, base = (m.model(ids).logits for m in (merged, beside, lm))
    assert torch.allclose(a, b, atol=1e-3)
    assert not torch.allclose(a, base, atol=1e-1)
    requests = [ask(q, temperature=0.0) for q in QUESTIONS]
    assert merged.generate(requests) == beside.generate(requests) != lm.generate(requests)
    assert merged.fingerprint == beside.fingerprint != lm.fingerprint


def test_an_adapters_base_may_stand_beside_it(tiny_lm_path: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_lm_path, tmp_path / "base")
    save_adapter(tiny_lm_path, tmp_path / "adapter", "../base")
    assert HFModel(str(tmp_path / "adapter")).generate([ask("May I lie?")])[0].error is None


def test_a_base_beside_the_adapter_goes_before_one_in_the_working_folder(
    tiny_lm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``../base`` is read from the adapter's folder; a folder of that name elsewhere may be anything."""
    shutil.copytree(tiny_lm_path, tmp_path / "base")
    save_adapter(tiny_lm_path, tmp_path / "adapter", "../base")
    (tmp_path / "elsewhere" / "base").mkdir(parents=True)
    (tmp_path / "elsewhere" / "here").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere" / "here")
    assert [p.resolve() for p in adapter_chain(tmp_path / "adapter")] == [tmp_path / "base", tmp_path / "adapter"]


def test_an_adapter_on_an_adapter_adds_both(tiny_lm_path: Path, tmp_path: Path) -> None:
    """Weights of both generations are in the model: the second's difference to the first is its own B A alpha/r."""
    from safetensors.torch import load_file

    save_adapter(tiny_lm_path, tmp_path / "first", str(tiny_lm_path))
    save_adapter(tiny_lm_path, tmp_path / "second", str(tmp_path / "first"), seed=1)
    first, second = HFModel(str(tmp_path / "first")), HFModel(str(tmp_path / "second"))
    name = "base_model.model.model.layers.0.mlp.up_proj.lora_{}.weight"
    adapter = load_file(tmp_path / "second" / "adapter_model.safetensors")
    expected = adapter[name.format("B")] @ adapter[name.format("A")] * (32 / 4)
    got = second.model.model.layers[0].mlp.up_proj.weight - first.model.model.layers[0].mlp.up_proj.weight
    assert torch.allclose(got, expected, atol=1e-4)


def test_an_adapter_without_its_base_says_so(tiny_lm_path: Path, tmp_path: Path) -> None:
    save_adapter(tiny_lm_path, tmp_path / "adapter", str(tmp_path / "gone"))
    with pytest.raises(ModelNotFound, match=r"the base of adapter .*adapter is missing: '.*gone' is not a folder"):
        HFModel(str(tmp_path / "adapter"))


def test_adapters_in_a_circle_are_noticed(tiny_lm_path: Path, tmp_path: Path) -> None:
    save_adapter(tiny_lm_path, tmp_path / "adapter", str(tmp_path / "adapter"))
    with pytest.raises(ModelNotFound, match="refer to each other in a cycle"):
        HFModel(str(tmp_path / "adapter"))


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("./nowhere", "'./nowhere' is not a folder, nor the name of a model on the hub"),
        ("/nowhere/at/all", "is not a folder"),
        ("smollm", "nor the bundled 'smollm2'"),
        ("someone/some-model", "cannot be downloaded from the model hub"),
    ],
)
def test_a_model_that_is_not_there(rest: str, words: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        HFModel(rest)
    assert words in str(caught.value)


def test_a_folder_that_holds_no_model(tmp_path: Path, tiny_lm_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"without config\.json or adapter_config\.json"):
        HFModel(str(tmp_path))
    shutil.copytree(tiny_lm_path, tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").unlink()
    with pytest.raises(
        ModelNotFound, match=r"cut has no weights: expected model\.safetensors, found chat_template\.jinja, "
    ):
        HFModel(str(tmp_path / "cut"))


def test_settings_without_sense_are_told_at_once(tiny_lm_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        HFModel(str(tiny_lm_path), dtype="float23", max_batch=0, top_k=-1, device="gpu")
    assert "dtype='float23' is not one of float32, bfloat16, float16, float64, auto. Did you mean 'float32'?" in str(
        caught.value
    )
    assert "must be at least 1;" in str(caught.value)
    assert "top_k=-1" in str(caught.value)
    assert "device='gpu' cannot be used" in str(caught.value)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_other_precisions_run(tiny_lm_path: Path, dtype: str) -> None:
    lm = HFModel(str(tiny_lm_path), dtype=dtype)
    replies = lm.generate([ask(q) for q in QUESTIONS] + [ask("x", choices=("a", "b"))])
    assert [r.error for r in replies] == [None] * 6
    assert lm.model.dtype == getattr(torch, dtype)


def _adapter(base: Path, folder: Path, seed: int) -> Path:
    save_adapter(base, folder, str(base), seed=seed)
    return folder


def test_adapters_on_one_base_share_its_weights(lm: HFModel, tiny_lm_path: Path, tmp_path: Path) -> None:
    """The bare base and two adapters, loaded beside each other: one set of weights, and each its own replies."""
    names = ("first", "second")
    folders = [_adapter(tiny_lm_path, tmp_path / name, n) for n, name in enumerate(names)]
    alone = [HFModel(str(folder)) for folder in folders]
    together = [HFModel(str(tiny_lm_path), merge=False), *(HFModel(str(folder), merge=False) for folder in folders)]
    assert len({id(one.model) for one in together}) == 1
    assert len({one.fingerprint for one in together}) == 3
    requests = [ask(q, seed=n) for n, q in enumerate(QUESTIONS)] + [ask("x", choices=("a", "b"))]
    for _ in range(2):  # they take turns
        for one, expected in zip(together, [lm, *alone], strict=True):
            said, known = one.generate(requests), expected.generate(requests)
            assert [r.text for r in said] == [r.text for r in known]
            assert said[-1].choice_probs == pytest.approx(known[-1].choice_probs, abs=1e-6)
    del together[1]  # an adapter goes with who speaks through it
    gc.collect()
    assert together[1].generate(requests)[0] == alone[1].generate(requests)[0]


def test_a_society_of_several_policies_holds_one_base(tiny_lm_path: Path, tmp_path: Path) -> None:
    from sandbox.models.pool import ModelPool

    for n, name in enumerate(("first", "second")):
        _adapter(tiny_lm_path, tmp_path / name, n)
    uris = [f"hf:{tiny_lm_path}", f"hf:{tmp_path / 'first'}", f"hf:{tmp_path / 'second'}"]
    models: list[Any] = ModelPool().load_agents(uris)
    assert len({id(one.model) for one in models}) == 1
    assert [one.uri for one in models] == uris
    apart: list[Any] = ModelPool(model={"merge": "yes"}).load_agents(uris)
    assert len({id(one.model) for one in apart}) == 3
    [single] = ModelPool().load_agents(uris[1:2])
    assert single is not models[1]


def test_the_fast_type_and_the_attention_can_be_chosen(tiny_lm_path: Path) -> None:
    lm = HFModel(str(tiny_lm_path), dtype="auto", attn_implementation="eager")
    assert lm.model.dtype == getattr(torch, fast_dtype("cpu"))
    assert lm.model.config._attn_implementation == "eager"
    assert lm.generate([ask("hello")])[0].error is None
    with pytest.raises(ModelNotFound, match="cannot be loaded as a causal language model"):
        HFModel(str(tiny_lm_path), attn_implementation="flash_attention_9")
