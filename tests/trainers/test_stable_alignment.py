from __future__ import annotations

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from trainers import load_trainer, stable_alignment_loss
from trainers.likelihood.tokenization import Encoder
from trainers.rows.format import make_rows
from trainers.rows.kinds import RowKind

pytestmark = pytest.mark.needs_torch

FAST = {"progress": False, "device": "cpu", "learning_rate": 5e-3}


def step(rows, base, out, **settings):
    trained = load_trainer("stable_alignment", **{**FAST, **settings}).train(rows, base=f"hf:{base}", out=out)
    return trained, load_file(next(out.glob("*.safetensors")))


def differ(first, second):
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def test_the_first_loss_is_the_equations(ranked_rows_by_hand, tiny_lm_path, tmp_path):
    """All eight questions in one step: the mean of the losses computed answer by answer from whole logits."""
    model = AutoModelForCausalLM.from_pretrained(tiny_lm_path)
    encoder = Encoder(AutoTokenizer.from_pretrained(tiny_lm_path), 360)
    losses, best = [], []
    for row in ranked_rows_by_hand:
        prompt, answers = encoder.encode(row["prompt"], row["completions"])
        nll = []
        for answer in answers:
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            nll.append(torch.nn.functional.cross_entropy(logits, torch.tensor(answer)).item())
        ratings = torch.tensor([row["ratings"]])
        settings = {"scale": row["scale"], "margin": 3.0, "weight": 0.5, "hinge": "pairwise", "reduce": "sum"}
        losses.append(stable_alignment_loss(torch.tensor([nll]), ratings, ratings > 0, **settings).item())
        best.append(nll[0])
    trained, _ = step(
        ranked_rows_by_hand, tiny_lm_path, tmp_path / "m", batch_size=8, max_steps=1,
        margin=3.0, weight=0.5, hinge="pairwise", reduce="sum",
    )  # fmt: skip
    assert trained.metrics["loss"] == pytest.approx(sum(losses) / 8, rel=1e-4)
    assert trained.metrics["nll_best"] == pytest.approx(sum(best) / 8, rel=1e-4)


def test_sharing_prompts_changes_nothing_but_the_speed(ranked_rows_by_hand, tiny_lm_path, tmp_path):
    shared, one = step(ranked_rows_by_hand, tiny_lm_path, tmp_path / "a", max_steps=3)
    separate, other = step(ranked_rows_by_hand, tiny_lm_path, tmp_path / "b", max_steps=3, share_prompts=False)
    for name in ("loss", "nll_best", "reward_margin", "preference_accuracy"):
        assert [r[name] for r in shared.history] == pytest.approx([r[name] for r in separate.history], rel=1e-3)
    assert differ(one, other) < 1e-3


def test_every_question_of_a_step_counts_alike(ranked_rows_by_hand, tiny_lm_path, tmp_path):
    """Three questions a step, in one batch or in two of 2 and 1: a mean of means would count the last one double.

    One step of plain gradient descent would show it; Adam's first step hides sizes, so the gradient is compared.
    """
    rows = ranked_rows_by_hand.select([0, 1, 3])
    whole, _ = step(rows, tiny_lm_path, tmp_path / "a", max_steps=1, batch_size=3)
    parts, _ = step(rows, tiny_lm_path, tmp_path / "b", max_steps=1, batch_size=2, gradient_accumulation=2)
    for name in ("loss", "grad_norm", "nll_best", "reward_margin"):
        assert parts.history[0][name] == pytest.approx(whole.history[0][name], rel=1e-4)


def test_the_better_rated_answer_becomes_the_likelier(ranked_rows_by_hand, tiny_lm_path, tmp_path):
    trained, _ = step(ranked_rows_by_hand, tiny_lm_path, tmp_path / "m", epochs=12, weight=1.0)
    first, last = trained.history[0], trained.history[-1]
    assert trained.metrics["preference_accuracy"] > first["preference_accuracy"]
    assert last["reward_margin"] > first["reward_margin"] + 1.0
    assert last["nll_best"] < first["nll_best"]


def test_prompts_and_answers_far_too_long(tiny_lm_path, tmp_path):
    """The authors' code gives NaN where a prompt fills the whole length."""
    rows = make_rows(
        RowKind.RANKED,
        [
            {
                "prompt": [{"role": "user", "content": "why " * 200}],
                "completions": ["good " * 100, "bad"],
                "ratings": [6.0, 2.0],
                "part": "imitation",
                "question": "why",
                "scale": 7.0,
            }
        ],
    )
    trained, _ = step(rows, tiny_lm_path, tmp_path / "m", max_steps=2, max_length=16)
    assert all(record["loss"] < 1e3 for record in trained.history)


def test_each_question_has_its_own_scale(tiny_lm_path, tmp_path):
    """Equal answers, margin 4, weight 1. Ratings 7 and 3.5 of 7: hinge 3.5 / 7 * 4 = 2. 10 and 5 of 10: 2 as well.

    A scale of 7 for both would give 5 / 7 * 4 for the second. The loss is the mean of nll + 2.
    """
    rows = Dataset.from_list(
        [
            {"prompt": "Q", "completions": ["same", "same"], "ratings": [7.0, 3.5], "scale": None},
            {"prompt": "P", "completions": ["same", "same"], "ratings": [10.0, 5.0], "scale": 10.0},
        ]
    )
    trained, _ = step(rows, tiny_lm_path, tmp_path / "m", max_steps=1, margin=4, weight=1)
    assert trained.metrics["loss"] - trained.metrics["nll_best"] == pytest.approx(2.0, abs=1e-4)
