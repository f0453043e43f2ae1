"""Training on models as they are published: without an end or padding token, without a system role, with odd vocabularies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from sandbox.errors import ChatTemplateError, SettingsError, TrainingDataError
from sandbox.models.local.loading import load
from sandbox.testing import tiny_rows
from sandbox.testing.tiny import CHAT_TEMPLATE
from trainers import RowKind, load_trainer
from trainers.finetuning.policy import load_policy
from trainers.likelihood.tokenization import Encoder, encoder_for
from trainers.rows.validation import row_fault
from trainers.settings import TrainingSettings

pytestmark = pytest.mark.needs_torch

NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + CHAT_TEMPLATE
)
TALK = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "May I lie?"}]


def edit(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def without_special_tokens(folder: Path) -> Path:
    edit(folder / "tokenizer_config.json", eos_token=None, pad_token=None)
    for name in ("config.json", "generation_config.json"):
        edit(folder / name, eos_token_id=None, pad_token_id=None)
    return folder


@pytest.mark.parametrize(
    ("trainer", "rows"),
    [
        ("sft", "demonstrations"),
        ("dpo", "preferences"),
        ("orpo", "preferences"),
        ("kto", "unpaired"),
        ("hindsight", "ranked"),
        ("rrhf", "ranked"),
        ("stable_alignment", "ranked"),
    ],
)
def test_every_trainer_learns_without_end_and_padding_tokens(
    make_tiny_lm: Callable[..., Path], tmp_path: Path, trainer: str, rows: str
) -> None:
    """Nothing ends a reply here: neither a template nor the model's configuration. This is said, and nothing is made up."""
    base = without_special_tokens(make_tiny_lm("bare", chat=False))
    made = load_trainer(trainer, progress=False, device="cpu", max_steps=1)
    trained = made.train(tiny_rows(rows), base=f"hf:{base}", out=tmp_path / "out")
    assert [note for note in trained.notes if "names no end token" in note] == [
        f"the tokenizer of {base} names no end token, so that replies end at their longest and none is learnt; set "
        "eos_token in its tokenizer_config.json"
    ]
    saved = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert saved.eos_token is None
    assert saved.pad_token is None


def test_a_trainer_that_draws_answers_refuses_a_base_that_ends_none(
    make_tiny_lm: Callable[..., Path], tmp_path: Path
) -> None:
    base = without_special_tokens(make_tiny_lm("bare", chat=False))
    made = load_trainer("grpo", progress=False, device="cpu", max_steps=1, embedder="hashing")
    with pytest.raises(
        SettingsError, match="names no token that ends them; set eos_token in its tokenizer_config.json"
    ):
        made.train(tiny_rows("prompts"), base=f"hf:{base}", out=tmp_path / "out")


def test_answers_end_as_turns_do_in_the_template(tiny_lm_path: Path) -> None:
    """Where ``eos_token`` ends texts: as a chat template writes the whole conversation."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_lm_path)
    tokenizer.add_special_tokens({"eos_token": "<|endoftext|>"})
    prompt, (answer,) = Encoder(tokenizer, 64).encode(TALK, ["Seldom."])
    whole = tokenizer.apply_chat_template([*TALK, {"role": "assistant", "content": "Seldom."}], tokenize=False)
    assert tokenizer.decode(prompt + answer) == whole


def test_an_answer_without_end_token_is_the_answer_alone(tiny_lm_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_lm_path)
    tokenizer.eos_token = tokenizer.chat_template = None
    _, (answer,) = Encoder(tokenizer, 256).encode("May I lie?", ["Seldom."])
    assert tokenizer.decode(answer) == "Seldom."


def test_full_weights_name_the_learnt_end_for_other_libraries(
    make_tiny_lm: Callable[..., Path], tmp_path: Path
) -> None:
    base = make_tiny_lm("two_ends")
    tokenizer = AutoTokenizer.from_pretrained(base)
    pad, end = tokenizer.convert_tokens_to_ids(["<|pad|>", "<|end|>"])
    edit(base / "generation_config.json", eos_token_id=pad)
    policy = load_policy(f"hf:{base}", TrainingSettings(lora=False, device="cpu"))
    policy.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"] == [pad, end]


def test_a_model_without_a_system_role_learns_from_prompts_that_have_one(
    make_tiny_lm: Callable[..., Path], tmp_path: Path
) -> None:
    base = make_tiny_lm("strict")
    (base / "chat_template.jinja").write_text(NO_SYSTEM)
    rows = Dataset.from_list([{"prompt": TALK, "completion": [{"role": "assistant", "content": "Seldom."}]}])
    trained = load_trainer("sft", progress=False, device="cpu", max_steps=1).train(
        rows, base=f"hf:{base}", out=tmp_path / "out"
    )
    assert trained.notes == (
        f"the chat template of {base} takes no system messages: system messages are put before the first user turn, and turns "
        "of one speaker in a row are joined",
    )
    tokenizer = AutoTokenizer.from_pretrained(base)
    prompt, _ = Encoder(tokenizer, 64).encode(TALK, ["Seldom."])
    assert tokenizer.decode(prompt) == "<|user|>Be kind.\n\nMay I lie?<|end|><|assistant|>"
    tokenizer.chat_template = "{{ raise_exception('No') }}"
    with pytest.raises(ChatTemplateError, match="refuses a conversation of the turns system, user: No"):
        Encoder(tokenizer, 64).encode(TALK, ["Seldom."])


def test_a_row_with_a_token_beyond_the_embeddings_is_refused(make_tiny_lm: Callable[..., Path]) -> None:
    base = make_tiny_lm("images")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(base)
    loaded = load(str(base), device="cpu", dtype="float32")
    encoder = encoder_for(loaded.model, loaded.tokenizer, 64)
    assert encoder.encode("See this", ["Fine."])
    with pytest.raises(
        TrainingDataError, match="a row contains '<image>', a token of the tokenizer that the model has no"
    ):
        encoder.encode("See <image>", ["Fine."])


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (
            {"prompt": TALK, "completion": [{"role": "user", "content": "I"}]},
            "completion has the turns user; expected one",
        ),
        (
            {
                "prompt": TALK,
                "completion": [{"role": role, "content": "x"} for role in ("assistant", "user", "assistant")],
            },
            "completion has the turns assistant, user, assistant; expected one assistant turn. Put earlier turns",
        ),
        (
            {"prompt": [*TALK, {"role": "assistant", "content": "No"}], "completion": "And?"},
            "prompt ends with assistant; expected a user turn, which the answer follows",
        ),
        ({"prompt": TALK, "completion": [{"role": "assistant", "content": "No"}]}, ""),
        ({"prompt": "May I?", "completion": "No"}, ""),
    ],
)
def test_turns_that_would_not_be_learnt_are_refused(row: dict[str, Any], fault: str) -> None:
    found = row_fault(row, RowKind.DEMONSTRATIONS)
    assert (found or "").startswith(fault)
    assert bool(found) == bool(fault)
