"""What is computed stays on the model's device.

On torch's device ``meta`` tensors have shapes and no values. Most operations refuse an input that is on the processor, as they
do on a GPU, so that a tensor made on the wrong device is found without one. What depends on values cannot be tried there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs_torch
VALUES = r"cannot be called on meta tensors|Cannot copy out of meta tensor|no data"


@pytest.fixture
def model(tiny_lm_path: Path) -> Any:
    """The tiny model without values; eager attention asks for none."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny_lm_path, attn_implementation="eager")
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def test_the_device_finds_a_tensor_on_the_processor(model: Any) -> None:
    import torch

    with pytest.raises(RuntimeError, match="not on the expected device meta"):
        model.get_output_embeddings().weight + torch.zeros(1)[None]


def test_prompts_are_read_and_continued(model: Any) -> None:
    """Rows in pieces, rows that end before others. Shared beginnings are laid out by values."""
    import torch

    from sandbox.models.local.batching import plan
    from sandbox.models.local.forward import Forward

    head = tuple(range(5, 80))
    rows = [(*head, 3, 4), (*head, 5), tuple(range(20, 27)), tuple(range(9, 40))]
    forward, seen = Forward(model, 0), 0
    with torch.inference_mode():
        for batch in plan(rows, [4] * 4, max_batch=4, batch_tokens=4_000, share=False):
            state = forward.read(rows, batch)
            n = state.logits.shape[0]
            state = forward.write(state, torch.zeros(n, dtype=torch.long, device="meta"))
            state = forward.write(
                forward.select(state, torch.tensor([0], device="meta")), torch.zeros(1, dtype=torch.long, device="meta")
            )
            assert state.logits.device.type == "meta"
            seen += n
    assert seen == len(rows)


def test_choices_are_scored_until_values_are_needed(model: Any) -> None:
    import torch

    from sandbox.models.local.batching import Group
    from sandbox.models.local.choice_scoring import Scored, score
    from sandbox.models.local.forward import Forward

    rows = [Scored((5, 6, 7), ((8,), (9,))), Scored((5, 6, 7, 8), ((8, 9),))]
    with torch.inference_mode(), pytest.raises((RuntimeError, NotImplementedError), match=VALUES):
        score(Forward(model, 0), rows, [Group((0,), 0), Group((1,), 0)])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_likelihoods_of_answers_and_their_gradients(
    model: Any, shared: bool, is_frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers import losses as losses_module
    from trainers.likelihood import answer_nll
    from trainers.likelihood.answer_nll import _on_device, add_answer_nll, scorer
    from trainers.likelihood.collation import Collator
    from trainers.losses import rrhf_losses, simpo_losses, stable_alignment_losses

    # These look at values, or ask what only real devices know.
    monkeypatch.setattr(answer_nll, "_has_plain_head", lambda _: True)
    monkeypatch.setattr(answer_nll, "_is_autocast", lambda _: False)
    monkeypatch.setattr(losses_module, "_check_shapes", lambda *_: None)
    add_answer_nll(model)
    model.get_output_embeddings().requires_grad_(not is_frozen)
    questions = [
        {"prompt_ids": [5, 9, 7], "answer_ids": [[11, 12, 1], [13, 1]], "ratings": [6.0, 4.0], "scale": 7.0},
        {"prompt_ids": [5, 8, 9], "answer_ids": [[21, 22, 1], [4, 1]], "ratings": [5.0, 2.0], "scale": 7.0},
    ]
    batch = Collator(pad=0, shared=shared)(questions)
    nll = scorer(model)(**_on_device(batch["model"], model)).view(2, 2)
    ratings, mask, scale = (batch[name].to("meta") for name in ("ratings", "mask", "scale"))
    for losses in (
        stable_alignment_losses(nll, ratings, mask, scale=scale),
        rrhf_losses(nll, ratings, mask),
        simpo_losses(nll, ratings, mask),
    ):
        assert losses.device.type == "meta"
        losses.sum().backward(retain_graph=True)
    assert model.model.layers[0].self_attn.q_proj.weight.grad.device.type == "meta"


def test_log_probabilities_of_actions(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts, choices of one token, and choices of several."""
    from trainers.finetuning.rollouts import Sample, sample_log_probs
    from trainers.likelihood import answer_nll

    monkeypatch.setattr(answer_nll, "_has_plain_head", lambda _: True)
    answer_nll.add_answer_nll(model)
    samples = [
        Sample([5, 6, 7], [[8, 9, 1]], 0, 0.7),
        Sample([5, 6], [[8], [9]], 1, 1.0),
        Sample([5, 6], [[8, 4], [9]], 0, 1.0),
    ]
    found = sample_log_probs(model, samples, pad=0)
    assert found.actions.device.type == "meta"
    assert found.actions.shape == (3,)
