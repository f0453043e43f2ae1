"""Reward models as they are published: with and without padding token, chat template and head."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from sandbox.errors import ModelNotFound
from sandbox.raters.reward import RewardRater

pytestmark = pytest.mark.needs_torch

SEVEN: Any = SimpleNamespace(scale=7)
ITEMS = [("May I lie?", "Seldom."), ("May I ask you for help?", "Of course, at any time of the day, my friend.")]
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 400,
}


@pytest.fixture
def make_judge(tmp_path: Path, tiny_lm_path: Path) -> Callable[..., Path]:
    """Saves a tiny classifier of random weights with one output."""

    def make(
        *, pad: int | None = 0, chat: bool = True, encoder: bool = False, positions: int = 512, **tokens: Any
    ) -> Path:
        tokenizer = AutoTokenizer.from_pretrained(tiny_lm_path)
        for name, token in tokens.items():
            setattr(tokenizer, name, token)
        if not chat:
            tokenizer.chat_template = None
        given: dict[str, Any] = {**SMALL, "num_labels": 1, "initializer_range": 0.4, "pad_token_id": pad}
        torch.manual_seed(0)
        if encoder:
            model: Any = BertForSequenceClassification(BertConfig(**given, max_position_embeddings=positions))
        else:
            model = LlamaForSequenceClassification(LlamaConfig(**given, max_position_embeddings=positions))
        model.save_pretrained(tmp_path / "judge")
        tokenizer.save_pretrained(tmp_path / "judge")
        return tmp_path / "judge"

    return make


def seen(rater: RewardRater, items: list[tuple[str, str]]) -> list[str]:
    """The texts that a reward model is given, without padding."""
    found: list[str] = []
    forward = rater._model.forward

    def spy(**given: Any) -> Any:
        for ids, mask in zip(given["input_ids"], given["attention_mask"], strict=True):
            found.append(rater._tokenizer.decode(ids[mask.bool()]))
        return forward(**given)

    rater._model.forward = spy
    rater.rate(items, rater_of=SEVEN)
    return found


def by_hand(rater: RewardRater, text: str) -> float:
    """1 + 6 p, p being the logistic function of the logit of one text alone."""
    with torch.inference_mode():
        logit = float(rater._model(**rater._tokenizer(text, add_special_tokens=False, return_tensors="pt")).logits)
    return 1 + 6 / (1 + math.exp(-logit))


def test_question_and_answer_are_rendered_by_the_chat_template(make_judge: Callable[..., Path]) -> None:
    rater = RewardRater(str(make_judge()))
    assert seen(rater, ITEMS) == [f"<|user|>{q}<|end|><|assistant|>{a}<|end|>" for q, a in ITEMS]
    assert rater.notes == []


def test_a_template_gets_no_special_tokens_twice(make_judge: Callable[..., Path]) -> None:
    folder = make_judge(bos_token="<|system|>")
    template = "{{ bos_token }}" + (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template)
    assert seen(RewardRater(str(folder)), ITEMS[:1]) == [
        "<|system|><|user|>May I lie?<|end|><|assistant|>Seldom.<|end|>"
    ]


def test_without_a_template_an_encoder_reads_a_pair(make_judge: Callable[..., Path]) -> None:
    rater = RewardRater(str(make_judge(chat=False, encoder=True, sep_token="<|end|>")))
    assert [len(part) for part in rater._texts(ITEMS)] == [2, 2]
    assert rater.notes == []
    assert len(rater.rate(ITEMS, rater_of=SEVEN)) == 2


def test_without_a_template_a_decoder_reads_an_empty_line_between_and_says_so(
    make_judge: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_judge(chat=False)
    rater = RewardRater(str(folder))
    assert seen(rater, ITEMS) == [f"{q}\n\n{a}" for q, a in ITEMS]
    assert rater.notes == caplog.messages == [
        f"reward model {folder} has neither a chat template nor a separator: it reads questions and answers with an empty line "
        "between them"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pad", "tokens", "batch_size"),
    [
        (None, {"pad_token": None}, 1),
        (None, {"pad_token": "<|end|>"}, 1),
        (None, {}, 16),
        (0, {"pad_token": None}, 16),
        (0, {}, 16),
    ],
)
def test_padding_changes_no_rating(
    make_judge: Callable[..., Path], pad: int | None, tokens: Any, batch_size: int
) -> None:
    """Where neither side names a padding token, or it is one that texts end with, texts are rated one by one."""
    rater = RewardRater(str(make_judge(pad=pad, **tokens)))
    assert rater.batch_size == batch_size
    found = [rating.value for rating in rater.rate(ITEMS, rater_of=SEVEN)]
    texts = [f"<|user|>{q}<|end|><|assistant|>{a}<|end|>" for q, a in ITEMS]
    assert found == pytest.approx([by_hand(rater, text) for text in texts], abs=1e-4)
    assert found[0] != found[1]


def test_texts_that_are_too_long_lose_their_beginning_and_this_is_said_once(
    make_judge: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_judge(positions=16)
    rater = RewardRater(str(folder))
    items = [("Why? " * 40, "Because it is so."), ("Why?", "So.")]
    long, short = seen(rater, items)
    assert long.endswith("Because it is so.<|end|>")
    assert not long.startswith("<|user|>")
    assert short == "<|user|>Why?<|end|><|assistant|>So.<|end|>"
    rater.rate(items, rater_of=SEVEN)
    assert caplog.messages == [
        f"reward model {folder} reads at most 16 tokens: 1 of 2 texts lost their beginning; later ones do as well"
    ]


def test_a_language_model_has_no_reward_head(tiny_lm_path: Path) -> None:
    with pytest.raises(
        ModelNotFound, match="it is a LlamaForCausalLM, without a reward head. To rate by asking a language"
    ):
        RewardRater(str(tiny_lm_path))


def test_a_head_that_is_not_among_the_weights_is_not_made_up(tiny_lm_path: Path, make_tiny_lm: Any) -> None:
    folder = make_tiny_lm("headless")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": None}))
    with pytest.raises(ModelNotFound, match=r"its weights lack score\.weight, so that its ratings would be random"):
        RewardRater(str(folder))


def test_an_adapter_says_how_to_merge_it(make_judge: Callable[..., Path]) -> None:
    folder = make_judge()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(
        ModelNotFound, match="it is an adapter. Merge it first: peft.AutoPeftModelForSequenceClassification"
    ):
        RewardRater(str(folder))


def test_damaged_weights_are_named(make_judge: Callable[..., Path]) -> None:
    file = make_judge() / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelNotFound, match=r"model\.safetensors cannot be read as weights: it is incomplete"):
        RewardRater(str(file.parent))
