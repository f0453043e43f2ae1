"""TRL's trainers are handed our token ids and use them as they are."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from trainers import load_trainer, rows_from, write_rows
from trainers.encoding import Encoder
from trainers.policy import load_policy


@pytest.fixture
def batch(ranked_rows_by_hand, tiny_lm_path, tmp_path, monkeypatch):
    """The first batch that a trainer would see, and the tokenizer."""

    def first(name):
        made = load_trainer(name, batch_size=2, device="cpu")
        rows = rows_from(write_rows(ranked_rows_by_hand, tmp_path / "r.jsonl"), made.accepts)
        policy = load_policy(f"hf:{tiny_lm_path}", made.settings, tmp_path / "m")
        encoded = made.encode(rows, Encoder(policy.tokenizer, 360))
        arguments = made._arguments(len(encoded), tmp_path / "draft", tmp_path / "m")
        trainer = made.make_trainer(policy, encoded, arguments, made._watch())
        return next(iter(trainer.get_train_dataloader()))

    return first


@pytest.fixture
def tokenizer(tiny_lm_path):
    return AutoTokenizer.from_pretrained(tiny_lm_path)


def test_sft_learns_the_answer_and_its_end_alone(batch, tokenizer):
    found = batch("sft")
    for ids, labels in zip(found["input_ids"], found["labels"], strict=True):
        text = tokenizer.decode(ids).replace("<|pad|>", "")
        assert text.startswith("<|user|>How do I get on with neighbour")
        assert text.endswith("?<|end|><|assistant|>Talk to them and listen.<|end|>")
        assert tokenizer.decode(labels[labels != -100]) == "Talk to them and listen.<|end|>"


def test_dpo_compares_the_answers_and_their_ends_alone(batch, tokenizer):
    found = batch("dpo")
    answers = [tokenizer.decode(i[m == 1]) for i, m in zip(found["input_ids"], found["completion_mask"], strict=True)]
    prompts = [
        tokenizer.decode(i[(m == 0) & (a == 1)])
        for i, m, a in zip(found["input_ids"], found["completion_mask"], found["attention_mask"], strict=True)
    ]
    assert answers[:2] == ["Talk to them and listen.<|end|>"] * 2
    assert set(answers[2:]) <= {"Say nothing at all.<|end|>", "Shout at them all night long.<|end|>"}
    assert prompts[:2] == prompts[2:]
    assert all(p.startswith("<|user|>How") and p.endswith("?<|end|><|assistant|>") for p in prompts)


def test_dpos_reference_is_where_training_began(ranked_rows_by_hand, tiny_lm_path, tmp_path):
    """At the first step policy and reference agree, so the loss is log 2; with and without adapters."""
    rows = rows_from(write_rows(ranked_rows_by_hand, tmp_path / "r.jsonl"), "preferences")
    for lora in (True, False):
        trained = load_trainer("dpo", lora=lora, max_steps=1, progress=False, device="cpu").train(
            rows, base=f"hf:{tiny_lm_path}", out=tmp_path / f"m{lora}"
        )
        assert trained.history[0]["loss"] == pytest.approx(0.693147, abs=1e-4)
        assert trained.history[0]["reward_margin"] == pytest.approx(0.0, abs=1e-4)
