from __future__ import annotations

import gc
import logging
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.base import Message, Reply, Request
from sandbox.models.local.chat_template import render
from sandbox.models.local.forward import _pieces
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


def sum_of_nats(lm: HFModel, context: list[int], ending: list[int]) -> float:
    """log P(ending | context) by one plain forward pass over both."""
    with torch.inference_mode():
        logits = lm.model(torch.tensor([context + ending])).logits[0].double().log_softmax(-1)
    return sum(float(logits[len(context) + i - 1, token]) for i, token in enumerate(ending))


# -- writing --------------------------------------------------------------------------------------------------


def test_greedy_replies_are_those_of_transformers(lm: HFModel) -> None:
    requests = [ask(q, temperature=0.0) for q in QUESTIONS]
    for request, reply in zip(requests, lm.generate(requests), strict=True):
        ids = torch.tensor([prompt_ids(lm, request)])
        written = lm.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0
        )
        text = lm.tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True).strip()
        assert reply.text == text.rstrip("\ufffd").rstrip()  # a letter cut in the middle of its bytes is left out
        assert reply.prompt_tokens == ids.shape[1]


def test_replies_do_not_depend_on_what_else_is_asked(lm: HFModel, tiny_lm_path: Path) -> None:
    """Alone, in another order, in batches of 2, and with nothing shared, every request is answered alike."""
    requests = [ask(q, seed=s, top_p=0.9) for s in range(4) for q in QUESTIONS]
    requests += [ask(QUESTIONS[3], prefix="I find this answer good because", seed=s) for s in range(4)]
    together = lm.generate(requests)
    assert len({r.text for r in together}) == len(requests)
    assert lm.generate(requests[::-1]) == together[::-1]
    assert [lm.generate([request])[0] for request in requests] == together
    assert HFModel(str(tiny_lm_path), max_batch=2, share=False).generate(requests) == together


def test_a_shared_beginning_changes_no_probability(tiny_lm_path: Path) -> None:
    """The prompts share 40 tokens and more; read once or for each, the logits agree to float32's precision."""
    from sandbox.models.local.batching import Group

    lm = HFModel(str(tiny_lm_path))
    head = lm.tokenizer(" ".join(QUESTIONS), add_special_tokens=False)["input_ids"]
    assert len(head) >= 40
    prompts = [[*head, *range(20, 20 + n)] for n in (2, 5, 9)] + [list(range(30, 90)), [7, 8, 9]]
    alone = [Group((row,), 0) for row in range(5)]
    groups = [Group((0, 1, 2), len(head)), Group((3,), 0), Group((4,), 0)]
    with torch.inference_mode():
        plain = lm._forward.read(prompts, alone, keep=2)
        shared = lm._forward.read(prompts, groups, keep=2)
        token = torch.tensor([11, 12, 13, 14, 15])
        after_plain, after_shared = lm._forward.write(plain, token), lm._forward.write(shared, token)
        one_by_one = [lm.model(torch.tensor([p])).logits[0, -2:] for p in prompts]
    assert torch.allclose(plain.logits, shared.logits, atol=1e-4)
    assert torch.allclose(after_plain.logits, after_shared.logits, atol=1e-4)
    assert torch.allclose(torch.stack(one_by_one), shared.logits, atol=1e-4)


def test_what_all_share_is_read_before_what_some_do(tiny_lm_path: Path) -> None:
    """One beginning for all, a longer one for each of two groups, and a row of its own; against each row alone."""
    from sandbox.models.local.batching import Group

    lm = HFModel(str(tiny_lm_path))
    head = lm.tokenizer(" ".join(QUESTIONS), add_special_tokens=False)["input_ids"]
    first, second = [*head, *range(20, 60)], [*head, *range(60, 70)]
    prompts = [
        [*first, 1, 2, 3],
        [*second, 4, 5],
        [*first, 6, 7, 8, 9],
        [*head, 5, 6, 7],
        [*second, 9, 9, 8],
        [*head, 4, 4, 4],
    ]
    groups = [Group((0, 2), len(first)), Group((1, 4), len(second)), Group((3,), len(head)), Group((5,), len(head))]
    order = [0, 2, 1, 4, 3, 5]
    seen: list[int] = []
    lm.model.register_forward_pre_hook(lambda _, __, given: seen.append(given["input_ids"].numel()), with_kwargs=True)
    with torch.inference_mode():
        shared = lm._forward.read(prompts, groups, keep=2)
        assert seen == [len(head), 4 * 40, 6 * 4]
        one_by_one = [lm.model(input_ids=torch.tensor([prompts[row]])).logits[0, -2:] for row in order]
    assert torch.allclose(torch.stack(one_by_one), shared.logits, atol=1e-4)


def test_different_seeds_give_different_replies(lm: HFModel) -> None:
    replies = lm.generate([ask(QUESTIONS[0], seed=s) for s in range(8)])
    assert len({r.text for r in replies}) == 8


def test_max_tokens_ends_a_reply(lm: HFModel) -> None:
    replies = lm.generate([ask(QUESTIONS[0], max_tokens=n, seed=3) for n in (1, 2, 7)])
    assert [(r.completion_tokens, r.finish_reason) for r in replies] == [(1, "length"), (2, "length"), (7, "length")]


def test_the_end_token_ends_a_reply_and_is_not_part_of_it(make_tiny_lm: Callable[..., Path]) -> None:
    """The model is made to end after the prompt and three tokens."""
    lm = HFModel(str(make_tiny_lm("ends")))
    calls = {"n": 0}
    forward, end = lm.model.forward, lm.tokenizer.eos_token_id

    def ends_after_three(*args: Any, **kwargs: Any) -> Any:
        out = forward(*args, **kwargs)
        calls["n"] += 1
        if calls["n"] == 4:
            out.logits[..., end] = 1e4
        return out

    lm.model.forward = ends_after_three
    [reply] = lm.generate([ask(QUESTIONS[0], max_tokens=50)])
    assert (reply.completion_tokens, reply.finish_reason) == (3, "stop")
    assert "<|end|>" not in reply.text


def test_a_stop_string_ends_a_reply_before_it(lm: HFModel) -> None:
    [free] = lm.generate([ask(QUESTIONS[0], seed=5, max_tokens=20)])
    middle = free.text[len(free.text) // 2 :][:2]
    [cut] = lm.generate([ask(QUESTIONS[0], seed=5, max_tokens=20, stop=("never said", middle))])
    assert cut.text == free.text[: free.text.index(middle)].strip()
    assert cut.finish_reason == "stop"
    assert cut.completion_tokens < free.completion_tokens


def test_a_reply_goes_on_after_its_prefix_without_repeating_it(lm: HFModel) -> None:
    request = ask(QUESTIONS[0], temperature=0.0, prefix="I find this answer")
    [reply] = lm.generate([request])
    ids = prompt_ids(lm, request)
    with torch.inference_mode():
        first = int(lm.model(torch.tensor([ids])).logits[0, -1].argmax())
    assert lm.tokenizer.decode([first]).strip() == reply.text[: len(lm.tokenizer.decode([first]).strip())]
    assert not reply.text.startswith("I find")
    assert lm.generate([replace(request, prefix="I find this answer ")]) == [reply]


def test_progress_counts_every_token_written(lm: HFModel) -> None:
    told: list[int] = []
    lm.generate([ask(q, max_tokens=5) for q in QUESTIONS], on_tokens=told.append)
    assert sum(told) == 25


def test_no_requests_give_no_replies(lm: HFModel) -> None:
    assert lm.generate([]) == []


# -- choosing -------------------------------------------------------------------------------------------------


def test_choices_have_the_models_own_probabilities(lm: HFModel) -> None:
    """This tokenizer writes " 1" as one token and " 5" as two: so P(choice) is worked out token by token.

    P(c) = exp(sum of nats of c's tokens) / sum over choices of the same.
    """
    request = ask(QUESTIONS[1], prefix="Rating:", choices=tuple("1234567"))
    [reply] = lm.generate([request])
    context = prompt_ids(lm, request)
    whole = [
        lm.tokenizer(render(lm.tokenizer, request.messages, f"Rating: {c}"), add_special_tokens=False)
        for c in "1234567"
    ]
    endings = [list(w["input_ids"])[len(context) :] for w in whole]
    assert {len(e) for e in endings} == {1, 2}
    nats = [sum_of_nats(lm, context, e) for e in endings]
    total = sum(map(math.exp, nats))
    assert reply.choice_probs is not None
    assert list(reply.choice_probs.values()) == pytest.approx([math.exp(n) / total for n in nats], abs=1e-5)
    assert sum(reply.choice_probs.values()) == pytest.approx(1.0)
    assert reply.text == max(reply.choice_probs, key=lambda c: reply.choice_probs[c])
    assert (reply.completion_tokens, reply.finish_reason) == (0, "stop")


def test_choices_of_several_words(lm: HFModel) -> None:
    request = ask(QUESTIONS[2], choices=("the answer is good", "the answer is bad", "no"))
    [reply] = lm.generate([request])
    context = prompt_ids(lm, request)
    nats = [sum_of_nats(lm, context, lm.tokenizer(c)["input_ids"]) for c in request.choices]
    total = sum(map(math.exp, nats))
    assert reply.choice_probs == pytest.approx(
        {c: math.exp(n) / total for c, n in zip(request.choices, nats, strict=True)}, abs=1e-6
    )


def test_a_choice_that_begins_another_is_told_from_it_by_the_end(lm: HFModel) -> None:
    request = ask(QUESTIONS[1], choices=("4", "44"))
    [reply] = lm.generate([request])
    context, end = prompt_ids(lm, request), lm.tokenizer.eos_token_id
    nats = [sum_of_nats(lm, context, [*lm.tokenizer(c)["input_ids"], end]) for c in request.choices]
    expected = math.exp(nats[0]) / sum(map(math.exp, nats))
    assert reply.choice_probs is not None
    assert reply.choice_probs["4"] == pytest.approx(expected, abs=1e-6)


def test_choices_do_not_depend_on_the_batch(lm: HFModel, tiny_lm_path: Path) -> None:
    requests = [ask(q, prefix="Rating:", choices=tuple("1234567")) for q in QUESTIONS]
    together = lm.generate(requests)
    unshared = HFModel(str(tiny_lm_path), share=False, max_batch=3)
    for same in (
        [lm.generate([request])[0] for request in requests],
        lm.generate(requests[::-1])[::-1],
        unshared.generate(requests),
    ):
        for a, b in zip(together, same, strict=True):
            assert a.choice_probs == pytest.approx(b.choice_probs, abs=1e-5)


def test_one_choice_is_certain(lm: HFModel) -> None:
    [reply] = lm.generate([ask("x", choices=("yes",))])
    assert (reply.text, reply.choice_probs) == ("yes", {"yes": 1.0})


# -- failing --------------------------------------------------------------------------------------------------


def test_a_bad_request_fails_alone_and_says_why(make_tiny_lm: Callable[..., Path]) -> None:
    """The model reads 64 tokens; the second prompt has more, the others lack sense in one way each."""
    lm = HFModel(str(make_tiny_lm("short", positions=64)))
    good = ask("May I lie?", max_tokens=4)
    bad = [
        (ask("lie " * 100), "the model reads 64 with its reply"),
        (replace(good, max_tokens=0), "max_tokens is 0, expected at least 1"),
        (replace(good, temperature=-1.0), "temperature is -1.0, expected 0 or more"),
        (replace(good, top_p=0.0), "top_p is 0.0, expected more than 0 and at most 1"),
        (replace(good, choices=("a", "a")), "two of the choices are the same"),
        (replace(good, stop=("",)), "a stop string is empty"),
    ]
    replies = lm.generate([good, *(request for request, _ in bad), good])
    assert replies[0] == replies[-1] == lm.generate([good])[0]
    assert replies[0].error is None
    for (_, words), reply in zip(bad, replies[1:-1], strict=True):
        assert reply.error is not None
        assert words in reply.error
        assert (reply.text, reply.finish_reason) == ("", "error")


def test_a_reply_is_cut_where_the_model_can_read_no_further(make_tiny_lm: Callable[..., Path]) -> None:
    lm = HFModel(str(make_tiny_lm("short", positions=64)))
    [reply] = lm.generate([ask("May I lie?", max_tokens=500)])
    assert reply.prompt_tokens + reply.completion_tokens == 64
    assert reply.finish_reason == "length"


def test_a_request_that_breaks_the_model_does_not_take_others_with_it(
    lm: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [ask(f"{q} {n}", seed=n) for n, q in enumerate(QUESTIONS)]
    expected = lm.generate(requests)
    poison = prompt_ids(lm, requests[2])
    forward = lm.model.forward

    def breaks_on_one_prompt(input_ids: Any, **kwargs: Any) -> Any:
        if any(row.tolist()[-len(poison) :] == poison for row in input_ids):
            raise IndexError("index out of range in self")
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(lm.model, "forward", breaks_on_one_prompt)
    got = lm.generate(requests)
    assert got[2] == Reply("", None, len(poison), 0, "error", "IndexError: index out of range in self")
    assert got[:2] + got[3:] == expected[:2] + expected[3:]


def test_out_of_memory_halves_the_batch_and_goes_on(
    tiny_lm_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory for 4 rows; 10 requests at once halve to 5, then to 2, and every later batch has 2 from the start."""
    lm = HFModel(str(tiny_lm_path), share=False)
    requests = [ask(f"{q} {n}", seed=n, max_tokens=3) for n in range(2) for q in QUESTIONS]
    expected = lm.generate(requests)
    forward, sizes = lm.model.forward, []

    def has_memory_for_four_rows(input_ids: Any, **kwargs: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes")
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(lm.model, "forward", has_memory_for_four_rows)
    with caplog.at_level(logging.WARNING):
        assert lm.generate(requests) == expected
    assert sizes[:2] == [10, 5]
    assert set(sizes[2:]) == {2}
    assert "out of memory with 5 requests at once; going on with 2" in caplog.text


def test_a_request_too_large_for_the_memory_fails_alone(tiny_lm_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = HFModel(str(tiny_lm_path))
    forward = lm.model.forward

    def has_no_memory_for_long_rows(input_ids: Any, **kwargs: Any) -> Any:
        if input_ids.shape[1] > 60:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(lm.model, "forward", has_no_memory_for_long_rows)
    replies = lm.generate([ask("May I lie?"), ask("lie " * 60)])
    assert replies[0].error is None
    assert replies[1].error == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"


# -- loading --------------------------------------------------------------------------------------------------


def test_what_is_known_of_a_loaded_model(lm: HFModel, tiny_lm_path: Path, make_tiny_lm: Callable[..., Path]) -> None:
    assert lm.uri == f"hf:{tiny_lm_path}"
    assert lm.default_rater == "lm"
    assert lm.count_tokens("5") == 1
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
    assert lm._row(request).stop == ("### Instruction:", "### Response:")


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
    with pytest.raises(ModelNotFound, match="name each other in a circle"):
        HFModel(str(tmp_path / "adapter"))


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("./nowhere", "'./nowhere' is not a folder, nor the name of a model on the hub"),
        ("/nowhere/at/all", "is not a folder"),
        ("smollm", "nor the bundled 'smollm2'"),
        ("someone/some-model", "cannot be had from the model hub"),
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
    with pytest.raises(ModelNotFound, match="cannot be loaded as a causal language model"):
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


def test_rows_of_many_lengths_are_read_in_pieces_and_their_replies_are_as_alone(lm: HFModel) -> None:
    """Lengths from a few to some hundred tokens behind one beginning; the pieces' keys and values are put together."""
    lead = "Everybody in the village knows the rules, and nobody says who made them or when that was. "
    requests = [ask(lead + "word " * (9 * n), seed=n) for n in range(24)]
    requests += [ask(lead + "word " * (9 * n), choices=("yes", "no", "never said so")) for n in range(12)]
    ids = [lm._row(request).ids if not request.choices else () for request in requests[:24]]
    assert len(_pieces([len(one) for one in ids], 1)) == 3
    together = lm.generate(requests)
    alone = [lm.generate([request])[0] for request in requests]
    assert [r.text for r in together] == [r.text for r in alone]
    for one, other in zip(together[24:], alone[24:], strict=True):
        assert one.choice_probs == pytest.approx(other.choice_probs, abs=1e-6)


def test_rows_of_one_length_are_read_at_once() -> None:
    assert len(_pieces([100] * 32, 1)) == 1
    assert len(_pieces([100, 90, 95], 1)) == 1
    assert [len(piece) for piece in _pieces([*range(100, 132)], 1)] == [32]
    assert [len(piece) for piece in _pieces([*range(20, 148, 4)], 1)] == [8] * 4
    assert len(_pieces([*range(1, 129, 4)], 3)) == 1  # scored columns must not reach into the padding
