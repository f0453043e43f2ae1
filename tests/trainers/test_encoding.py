from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from sandbox.models.local.chat_template import render
from trainers.likelihood.tokenization import Encoder, length_limit

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
    assert +encoder.cut == {"answers cut at their end": 1, "rows cut": 1}


def words(tokenizer, ids):
    return tokenizer.decode(ids)


def test_long_prompts_lose_their_earliest_turns_and_keep_the_system_message(tokenizer):
    """Of 60 tokens the prompt may keep 60 less the longest answer; turns go by question and answer."""
    system = {"role": "system", "content": "You are kind."}
    said = [
        ("user", "First? " * 9),
        ("assistant", "Indeed. " * 9),
        ("user", "Second?"),
        ("assistant", "So."),
        ("user", "Third?"),
    ]
    messages = [system, *({"role": role, "content": content.strip()} for role, content in said)]
    encoder = Encoder(tokenizer, 60)
    prompt, (answer,) = encoder.encode(messages, ["Yes, talk."])
    assert words(tokenizer, prompt) == render(tokenizer, [system, *messages[3:]])
    assert words(tokenizer, answer) == "Yes, talk.<|end|>"
    assert +encoder.cut == {"prompts cut to their latest turns": 1, "rows cut": 1}
    assert encoder.cut_note() == (
        "1 of 1 rows (100.0%) are longer than max_length=60 tokens and were cut: 1 prompts cut to their latest turns"
    )


def test_a_long_last_turn_loses_its_beginning_and_nothing_of_the_template(tokenizer):
    """The prompt is as long as may be, within a token or so; at least half of max_length is the prompt's."""
    messages = [{"role": "system", "content": "You are kind."}, {"role": "user", "content": QUESTION * 9 + " Now?"}]
    opening, _, closing = render(tokenizer, [messages[0], {"role": "user", "content": "@"}]).partition("@")
    encoder = Encoder(tokenizer, 60)
    prompt, answers = encoder.encode(messages, ["Yes, talk."])
    text = words(tokenizer, prompt)
    assert text.startswith(opening)
    assert text.endswith(f" Now?{closing}")
    assert text[len(opening) : -len(closing)] in messages[1]["content"]
    assert 55 <= len(prompt) + len(answers[0]) <= 60
    prompt, (cut,) = encoder.encode(messages, ["good " * 60])
    assert (25 <= len(prompt) <= 30, len(prompt) + len(cut)) == (True, 60)
    assert +encoder.cut == {
        "prompts cut at the beginning of their last turn": 2, "answers cut at their end": 1, "rows cut": 2,
    }  # fmt: skip
    assert words(tokenizer, encoder.encode(QUESTION, ["Yes."])[0]) == render(
        tokenizer, [{"role": "user", "content": QUESTION}]
    )
    assert encoder.cut_note().startswith(
        "2 of 3 rows (66.7%) are longer than max_length=60 tokens and were cut: 2 prompts cut"
    )


def test_a_system_message_that_leaves_no_room_is_cut_too(tokenizer):
    messages = [{"role": "system", "content": QUESTION * 9}, {"role": "user", "content": "Hm?"}]
    prompt, (answer,) = Encoder(tokenizer, 40).encode(messages, ["Yes."])
    assert len(prompt) + len(answer) == 40
    assert words(tokenizer, prompt).endswith(render(tokenizer, messages)[-20:])


def test_a_model_with_fewer_positions_limits_the_length(tiny_lm_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_lm_path)
    positions = model.config.max_position_embeddings
    assert length_limit(model, positions + 1) == positions
    assert length_limit(model, positions - 1) == positions - 1


def test_the_token_that_begins_every_text_stays(tokenizer):
    with_start = AutoTokenizer.from_pretrained(tokenizer.name_or_path, bos_token="<|system|>")
    with_start.chat_template = "<|system|>{{ messages[0]['content'] }}<|assistant|>"
    whole, _ = Encoder(with_start, 1000).encode(QUESTION * 5, ["Yes."])
    prompt, (answer,) = Encoder(with_start, 40).encode(QUESTION * 5, ["Yes."])
    assert prompt[0] == whole[0] == with_start.bos_token_id
    assert with_start.decode(whole).endswith(with_start.decode(prompt[1:]))
    assert 35 <= len(prompt) + len(answer) <= 40


def test_answers_that_are_equal_after_the_cut_are_counted(tokenizer):
    encoder = Encoder(tokenizer, 40)
    encoder.encode("Hm?", ["good " * 60 + "yes", "good " * 60 + "no"])
    assert encoder.cut_note().endswith(": 2 answers cut at their end, 1 rows with equal answers after the cut")
