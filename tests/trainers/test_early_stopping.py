"""Held-out preferences: what is held out, how accuracy is measured, and when a training stops for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerControl, TrainerState

from sandbox.errors import ModelNotFound, SettingsError
from trainers import load_trainer, rows_from, write_rows
from trainers.evaluation.preference_accuracy import compare_pairs, pair_margins
from trainers.finetuning.early_stopping import EarlyStopping
from trainers.finetuning.kl_probe import KLProbe
from trainers.likelihood.tokenization import Encoder

pytestmark = pytest.mark.needs_torch

FAST = {"learning_rate": 5e-3, "batch_size": 4, "progress": False, "device": "cpu"}


@pytest.fixture
def model(tiny_lm_path):
    return AutoModelForCausalLM.from_pretrained(tiny_lm_path)


@pytest.fixture
def pairs(ranked_rows_by_hand):
    return rows_from(ranked_rows_by_hand, "preferences")


def test_margins_are_those_of_whole_logits(pairs, tiny_lm_path, model):
    """Mean log-probability per token, answer by answer."""
    encoder = Encoder(AutoTokenizer.from_pretrained(tiny_lm_path), 1024)
    expected = []
    for row in pairs:
        prompt, answers = encoder.encode(row["prompt"], [row["chosen"], row["rejected"]])
        means = []
        for answer in answers:
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            means.append(-torch.nn.functional.cross_entropy(logits, torch.tensor(answer)).item())
        expected.append(means[0] - means[1])
    assert pair_margins(f"hf:{tiny_lm_path}", pairs) == pytest.approx(expected, abs=1e-4)


def test_models_are_compared_pair_by_pair(pairs, tiny_lm_path, tmp_path):
    """A model against itself: no difference. One that learnt these pairs finds all better answers likelier."""
    base = f"hf:{tiny_lm_path}"
    trained = load_trainer("dpo", epochs=8, **FAST).train(pairs, base=base, out=tmp_path / "m")
    found = compare_pairs([base, base, trained.uri], pairs, names=["a", "b", "c"])
    assert found["pairs"] == len(pairs)
    assert [d["model"] for d in found["differences"]] == ["b", "c"]
    assert found["differences"][0]["accuracy"]["mean"] == 0.0
    assert found["models"][2]["accuracy"]["mean"] == 1.0
    with pytest.raises(ModelNotFound, match="model 'scripted:x' has no local weights to compute likelihoods"):
        compare_pairs(["scripted:x"], pairs)


def test_pairs_from_the_shell(pairs, tiny_lm_path, tmp_path):
    file = write_rows(pairs, tmp_path / "pairs.jsonl")
    command = [sys.executable, "-m", "sandbox", "evaluate", f"hf:{tiny_lm_path}", "--pairs", str(file)]
    done = subprocess.run([*command, "--out", str(tmp_path / "e"), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["pairs"]["pairs"] == len(pairs)
    assert 0 <= said["pairs"]["models"][0]["accuracy"]["mean"] <= 1
    assert json.loads((tmp_path / "e" / "evaluation.json").read_text(encoding="utf-8"))["pairs"] == said["pairs"]
    done = subprocess.run([*command, "--set", "max_lenght=9"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "has no setting 'max_lenght'. Did you mean 'max_length'?" in done.stderr


@pytest.mark.parametrize("name", ["dpo", "rrhf"])
def test_a_training_stops_when_held_out_accuracy_no_longer_rises(name, ranked_rows_by_hand, tiny_lm_path, tmp_path):
    """The answers are the same for all questions, so accuracy soon is 1 and nothing is better: patience runs out."""
    rows = rows_from(ranked_rows_by_hand, load_trainer(name).accepts)
    trained = load_trainer(name, heldout_share=0.3, patience=2, epochs=40, **FAST).train(
        rows, base=f"hf:{tiny_lm_path}", out=tmp_path / "m"
    )
    measured = [r for r in trained.history if "heldout_accuracy" in r]
    best = max(r["heldout_accuracy"] for r in measured)
    first_best = next(r["step"] for r in measured if r["heldout_accuracy"] == best)
    assert trained.metrics["best_step"] == first_best
    assert trained.metrics["heldout_accuracy"] == best
    assert len([r for r in measured if r["step"] > first_best]) == 2  # and not all forty epochs
    about = json.loads((tmp_path / "m" / "training.json").read_text(encoding="utf-8"))
    assert about["rows"]["questions"] < 8  # those held out are not learnt from


def test_other_kinds_of_rows_stop_by_a_file(ranked_rows_by_hand, pairs, tiny_lm_path, tmp_path):
    file = write_rows(pairs, tmp_path / "pairs.jsonl")
    rows = rows_from(ranked_rows_by_hand, "demonstrations")
    trained = load_trainer("sft", heldout=str(file), eval_steps=1, max_steps=3, **FAST).train(
        rows, base=f"hf:{tiny_lm_path}", out=tmp_path / "m"
    )
    assert [("heldout_accuracy" in record) for record in trained.history] == [True] * 4
    assert [record["step"] for record in trained.history] == [0, 1, 2, 3]
    with pytest.raises(SettingsError) as error:
        load_trainer("sft", heldout_share=0.2).train(rows, base=f"hf:{tiny_lm_path}", out=tmp_path / "n")
    assert str(error.value) == (
        "heldout_share=0.2 holds out preferences, and trainer 'sft' uses demonstrations rows; "
        "give a file of preferences or ranked rows: --set heldout=FILE"
    )
    with pytest.raises(SettingsError, match="heldout and heldout_share are alternatives; give one of them"):
        load_trainer("dpo", heldout="x.jsonl", heldout_share=0.2)


class Measured(EarlyStopping):
    """Accuracies given beforehand instead of measured; the weights are real."""

    def __init__(self, model, accuracies):
        super().__init__(model, [], pad=0, every=1, patience=2)
        self.accuracies = iter(accuracies)

    def margins(self):
        right = next(self.accuracies)
        return torch.tensor([1.0] * right + [-1.0] * (10 - right))


def test_patience_and_the_best_weights(model, tmp_path):
    """Of ten pairs right: 4, 6, 6, 5, so two without anything better after step 2: stop; step 2's weights return."""
    (weight, *_) = (w for w in model.parameters())
    for p in model.parameters():
        p.requires_grad_(p is weight)
    heldout, control = Measured(model, [4, 6, 6, 5]), TrainerControl()
    stopped = []
    for step in range(1, 5):
        with torch.no_grad():
            weight.fill_(float(step))
        heldout.on_step_end(None, TrainerState(global_step=step, epoch=step / 10, max_steps=9), control)
        stopped.append(control.should_training_stop)
        if step == 3:  # what a checkpoint keeps is enough to go on
            heldout.save(tmp_path)
            heldout = Measured(model, [5])
            heldout.load(tmp_path)
    assert stopped == [False, False, False, True]
    assert (heldout.best_step, heldout.at(2)["heldout_accuracy"]) == (2, 0.6)
    heldout.restore()
    assert torch.all(weight == 2.0)


def test_step_0_is_measured_and_kept_if_nothing_is_better(pairs, tiny_lm_path, tmp_path):
    """Pairs learnt the wrong way round: accuracy on the right ones begins at its best, so the base comes back."""
    file = write_rows(pairs, tmp_path / "pairs.jsonl")
    wrong = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in pairs]
    base = f"hf:{tiny_lm_path}"
    trained = load_trainer("dpo", heldout=str(file), eval_steps=1, max_steps=4, **FAST).train(
        rows_from(write_rows(type(pairs).from_list(wrong), tmp_path / "wrong.jsonl"), "preferences"),
        base=base, out=tmp_path / "m",
    )  # fmt: skip
    begun = trained.history[0]
    margins = pair_margins(base, pairs)
    assert begun == {
        "step": 0, "epoch": 0.0, "kl": 0.0,
        "heldout_accuracy": pytest.approx(sum(m > 0 for m in margins) / len(margins)),
        "heldout_margin": pytest.approx(sum(margins) / len(margins), abs=1e-4),
    }  # fmt: skip
    assert trained.history[-1]["heldout_margin"] < begun["heldout_margin"]
    assert trained.metrics["best_step"] == 0
    assert pair_margins(trained.uri, pairs) == pytest.approx(margins, abs=1e-5)


def test_kl_by_hand(model):
    """A head whose output is shifted by ln 2 at one token of V: p = 2q / (1 + q) there, q / (1 + q) elsewhere.

    KL = log 2 * p_there - log(1 + q_there), with q there the base's probability, averaged over the places.
    """
    probe = KLProbe(model, [([5, 6], [[7, 8, 1]])], seed=0)
    assert probe.measure() == pytest.approx(0.0, abs=1e-7)
    base = model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits[0, 1:].double().softmax(dim=-1)
    q = base[:, 9]
    expected = (torch.log(torch.tensor(2.0)) * 2 * q / (1 + q) - torch.log1p(q)).mean().item()
    head = model.get_output_embeddings()
    shift = torch.zeros(head.out_features)
    shift[9] = 0.693147
    head.bias = torch.nn.Parameter(shift)
    assert probe.measure() == pytest.approx(expected, abs=1e-5)
    assert model.training is False


def test_kl_does_not_disturb_the_draws(model):
    torch.manual_seed(3)
    expected = torch.rand(())
    probe = KLProbe(model, [([5, 6], [[7, 8, 1]])] * 20, seed=0)
    torch.manual_seed(3)
    probe.measure()
    assert torch.rand(()) == expected
