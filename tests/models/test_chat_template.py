"""Chat templates as models are published with: ends of turns, missing end tokens, no system role, strict order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from sandbox.errors import ChatTemplateError
from sandbox.models.base import Message, Request
from sandbox.models.local.chat_template import end_of_turn, render, takes_system
from sandbox.models.local.hf import HFModel, _ends
from sandbox.models.local.loading import load
from sandbox.models.local.ollama import modelfile
from sandbox.testing.tiny import CHAT_TEMPLATE

pytestmark = pytest.mark.needs_torch

NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + CHAT_TEMPLATE
)
DROPS_SYSTEM = CHAT_TEMPLATE.replace("in messages %}", "in messages if message['role'] != 'system' %}")
ALTERNATES = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% endfor %}"
    + CHAT_TEMPLATE
)
SYSTEM, USER = Message("system", "Be kind."), Message("user", "Hi")


@pytest.fixture
def tokenizer(tiny_lm_path: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_lm_path)


def without_eos(folder: Path) -> Path:
    """Take the end token out of the files of a model."""
    for name, key in (("tokenizer_config.json", "eos_token"), ("config.json", "eos_token_id")):
        file = folder / name
        file.write_text(json.dumps({**json.loads(file.read_text()), key: None}))
    file = folder / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token_id": None}))
    return folder


@pytest.mark.parametrize(
    ("ending", "end"),
    [
        ("<|end|>", "<|end|>"),
        ("<|end|>\n", "<|end|>"),
        (" <|end|>", "<|end|>"),
        ("<|end|><|pad|>", "<|end|>"),
        ("{{ eos_token }}", "<|eos|>"),
        ("\n\n", "<|eos|>"),
    ],
)
def test_a_turn_ends_with_the_token_of_the_template_and_not_of_texts(tokenizer: Any, ending: str, end: str) -> None:
    """As in Gemma, Phi-3 and Qwen, whose ``eos_token`` ends texts, and another token ends turns."""
    tokenizer.add_special_tokens({"eos_token": "<|eos|>"})
    tokenizer.chat_template = CHAT_TEMPLATE.replace("<|end|>{% endfor", ending + "{% endfor")
    assert end_of_turn(tokenizer) == end


def test_an_end_token_that_is_missing_is_never_the_word_none(tokenizer: Any) -> None:
    tokenizer.eos_token = None
    assert end_of_turn(tokenizer) == "<|end|>"
    tokenizer.chat_template = None
    assert end_of_turn(tokenizer) == ""
    assert "PARAMETER stop" not in modelfile(tokenizer)
    assert "None" not in modelfile(tokenizer)


def test_replies_stop_at_the_end_of_a_turn_and_of_a_text(tiny_lm_path: Path) -> None:
    loaded = load(str(tiny_lm_path), device="cpu", dtype="float32")
    loaded.tokenizer.eos_token = "<|system|>"
    ids = loaded.tokenizer.convert_tokens_to_ids(["<|end|>", "<|system|>", "<|pad|>"])
    assert set(ids) <= _ends(loaded.model, loaded.tokenizer)


def test_a_tokenizer_without_end_gets_that_of_its_template_and_says_so(
    make_tiny_lm: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = without_eos(make_tiny_lm("bare"))
    lm = HFModel(str(folder))
    assert lm.tokenizer.eos_token == "<|end|>"
    assert lm.notes == caplog.messages == [
        f"the tokenizer of {folder} names no end token; replies end with '<|end|>', as in its chat template"
    ]  # fmt: skip
    reply = lm.generate([Request((USER,), max_tokens=4)])[0]
    assert reply.error is None
    rated = lm.generate([Request((USER,), choices=("1", "10"))])[0]
    assert rated.error is None


def test_without_any_end_token_this_is_said_with_what_to_do(make_tiny_lm: Callable[..., Path]) -> None:
    folder = without_eos(make_tiny_lm("bare", chat=False))
    lm = HFModel(str(folder))
    assert lm.notes == [
        f"the tokenizer of {folder} names no end token, so that replies end at their longest and none is learnt; set "
        "eos_token in its tokenizer_config.json"
    ]
    assert lm.generate([Request((USER,), max_tokens=4)])[0].error is None


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM, ALTERNATES])
def test_words_of_the_system_go_before_the_first_turn_where_it_has_no_role(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    assert not takes_system(tokenizer)
    assert render(tokenizer, [SYSTEM, USER]) == "<|user|>Be kind.\n\nHi<|end|><|assistant|>"
    assert render(tokenizer, [USER]) == "<|user|>Hi<|end|><|assistant|>"


def test_a_template_with_a_system_role_is_given_it(tokenizer: Any) -> None:
    assert takes_system(tokenizer)
    assert render(tokenizer, [SYSTEM, USER]) == "<|system|>Be kind.<|end|><|user|>Hi<|end|><|assistant|>"


def test_turns_of_one_speaker_are_joined_where_they_must_alternate(tokenizer: Any) -> None:
    tokenizer.chat_template = ALTERNATES
    assert render(tokenizer, [USER, USER]) == "<|user|>Hi\n\nHi<|end|><|assistant|>"
    assert render(tokenizer, [Message("assistant", "Yes?"), USER]) == (
        "<|user|><|end|><|assistant|>Yes?<|end|><|user|>Hi<|end|><|assistant|>"
    )


def test_a_template_that_refuses_everything_is_named(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ raise_exception('No talk') }}"
    with pytest.raises(
        ChatTemplateError, match=r"refuses a conversation of the turns system, user: No talk\. Correct "
    ):
        render(tokenizer, [SYSTEM, USER])


def test_a_model_without_a_system_role_says_so_once(
    make_tiny_lm: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_tiny_lm("strict")
    (folder / "chat_template.jinja").write_text(ALTERNATES)
    lm = HFModel(str(folder))
    assert [lm.generate([Request((SYSTEM, USER), max_tokens=4)])[0].error for _ in range(2)] == [None, None]
    assert caplog.messages == [
        f"the chat template of {folder} takes no system messages: system messages are put before the first user turn, and "
        "turns of one speaker in a row are joined"
    ]
