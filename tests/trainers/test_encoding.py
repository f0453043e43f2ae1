from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from sandbox.models.local.chat_template import render
from trainers.likelihood.tokenization import Encoder

pytestmark = pytest.mark.needs_torch

QUESTION = "How do I get on with the people next door?"


@pytest.fixture(scope="module")
def tokenizer(tiny_lm_path):
    return AutoTokenizer.from_pretrained(tiny_lm_path)


def test_prompts_are_what_the_model_is_spoken_to_with(tokenizer):
    messages = [{"role": "system", "content": "You are kind."}, {"role": "user", "content": QUESTION}]
    prompt, _ = Encoder(tokenizer, 360).encode(messages, [])
    assert prompt == tokenizer(render(tokenizer, messages), add_special_tokens=False)["input_ids"]
    assert Encoder(tokenizer, 360).encode(QUESTION, []) == Encoder(tokenizer, 360).encode(messages[1:], [])


def test_answers_end_with_the_end_token_once(tokenizer):
    _, (answer, same) = Encoder(tokenizer, 360).encode(
        QUESTION, ["  Talk to them. ", [{"role": "assistant", "content": "Talk to them."}]]
    )
    assert tokenizer.decode(answer) == "Talk to them.<|end|>"
    assert answer == same
    assert answer.count(tokenizer.eos_token_id) == 1


def test_models_without_a_template_of_their_own_read_alpacas(make_tiny_lm):
    bare = AutoTokenizer.from_pretrained(make_tiny_lm("bare", chat=False))
    prompt, (answer,) = Encoder(bare, 360).encode(QUESTION, ["Talk."])
    assert bare.decode(prompt).endswith(f"### Instruction:\n{QUESTION}\n\n### Response:\n")
    assert bare.decode(answer) == "Talk.<|end|>"


def test_long_answers_lose_their_end_and_their_end_token(tokenizer):
    encoder = Encoder(tokenizer, 40)
    whole, (long, short) = Encoder(tokenizer, 1000).encode("Hm?", ["good " * 60, "Yes."])
    prompt, answers = encoder.encode("Hm?", ["good " * 60, "Yes."])
    assert prompt == whole
    assert answers == [long[: 40 - len(whole)], short]
    assert +encoder.cut == {"answers cut at their end": 1}


def test_long_prompts_lose_their_beginning_but_leave_the_answers_room(tokenizer):
    """Of 40 tokens the prompt may keep 40 less the longest answer, though at least 20."""
    whole, (answer,) = Encoder(tokenizer, 1000).encode(QUESTION * 5, ["Yes, talk."])
    encoder = Encoder(tokenizer, 40)
    prompt, answers = encoder.encode(QUESTION * 5, ["Yes, talk."])
    assert prompt == whole[-(40 - len(answer)) :]
    assert answers == [answer]
    prompt, (cut,) = encoder.encode(QUESTION * 5, ["good " * 60])
    assert (prompt, len(cut)) == (whole[-20:], 20)
    assert +encoder.cut == {"prompts cut at their beginning": 2, "answers cut at their end": 1}


def test_the_token_that_begins_every_text_stays(tokenizer):
    with_start = AutoTokenizer.from_pretrained(tokenizer.name_or_path, bos_token="<|system|>")
    with_start.chat_template = "<|system|>{{ messages[0]['content'] }}<|assistant|>"
    whole, _ = Encoder(with_start, 1000).encode(QUESTION * 5, ["Yes."])
    prompt, (answer,) = Encoder(with_start, 40).encode(QUESTION * 5, ["Yes."])
    assert prompt[0] == whole[0] == with_start.bos_token_id
    assert prompt[1:] == whole[-(40 - len(answer) - 1) :]
