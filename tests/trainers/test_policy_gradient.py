"""The policy gradient on recorded answers: its advantages and loss by hand, and what it does to a tiny model."""

from __future__ import annotations

import math

import pytest

from sandbox.errors import SettingsError, TrainingDataError
from sandbox.models.local.chat_template import render
from trainers.methods.policy_gradient import PolicyGradient, PolicyGradientSettings, advantages
from trainers.rows.format import make_rows

pytestmark = pytest.mark.needs_torch

FAST = {"learning_rate": 3e-4, "batch_size": 8, "progress": False, "device": "cpu", "schedule": "constant"}


def choices(*given):
    """Rows of (question, answer, rating, count)."""
    return make_rows(
        "unpaired",
        [
            {
                "prompt": [{"role": "user", "content": question}], "completion": [{"role": "assistant", "content": answer}],
                "label": rating > 4, "rating": float(rating), "count": count, "part": "p", "question": question, "scale": 7.0,
            }
            for question, answer, rating, count in given
        ],
    )  # fmt: skip


def test_advantages_by_hand():
    """Prompt a: 4 said three times and 0 once, mean 3; prompt b: 1, said once. Mean of all five: (12 + 0 + 1) / 5 = 2.6."""
    given = ([4, 0, 1], [3, 1, 1], ["a", "a", "b"])
    assert advantages(*given, baseline="prompt", normalize=False) == pytest.approx([1, -3, -1.6])
    assert advantages(*given, baseline="record", normalize=False) == pytest.approx([1.4, -2.6, -1.6])
    assert advantages(*given, baseline="none", normalize=False) == [4, 0, 1]
    spread = math.sqrt((3 * 1 + 9 + 2.56) / 5)
    assert advantages(*given, baseline="prompt", normalize=True) == pytest.approx(
        [1 / spread, -3 / spread, -1.6 / spread]
    )
    assert advantages([2, 2], [1, 1], ["a", "a"], baseline="prompt", normalize=True) == [0, 0]


def test_the_loss_by_hand():
    """Ratios 1.5, 0.5, 1.5 and 1 with advantages 1, -1, -1 and 2, clip 0.2: the first two are beyond it."""
    import torch

    from trainers.losses import policy_gradient_losses

    log_ratio = torch.tensor([1.5, 0.5, 1.5, 1.0]).log().requires_grad_()
    gains = torch.tensor([1.0, -1.0, -1.0, 2.0])
    losses = policy_gradient_losses(log_ratio, gains, clip=0.2)
    assert losses.tolist() == pytest.approx([-1.2, 0.8, 1.5, -2.0])
    losses.sum().backward()
    # Beyond the clip nothing is learnt; at a ratio of 1 the gradient is that of REINFORCE, minus the advantage.
    assert log_ratio.grad.tolist() == pytest.approx([0, 0, 1.5, -2.0])
    free = policy_gradient_losses(log_ratio.detach(), gains, clip=None, beta=2.0)
    penalties = [2 * (ratio - 1 - math.log(ratio)) for ratio in (1.5, 0.5, 1.5, 1.0)]
    assert free.tolist() == pytest.approx([p - r for p, r in zip(penalties, (1.5, -0.5, -1.5, 2.0), strict=True)])


@pytest.mark.parametrize("per_token", [True, False])
def test_the_better_rewarded_choice_becomes_likelier(per_token, tiny_lm_path, tmp_path, undocumented):
    """Two choices of one token each to two questions; what is good of one is bad of the other."""
    from transformers import AutoTokenizer

    from sandbox.models.local.loading import load

    tokenizer = AutoTokenizer.from_pretrained(tiny_lm_path)
    yes, no = ("Y", "N")
    rows = choices(("One?", yes, 6, 3), ("One?", no, 2, 1), ("Two?", yes, 1, 2), ("Two?", no, 5, 2))
    settings = PolicyGradientSettings(epochs=12, entropy=0.001, per_token=per_token, **FAST)
    trained = PolicyGradient(settings).train(rows, base=f"hf:{tiny_lm_path}", out=tmp_path / "m")

    def likelihood_of_yes(path):
        import torch

        model = load(str(path), device="cpu", dtype="float32").model
        ids = [tokenizer.convert_tokens_to_ids(word) for word in (yes, no)]
        asked = [render(tokenizer, [{"role": "user", "content": question}]) for question in ("One?", "Two?")]
        with torch.no_grad():
            given = [
                model(torch.tensor([tokenizer(a, add_special_tokens=False)["input_ids"]])).logits[0, -1] for a in asked
            ]
        return [float(logits[ids].softmax(0)[0]) for logits in given]

    (one, two), (one_after, two_after) = likelihood_of_yes(tiny_lm_path), likelihood_of_yes(tmp_path / "m")
    assert one_after > one
    assert two_after < two
    assert undocumented("policy_gradient", trained) == []
    first, last = trained.history[0], trained.history[-1]
    # Before the first step the model is its own behaviour: (18 + 2 + 2 + 10) / 8.
    assert first["reward"] == pytest.approx(4.0)
    assert first["expected_reward"] == pytest.approx(4.0, abs=1e-5)
    assert first["advantage"] == pytest.approx(0.0, abs=1e-5)
    assert (first["clipped"], first["kl_estimate"]) == pytest.approx((0, 0), abs=1e-6)
    assert last["expected_reward"] > 4.05
    assert last["advantage"] > 0
    assert last["reward_margin"] > first["reward_margin"]
    assert last["clipped"] > 0
    assert 0 < last["entropy"] < math.log(400)
    assert {"kl", "answer_tokens", "loss"} <= set(last)


def test_the_clip_keeps_the_model_near_and_so_does_the_penalty(tiny_lm_path, tmp_path):
    rows = choices(("One?", "Y", 7, 1), ("One?", "N", 1, 1))

    def kl(name, **settings):
        made = PolicyGradient(PolicyGradientSettings(epochs=8, **FAST, **settings))
        return made.train(rows, base=f"hf:{tiny_lm_path}", out=tmp_path / name).history[-1]["kl"]

    free = kl("free", clip=None)
    assert kl("clipped", clip=0.05) < free
    assert kl("near", clip=None, beta=20.0) < free


def test_what_teaches_nothing_is_refused(tiny_lm_path, tmp_path):
    with pytest.raises(TrainingDataError, match="all 2 answers are rated as expected, so none is to become likelier"):
        PolicyGradient().train(
            choices(("One?", "Y", 5, 1), ("One?", "N", 5, 1)), base=f"hf:{tiny_lm_path}", out=tmp_path / "m"
        )
    assert not (tmp_path / "m").exists()
    with pytest.raises(SettingsError, match=r"clip=1\.5 must be"):
        PolicyGradientSettings(clip=1.5)
    with pytest.raises(
        SettingsError, match="baseline='prompts' is not one of prompt, record, none. Did you mean 'prompt'"
    ):
        PolicyGradientSettings(baseline="prompts")
