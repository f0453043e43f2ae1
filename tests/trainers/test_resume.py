"""A training that is killed goes on from its last checkpoint, and ends as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

from sandbox.errors import RunExists
from trainers import load_trainer, read_rows, rows_from, write_rows

pytestmark = pytest.mark.needs_torch

STEPS = 60
SETTINGS = {
    "max_steps": STEPS, "save_steps": 5, "batch_size": 2, "learning_rate": 5e-3, "lora_dropout": 0.1, "device": "cpu",
    "progress": False,
}  # fmt: skip


@pytest.fixture
def file(ranked_rows_by_hand, tmp_path):
    return write_rows(ranked_rows_by_hand, tmp_path / "rows.jsonl")


def command(file, name, base, out, settings, *more):
    given = [f"--set={key}={value}" for key, value in settings.items()]
    return [sys.executable, "-m", "sandbox", "train", str(file), "--trainer", name, "--base", base, "--out", str(out),
            *given, *more]  # fmt: skip


def killed_in_the_middle(arguments, checkpoints, after=20):
    """Start a training and kill it, as ``kill -9`` does, once a checkpoint beyond the first few is whole."""
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not any(int(seal.parent.name[11:]) >= after for seal in checkpoints.glob("checkpoint-*/sandbox.json")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("name", ["stable_alignment", pytest.param("dpo", marks=pytest.mark.slow)])
def test_killed_and_resumed_ends_as_uninterrupted(name, file, tiny_lm_path, tmp_path):
    """Weights to float noise, and every record of the history; adapters' dropout needs the random state too."""
    base, out = f"hf:{tiny_lm_path}", tmp_path / "models" / "m"
    checkpoints = out.parent / ".m.checkpoints"
    killed_in_the_middle(command(file, name, base, out, SETTINGS), checkpoints)
    assert not out.exists()
    done = subprocess.run(
        command(file, name, base, out, SETTINGS, "--resume", "--json"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["uri"] == f"hf:{out}"
    made = load_trainer(name, **SETTINGS)
    whole = made.train(rows_from(file, made.accepts), base=base, out=tmp_path / "whole")
    history = json.loads((out / "training.json").read_text(encoding="utf-8"))["history"]
    assert [record["step"] for record in history] == list(range(1, STEPS + 1))
    assert [record["loss"] for record in history] == pytest.approx([r["loss"] for r in whole.history], rel=1e-4)
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (out, whole.path))
    for weight in ours:
        assert float((ours[weight] - theirs[weight]).abs().max()) < 1e-5
    assert not checkpoints.exists()


def test_what_is_done_is_not_done_again(file, tiny_lm_path, tmp_path):
    made = load_trainer("sft", **{**SETTINGS, "max_steps": 2, "save_steps": 1})
    rows = rows_from(file, made.accepts)
    first = made.train(rows, base=f"hf:{tiny_lm_path}", out=tmp_path / "m", resume=True)  # none there: from the start
    written = (tmp_path / "m" / "adapter_model.safetensors").stat().st_mtime_ns
    again = made.train(rows, base=f"hf:{tiny_lm_path}", out=tmp_path / "m", resume=True)
    assert (again.uri, again.history) == (first.uri, first.history)
    assert (tmp_path / "m" / "adapter_model.safetensors").stat().st_mtime_ns == written


@pytest.fixture
def stopped(file, tiny_lm_path, tmp_path, monkeypatch):
    """A training that broke after four of six steps; its rows and base."""
    from trainers.finetuning.ranked_trainer import RankedTrainer

    calls = []

    def breaks(*args, **kwargs):
        calls.append(args)
        if len(calls) == 9:  # two questions a step, one at a time: the first of the fifth step
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    original = RankedTrainer.compute_loss
    with monkeypatch.context() as patched:
        patched.setattr(RankedTrainer, "compute_loss", breaks)
        made = load_trainer("rrhf", **{**SETTINGS, "max_steps": 6, "save_steps": 2, "report_to": "tensorboard"})
        with pytest.raises(KeyboardInterrupt):
            made.train(read_rows(file), base=f"hf:{tiny_lm_path}", out=tmp_path / "m")
    return made, f"hf:{tiny_lm_path}"


def test_checkpoints_are_neither_ignored_nor_taken_for_anothers(stopped, file, tmp_path):
    made, base = stopped
    rows, out = read_rows(file), tmp_path / "m"
    with pytest.raises(RunExists) as error:
        made.train(rows, base=base, out=out)
    assert str(error.value) == (
        f"{tmp_path}/.m.checkpoints contains checkpoints of a training that was interrupted after step 4; continue it with "
        "--resume, or remove that folder"
    )
    other = load_trainer("rrhf", **{**SETTINGS, "max_steps": 7, "save_steps": 2, "threads": 1, "weight": 2.0})
    with pytest.raises(RunExists) as error:
        other.train(rows, base=base, out=out, resume=True)
    assert str(error.value) == (
        f"{tmp_path}/.m.checkpoints/checkpoint-4 holds another training: settings.weight was 1.0, now 2.0. "
        "Resume it with its own settings, or choose another --out"
    )
    with pytest.raises(RunExists, match=r"holds another training: rows was '\w+', now '\w+'\. "):
        made.train(rows.select(range(6)), base=base, out=out, resume=True)


def test_a_checkpoint_half_written_is_passed_over(stopped, file, tmp_path):
    """Killed while writing, the newest has no seal; the one before it is gone on from. Trackers' files are kept."""
    made, base = stopped
    checkpoints = tmp_path / ".m.checkpoints"
    (checkpoints / "checkpoint-4" / "sandbox.json").unlink()
    (checkpoints / "checkpoint-4" / "optimizer.pt").write_bytes(b"cut off")
    trained = made.train(read_rows(file), base=base, out=tmp_path / "m", resume=True)
    assert [record["step"] for record in trained.history] == [1, 2, 3, 4, 5, 6]
    assert len(list(trained.path.rglob("events.out.tfevents.*"))) >= 2
    assert not checkpoints.exists()


def test_resume_needs_the_folder(file):
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "train", str(file), "--resume"],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert done.returncode == 2
    assert done.stderr == "SettingsError: --resume needs --out DIR: the folder of the interrupted training\n"


def test_an_interrupted_training_resumes_with_more_steps_but_not_with_fewer(stopped, file, tmp_path):
    _, base = stopped
    rows, out = read_rows(file), tmp_path / "m"
    fewer = load_trainer("rrhf", **{**SETTINGS, "max_steps": 3, "save_steps": 2})
    with pytest.raises(RunExists, match=r"checkpoint-4 is of step 4, but the training would end after s"):
        fewer.train(rows, base=base, out=out, resume=True)
    more = load_trainer("rrhf", **{**SETTINGS, "max_steps": 9, "save_steps": 2})
    trained = more.train(rows, base=base, out=out, resume=True)
    assert [record["step"] for record in trained.history] == list(range(1, 10))


def test_a_training_that_is_done_goes_on_for_more_epochs(file, tiny_lm_path, tmp_path):
    """With its checkpoint kept, one epoch and then another take the steps of two; without, what to do is said."""
    base, out = f"hf:{tiny_lm_path}", tmp_path / "m"
    short = {**SETTINGS, "max_steps": None, "schedule": "constant", "save_steps": 2, "lora_dropout": 0.0}

    def train(epochs, where, **more):
        made = load_trainer("rrhf", **{**short, "epochs": epochs, **more})
        return made.train(read_rows(file), base=base, out=where, resume=True)

    train(1, out, keep_checkpoints=True)
    assert [path.name for path in (tmp_path / ".m.checkpoints").glob("checkpoint-*")] == ["checkpoint-4"]
    trained, whole = train(2, out), train(2, tmp_path / "whole")
    assert [r["step"] for r in trained.history] == list(range(1, 9))
    assert [r["loss"] for r in trained.history] == pytest.approx([r["loss"] for r in whole.history], rel=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".m")) == []
    with pytest.raises(RunExists) as error:
        train(3, out)
    assert str(error.value) == (
        f"{out} is a finished training without a checkpoint, which cannot resume with other epochs or steps. Train it "
        f"further with --base hf:{out} and another --out; or repeat it with --set save_steps=N --set "
        "keep_checkpoints=true, and then resume"
    )
