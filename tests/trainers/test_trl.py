"""TRL's trainers are handed our token ids and use them as they are."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from transformers import AutoTokenizer
from trl_losses import dpo_loss, kto_loss, orpo_loss

from sandbox.errors import SettingsError
from trainers import load_trainer, rows_from, write_rows
from trainers.finetuning.arguments import training_arguments
from trainers.finetuning.policy import load_policy
from trainers.likelihood.tokenization import Encoder
from trainers.methods.kto import mismatch

pytestmark = pytest.mark.needs_torch


@pytest.fixture
def prepared(ranked_rows_by_hand, tiny_lm_path, tmp_path):
    """A trainer of transformers or TRL, as ours make it, with the adapters moved away from where they begin."""

    def make(name, **settings):
        made = load_trainer(name, **{"batch_size": 4, "device": "cpu", **settings})
        rows = rows_from(write_rows(ranked_rows_by_hand, tmp_path / "r.jsonl"), made.accepts)
        policy = load_policy(f"hf:{tiny_lm_path}", made.settings)
        encoded = made.encode(rows, Encoder(policy.tokenizer, 360))
        arguments = training_arguments(made.settings, len(encoded), tmp_path / "draft", tmp_path / "m")
        trainer = made.make_trainer(policy, encoded, arguments, made._watch())
        draw = torch.Generator().manual_seed(0)
        for weight_name, weights in policy.model.named_parameters():
            if "lora_B.default" in weight_name:
                weights.data = 0.2 * torch.randn(weights.shape, generator=draw)
        return trainer, policy

    return make


@pytest.fixture
def batch(prepared):
    """The first batch that a trainer would see."""
    return lambda name: next(iter(prepared(name, batch_size=2)[0].get_train_dataloader()))


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
    for lora, first in itertools.product((True, False), (True, False)):
        settings = {"lora": lora, "precompute_reference": first, "max_steps": 1, "progress": False, "device": "cpu"}
        trained = load_trainer("dpo", **settings).train(
            rows, base=f"hf:{tiny_lm_path}", out=tmp_path / f"m{lora}{first}"
        )
        assert trained.history[0]["loss"] == pytest.approx(0.693147, abs=1e-4)
        assert trained.history[0]["reward_margin"] == pytest.approx(0.0, abs=1e-4)


def test_dpos_reference_has_the_precision_of_the_policy(tiny_lm_path, tmp_path):
    """In half precision too, with answers long enough for rounding to show, the first loss is log 2."""
    pair = {"chosen": "Talk to them, and listen to what they say. " * 8, "rejected": "Shout at them all night. "}
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"How do I get on with {n}?", **pair}) + "\n" for n in range(4)))
    for lora, first in itertools.product((True, False), (True, False)):
        settings = {"lora": lora, "precompute_reference": first, "dtype": "bfloat16", "max_steps": 1, "device": "cpu"}
        trained = load_trainer("dpo", **settings, progress=False, measure_kl=False).train(
            rows_from(file, "preferences"), base=f"hf:{tiny_lm_path}", out=tmp_path / f"m{lora}{first}"
        )
        assert trained.history[0]["loss"] == pytest.approx(0.693147, abs=1e-5)


def log_probability(model, ids, mask):
    """Of the tokens where the mask is 1, summed, from whole logits. Shapes [texts, tokens] to [texts]."""
    found = model(input_ids=ids).logits[:, :-1].log_softmax(dim=-1).gather(2, ids[:, 1:, None]).squeeze(2)
    return (found * mask[:, 1:]).sum(dim=1)


def log_ratio(policy, ids, mask):
    """Of the policy to the base it has its adapters on."""
    ours = log_probability(policy.model, ids, mask)
    with policy.model.disable_adapter(), torch.no_grad():
        return ours - log_probability(policy.model, ids, mask)


def trls_loss(trainer, batch):
    trainer.model.eval()
    return trainer.compute_loss(trainer.model, batch).item()


@pytest.mark.parametrize("precompute", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_dpo_is_the_equation(prepared, precompute, smoothing):
    """Whether the reference was asked in our way before, or in TRL's in the step."""
    trainer, policy = prepared(
        "dpo", beta=0.3, loss="robust" if smoothing else "sigmoid", label_smoothing=smoothing,
        precompute_reference=precompute,
    )  # fmt: skip
    batch = next(iter(trainer.get_train_dataloader()))
    ratio = log_ratio(policy, batch["input_ids"], batch["completion_mask"])
    expected = dpo_loss(*ratio.chunk(2), beta=0.3, label_smoothing=smoothing).item()
    assert abs(expected - 0.693147) > 0.01
    assert trls_loss(trainer, batch) == pytest.approx(expected, rel=1e-4)


def test_kto_is_the_equation(prepared):
    trainer, policy = prepared("kto", beta=0.3, good_weight=1.5, bad_weight=0.5)
    batch = next(iter(trainer.get_train_dataloader()))
    assert set(batch["label"].tolist()) == {True, False}
    ratio = log_ratio(policy, batch["input_ids"], batch["completion_mask"])
    mismatched = log_ratio(policy, batch["KL_input_ids"], batch["KL_completion_mask"])
    expected = kto_loss(ratio, batch["label"], mismatched, beta=0.3, good_weight=1.5, bad_weight=0.5).item()
    assert trls_loss(trainer, batch) == pytest.approx(expected, rel=1e-4)


def test_ktos_reference_point_comes_from_the_same_answers_behind_other_prompts(prepared, tokenizer):
    """Texts of a batch with four different prompts are those of its answers, turned by one."""
    row = {"label": True, "KL_completion_ids": [9]}
    rows = [{**row, "prompt_ids": [prompt], "completion_ids": [10 + prompt]} for prompt in range(4)]
    assert [one["KL_completion_ids"] for one in mismatch(rows)] == [[13], [10], [11], [12]]
    # Two answers to one prompt: neither stands behind it; and a batch of one prompt keeps what its rows bring.
    rows = [{**row, "prompt_ids": [prompt], "completion_ids": [n]} for n, prompt in enumerate((5, 5, 6))]
    assert [one["KL_completion_ids"] for one in mismatch(rows)] == [[2], [2], [1]]
    assert [one["KL_completion_ids"] for one in mismatch(rows[:2])] == [[9], [9]]
    loader = prepared("kto")[0].get_train_dataloader()
    for batch in loader:
        prompts, others = (
            [
                tokenizer.decode(i[m == 0])
                for i, m in zip(batch[f"{k}input_ids"], batch[f"{k}completion_mask"], strict=True)
            ]
            for k in ("", "KL_")
        )
        assert [p.replace("<|pad|>", "") for p in prompts] == [p.replace("<|pad|>", "") for p in others]


def test_kto_sees_rows_in_another_order_in_every_epoch(prepared):
    trainer, _ = prepared("kto", batch_size=2)
    orders = []
    for epoch in (0.0, 1.0, 0.0):
        trainer.state.epoch = epoch
        orders.append(list(trainer._get_train_sampler()))
    assert sorted(orders[0]) == list(range(len(trainer.train_dataset)))
    assert orders[0] == orders[2] != orders[1]


def test_orpo_is_the_equation(prepared):
    """The imitation is a mean over all tokens of prompts and better answers; the odds are of answers alone."""
    trainer, policy = prepared("orpo", beta=0.3)
    batch = next(iter(trainer.get_train_dataloader()))
    means = {}
    for side in ("chosen", "rejected"):
        mask = (batch[f"{side}_labels"] != -100).long()
        means[side] = log_probability(policy.model, batch[f"{side}_input_ids"], mask) / mask.sum(dim=1)
    texts = batch["chosen_attention_mask"]
    imitation = -log_probability(policy.model, batch["chosen_input_ids"], texts).sum() / texts[:, 1:].sum()
    expected = orpo_loss(imitation, means["chosen"], means["rejected"], beta=0.3).item()
    assert trls_loss(trainer, batch) == pytest.approx(expected, rel=1e-4)


def test_orpo_says_which_versions_work(monkeypatch):
    monkeypatch.setattr("trainers.methods.orpo.version", lambda name: "1.19.2")
    with pytest.raises(SettingsError) as error:
        load_trainer("orpo")
    assert str(error.value) == (
        "trainer 'orpo' uses TRL's experimental package as it is in versions 1.16.x; found trl 1.19.2. Install one of "
        "those: pip install 'trl==1.16.*'; or use dpo, which does not need it"
    )
