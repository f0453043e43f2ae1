"""Several processes learn what one does: data-parallel through torchrun, and sharded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from trainers import load_trainer, rows_from, write_rows
from trainers.likelihood.answer_nll import add_answer_nll
from trainers.likelihood.collation import Collator
from trainers.losses import stable_alignment_loss

pytestmark = pytest.mark.needs_torch

TORCHRUN = Path(sys.executable).with_name("torchrun")
SETTINGS = {"epochs": 3, "learning_rate": 5e-3, "progress": False, "device": "cpu"}


def torchrun(*arguments, **variables):
    done = subprocess.run(
        [TORCHRUN, "--standalone", "--nproc_per_node=2", *map(str, arguments)], capture_output=True, text=True,
        timeout=300, env={**os.environ, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sft", "dpo", "stable_alignment"])
def test_two_processes_learn_what_one_does(name, ranked_rows_by_hand, tiny_lm_path, tmp_path):
    """Batches of two in two processes against batches of four in one: the same rows in every step."""
    file = write_rows(ranked_rows_by_hand, tmp_path / "rows.jsonl")
    made = load_trainer(name, batch_size=4, **SETTINGS)
    one = made.train(rows_from(file, made.accepts), base=f"hf:{tiny_lm_path}", out=tmp_path / "one")
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, "batch_size": 2}.items()]
    out = torchrun(
        "-m", "sandbox", "train", file, "--trainer", name, "--base", f"hf:{tiny_lm_path}", "--out", tmp_path / "two",
        "--json", *settings,
    )  # fmt: skip
    assert json.loads(out)["uri"] == f"hf:{tmp_path / 'two'}"  # one object, from one process
    two = json.loads((tmp_path / "two" / "training.json").read_text(encoding="utf-8"))
    for word in ("loss", "reward_margin", "preference_accuracy", "answer_tokens", "kl"):
        ours = [record[word] for record in two["history"] if word in record]
        theirs = [record[word] for record in one.history if word in record]
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-5), word
    weights = [load_file(tmp_path / folder / "adapter_model.safetensors") for folder in ("one", "two")]
    for key in weights[0]:
        assert float((weights[0][key] - weights[1][key]).abs().max()) < 1e-4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


SHARDED = """
import json, sys, torch
from torch.distributed import init_process_group, destroy_process_group, get_rank
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM
from trainers.likelihood.answer_nll import add_answer_nll
from trainers.likelihood.collation import Collator
from trainers.losses import stable_alignment_loss

base, batch, out = sys.argv[1:]
init_process_group("gloo")
mesh = init_device_mesh("cpu", (2,))
model = AutoModelForCausalLM.from_pretrained(base)
add_answer_nll(model)
for layer in model.model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
assert all(isinstance(p, DTensor) for p in model.parameters())
mine = [json.load(open(batch))[get_rank()]]
laid = Collator(pad=0, shared=True)(mine)
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(3):
    nll = model(**laid["model"])
    loss = stable_alignment_loss(nll[None], laid["ratings"], laid["mask"])
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    losses.append(loss.item())
weights = {name: p.full_tensor() for name, p in model.named_parameters()}
torch.save({"losses": losses, "weights": weights}, f"{out}-{get_rank()}.pt")
destroy_process_group()
"""
QUESTIONS = [
    {"prompt_ids": [5, 9, 7], "answer_ids": [[11, 12, 1], [13, 1], [14, 15, 16, 1]], "ratings": [6, 4, 2], "scale": 7},
    {"prompt_ids": [6, 8], "answer_ids": [[21, 22, 1], [23, 24, 1], [25, 1]], "ratings": [7, 3, 1], "scale": 7},
]


@pytest.mark.slow
def test_the_loss_works_on_a_sharded_model(tiny_lm_path, tmp_path):
    """Each of two processes has a question and half of every weight; together they step as one with both does."""
    (tmp_path / "batch.json").write_text(json.dumps(QUESTIONS))
    (tmp_path / "sharded.py").write_text(SHARDED)
    root = str(Path(__file__).parents[2])
    torchrun(tmp_path / "sharded.py", tiny_lm_path, tmp_path / "batch.json", tmp_path / "found", PYTHONPATH=root)
    model = AutoModelForCausalLM.from_pretrained(tiny_lm_path)
    add_answer_nll(model)
    laid = Collator(pad=0, shared=True)(QUESTIONS)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = []
    for _ in range(3):
        loss = stable_alignment_loss(model(**laid["model"]).view(2, 3), laid["ratings"], laid["mask"])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        expected.append(loss.item())
    found = [torch.load(tmp_path / f"found-{rank}.pt", weights_only=True) for rank in (0, 1)]
    means = [sum(pair) / 2 for pair in zip(found[0]["losses"], found[1]["losses"], strict=True)]
    assert means == pytest.approx(expected, rel=1e-4)
    for name, weights in model.named_parameters():
        torch.testing.assert_close(found[0]["weights"][name], weights.detach(), atol=1e-4, rtol=1e-4)
