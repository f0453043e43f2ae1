from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sandbox.models.base import Message, Reply, Request
from sandbox.models.local.chat_template import render
from sandbox.models.local.forward import _pieces
from sandbox.models.local.hf import HFModel

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
        (ask("lie " * 100), "the context of the model is 64 tokens"),
        (replace(good, max_tokens=0), "max_tokens is 0, expected at least 1"),
        (replace(good, temperature=-1.0), "temperature is -1.0, expected 0 or more"),
        (replace(good, top_p=0.0), "top_p is 0.0, expected more than 0 and at most 1"),
        (replace(good, choices=("a", "a")), "two of the choices are equal"),
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
    assert "out of memory with batches of 5 requests; continuing with 2" in caplog.text


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


def test_rows_of_many_lengths_are_read_in_pieces_and_their_replies_are_as_alone(lm: HFModel) -> None:
    """Lengths from a few to some hundred tokens behind one beginning; the pieces' keys and values are put together."""
    lead = "Everybody in the village knows the rules, and nobody says who made them or when that was. "
    requests = [ask(lead + "word " * (9 * n), seed=n) for n in range(24)]
    requests += [ask(lead + "word " * (9 * n), choices=("yes", "no", "never said so")) for n in range(12)]
    ids = [lm._encoder.row(request).ids if not request.choices else () for request in requests[:24]]
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
