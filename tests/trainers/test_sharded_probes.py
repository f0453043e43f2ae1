"""What is measured beside a training, on a model sharded with FSDP2 over two processes on CPUs (gloo)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.needs_torch, pytest.mark.slow]

PROBES = """
import json, sys, torch
from pathlib import Path
from torch.distributed import init_process_group, destroy_process_group, get_rank
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import TrainerControl, TrainerState
from sandbox.errors import TrainingDiverged
from trainers.finetuning.policy import load_policy
from trainers.finetuning.early_stopping import EarlyStopping
from trainers.finetuning.kl_probe import KLProbe
from trainers.finetuning.sharding import learning_weights
from trainers.settings import TrainingSettings

base, kind, out = sys.argv[1:]
sharded = kind != "one"
lora = out.endswith("lora")
torch.manual_seed(0)
policy = load_policy(f"hf:{base}", TrainingSettings(lora=lora, device="cpu"))
model = policy.model
rank = 0
if sharded:
    init_process_group("gloo")
    rank, mesh = get_rank(), init_device_mesh("cpu", (2,))
    inner = model.get_base_model() if lora else model
    for layer in inner.model.layers:
        fully_shard(layer, mesh=mesh)
    if kind == "head":  # a unit of its own: gathered only while it is called
        fully_shard(inner.lm_head, mesh=mesh)
    fully_shard(model, mesh=mesh)
pairs = [([1, 2, 3, 10, 11], [[20, 21, 22], [23, 24]]), ([4, 5], [[30, 31], [32, 33, 34]])]
kl = KLProbe(model, pairs, seed=0, sharded=sharded)
held = EarlyStopping(model, pairs, pad=0, every=1, patience=9)
state, control = TrainerState(global_step=0, epoch=0.0, max_steps=9), TrainerControl()
kl.on_train_begin(None, state, control)
held.on_train_begin(None, state, control)
learning = [p for p in model.parameters() if p.requires_grad]
optimiser = torch.optim.SGD(learning, lr=0.5)
found = {"kl": [kl.measure()], "margins": [held.margins().tolist()]}
for step in (1, 2, 3):
    model(input_ids=torch.arange(6)[None]).logits.float().pow(2).mean().backward()
    optimiser.step()
    optimiser.zero_grad()
    state.global_step, state.epoch = step, step / 10
    held.on_step_end(None, state, control)
    found["kl"].append(kl.measure())
    found["margins"].append(held.margins().tolist())
found["best_step"] = held.best_step
if rank == 0 or held.is_sharded:
    held.save(Path(out).parent)
if sharded:
    torch.distributed.barrier()
again = EarlyStopping(model, pairs, pad=0, every=1, patience=9)
again.load(Path(out).parent)
again.restore()
found["restored"] = again.margins().tolist()
policy.check_finite()
if rank == 0:
    with torch.no_grad():
        next(iter(learning_weights(model).values())).view(-1)[0] = float("nan")
try:
    policy.check_finite()
except TrainingDiverged:
    found["diverged"] = True
Path(f"{out}-{rank}.json").write_text(json.dumps(found))
if sharded:
    destroy_process_group()
"""


def untied(source, path):
    """The model with a head of its own, which starts as a copy of the embedding."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source, tie_word_embeddings=False)
    model.lm_head.weight.data = model.get_input_embeddings().weight.data.clone()
    model.save_pretrained(path)
    AutoTokenizer.from_pretrained(source).save_pretrained(path)
    return path


def run(command, path):
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(file.read_text()) for file in sorted(path.glob("*.json"))]


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("kind", ["layers", "head"])
def test_probes_measure_a_sharded_model_as_a_whole_one(method, kind, tiny_lm_path, tmp_path):
    """KL and margins before and after three steps, the best weights, and a NaN that one process alone holds."""
    script = tmp_path / "probes.py"
    script.write_text(PROBES)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    base = untied(tiny_lm_path, tmp_path / "base") if kind == "head" else tiny_lm_path
    (whole,) = run([sys.executable, script, base, "one", tmp_path / "one" / method], tmp_path / "one")
    torchrun = [Path(sys.executable).with_name("torchrun"), "--standalone", "--nproc_per_node=2"]
    both = run([*torchrun, script, base, kind, tmp_path / "two" / method], tmp_path / "two")
    assert len(both) == 2
    assert whole["kl"][0] == 0.0
    assert whole["kl"][3] > 0.001
    for found in both:
        assert found["kl"] == pytest.approx(whole["kl"], rel=1e-3, abs=1e-6)
        for ours, theirs in zip(found["margins"], whole["margins"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
        assert found["restored"] == pytest.approx(whole["margins"][whole["best_step"]], rel=1e-3, abs=1e-4)
        assert found["best_step"] == whole["best_step"]
        assert found["diverged"]
