"""Likelihoods of answers: both layouts and the head on answer tokens alone, against whole logits."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM, MistralConfig, MistralForCausalLM

from trainers.likelihood.answer_nll import add_answer_nll, can_share_prompts, token_nll
from trainers.likelihood.collation import Collator

pytestmark = pytest.mark.needs_torch

QUESTIONS = [
    {"prompt_ids": [5, 9, 7], "answer_ids": [[11, 12, 1], [13, 1], [1]], "ratings": [6.0, 4.0, 2.0], "scale": 7.0},
    {"prompt_ids": [5, 8, 9, 10, 6, 7], "answer_ids": [[21, 22, 23, 24, 1]], "ratings": [5.0], "scale": 10.0},
]


def directly(model, questions):
    """Each answer by itself behind its prompt, from whole logits."""
    found = []
    for question in questions:
        for answer in question["answer_ids"]:
            ids = torch.tensor([question["prompt_ids"] + answer])
            logits = model(input_ids=ids).logits[0, :-1].log_softmax(dim=-1)
            of_tokens = logits.gather(1, ids[0, 1:, None])[len(question["prompt_ids"]) - 1 :]
            found.append(-of_tokens.mean())
    return torch.stack(found)


@pytest.fixture
def model(tiny_lm_path):
    return AutoModelForCausalLM.from_pretrained(tiny_lm_path)


def test_shared_layout_by_hand():
    """Prompt 5 9 7, answers 11 12 1 and 13 1: the last token of each is predicted and not read.

    Columns: 5 9 7 | 11 12 | 13. Answer tokens are predicted from column 2 (7), 3 (11), 4 (12); and 2 (7), 5 (13).
    """
    question = {"prompt_ids": [5, 9, 7], "answer_ids": [[11, 12, 1], [13, 1]], "ratings": [6, 4], "scale": 7}
    batch = Collator(pad=0, shared=True)([question])
    inputs = batch["model"]
    assert inputs["input_ids"].tolist() == [[5, 9, 7, 11, 12, 13]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 3, 4, 3]]
    assert inputs["answer_positions"].tolist() == [2, 3, 4, 2, 5]
    assert inputs["answer_targets"].tolist() == [11, 12, 1, 13, 1]
    assert inputs["answer_owner"].tolist() == [0, 0, 0, 1, 1]
    assert inputs["attention_mask"][0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1],
    ]
    assert batch["num_tokens"] == 6 + 5


def test_ratings_and_mask_are_filled_up_to_the_most_answers():
    batch = Collator(pad=0, shared=False)(QUESTIONS)
    assert batch["ratings"].tolist() == [[6.0, 4.0, 2.0], [5.0, 0.0, 0.0]]
    assert batch["mask"].tolist() == [[True, True, True], [True, False, False]]
    assert batch["scale"].tolist() == [7.0, 10.0]
    assert batch["model"]["n_answers"] == 4


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_both_layouts_agree_with_whole_logits(tiny_lm_path, shared, attention):
    """Values and gradients; padding and neighbouring answers have no part in them."""
    model = AutoModelForCausalLM.from_pretrained(tiny_lm_path, attn_implementation=attention).double()
    weight = torch.tensor([1.0, -0.5, 2.0, 0.25], dtype=torch.float64)
    expected = directly(model, QUESTIONS)
    (expected * weight).sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    add_answer_nll(model)
    found = model(**Collator(pad=0, shared=shared)(QUESTIONS)["model"])
    (found * weight).sum().backward()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6, check_dtype=False)
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(p.grad, gradient, atol=1e-5, rtol=1e-5)


def test_called_without_answers_a_patched_model_is_the_original(model):
    ids = torch.tensor([[5, 6, 7]])
    before = model(input_ids=ids).logits
    add_answer_nll(model)
    assert torch.equal(model(input_ids=ids).logits, before)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_token_nll_is_cross_entropy(frozen, bias):
    """With a frozen head the gradient is taken on the way forward; chunks of 4 over 10 tokens end unevenly."""
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 9, bias=bias).double().requires_grad_(not frozen)
    hidden = torch.randn(10, 6, dtype=torch.float64, requires_grad=True)
    targets, weights = torch.randint(0, 9, (10,)), torch.linspace(-1, 2, 10, dtype=torch.float64)
    expected = F.cross_entropy(head(hidden), targets, reduction="none")
    learning = [hidden, *(p for p in head.parameters() if p.requires_grad)]
    gradients = torch.autograd.grad((expected * weights).sum(), learning)
    found = token_nll(hidden, head, targets, chunk=4)
    (found * weights).sum().backward()
    torch.testing.assert_close(found, expected, check_dtype=False, atol=1e-6, rtol=1e-6)
    for tensor, gradient in zip(learning, gradients, strict=True):
        torch.testing.assert_close(tensor.grad, gradient, atol=1e-6, rtol=1e-6)
    assert (head.weight.grad is None) == frozen
    with torch.no_grad():
        torch.testing.assert_close(token_nll(hidden, head, targets), expected.detach(), check_dtype=False)


SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
    "bos_token_id": 2,
    "eos_token_id": 1,
}


def test_a_model_that_caps_its_logits_keeps_its_own_head():
    """Gemma 2 squeezes logits through tanh after the head: the head alone would be another model."""
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(Gemma2Config(**SMALL, final_logit_softcapping=2.0)).eval()
    expected = directly(model, QUESTIONS)
    add_answer_nll(model)
    for shared in (False, True):
        found = model(**Collator(pad=0, shared=shared)(QUESTIONS)["model"])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_models_that_see_a_window_only_do_not_share_prompts(model):
    """A window of 3 tokens on answers of up to 8; a window that no answer can reach beyond does no harm."""
    add_answer_nll(model)
    assert can_share_prompts(model, max_length=360)
    torch.manual_seed(0)
    narrow = MistralForCausalLM(MistralConfig(**SMALL, sliding_window=3)).eval()
    add_answer_nll(narrow)
    assert not can_share_prompts(narrow, max_length=8)
    wide = MistralForCausalLM(MistralConfig(**SMALL, sliding_window=32)).eval()
    add_answer_nll(wide)
    assert can_share_prompts(wide, max_length=32)
    assert not can_share_prompts(wide, max_length=33)


def test_models_that_place_tokens_by_column_do_not_share_prompts(model):
    """The second answer stands further right than behind its prompt; only positions say where it belongs."""
    inner = model.base_model.forward
    model.base_model.forward = lambda *args, position_ids=None, **kwargs: inner(*args, **kwargs)
    add_answer_nll(model)
    assert not can_share_prompts(model, max_length=16)
