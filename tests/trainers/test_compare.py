"""Trainers compared on a tiny model: equal budgets, fresh processes, nothing done twice, one table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtrit
from typer.testing import CliRunner

from sandbox.cli.main import app
from sandbox.errors import RunExists, SandboxError, SettingsError
from sandbox.parallel import JobOutcome, run_in_subprocess
from trainers import write_rows
from trainers.comparison.compare import compare
from trainers.comparison.memory import peak_memory_mib
from trainers.comparison.summary import FIELDS, crossed_interval, holm, markdown, summary
from trainers.evaluation.adversarial import PRESSURES, under_pressure

FAST = {"batch_size": "4", "device": "cpu"}
# Judged by hashed words: no sentence model is loaded in every process.
SAME = {"n_questions": 3, "max_tokens": 4, "embedder": "hashing"}


@pytest.fixture
def record(ranked_rows_by_hand, tmp_path):
    return str(write_rows(ranked_rows_by_hand, tmp_path / "ranked.jsonl"))


@pytest.fixture
def pairs(tmp_path):
    rows = [{"prompt": f"Q{i}?", "chosen": "Talk to them.", "rejected": "Shout."} for i in range(4)]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def in_this_process(function, job):
    """Mock of ``run_in_subprocess``: this process has everything imported; others test that processes are fresh."""
    return JobOutcome(job, function(job))


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr("trainers.comparison.job.run_in_subprocess", in_this_process)
    monkeypatch.setattr("trainers.comparison.budgets.run_in_subprocess", in_this_process)


@pytest.mark.usefixtures("here")
def test_equal_budgets_one_table_and_nothing_done_twice(record, pairs, tiny_lm_path, tmp_path):
    out, base = tmp_path / "out", f"hf:{tiny_lm_path}"
    ended = []

    def go(trainers, seeds):
        return compare(
            [record], trainers, out=out, seeds=seeds, settings=FAST, base=base, tokens=600, pairs=pairs,
            on_job=lambda name, result: ended.append((name, result["status"])), **SAME,
        )  # fmt: skip

    first = go(["sft"], 1)
    assert ended == [("base", "done"), ("sft-0", "done")]
    (entry,) = first["trainers"]
    assert first["measures"] == [
        "heldout alignment", "heldout engagement", "adversarial alignment", "adversarial engagement",
        "preference accuracy",
    ]  # fmt: skip
    assert (entry["name"], entry["kind"], entry["done"], entry["failed"]) == ("sft", "demonstrations", [0], {})
    # Half a step is as far from a budget as whole steps need ever be.
    assert abs(entry["tokens"] - 600) <= 0.5 * entry["tokens"] / entry["steps"]
    about = json.loads((out / "sft-0" / "model" / "training.json").read_text(encoding="utf-8"))
    assert (about["metrics"]["steps"], about["settings"]["seed"]) == (entry["steps"], 0)
    assert entry["seconds"] > 0
    assert entry["memory_mib"] > 100  # torch alone is more
    assert (first["base_scores"]["heldout alignment"]["n"], first["base_scores"]["preference accuracy"]["n"]) == (3, 4)

    # Seeds and trainers may be added; what is finished stays as it is.
    ended.clear()
    made = (out / "sft-0" / "result.json").stat().st_mtime_ns
    second = go(["sft", "stable_alignment"], 2)
    assert ended == [("stable_alignment-0", "done"), ("sft-1", "done"), ("stable_alignment-1", "done")]
    assert (out / "sft-0" / "result.json").stat().st_mtime_ns == made
    assert [len(e["scores"]["heldout alignment"]["seeds"]) for e in second["trainers"]] == [2, 2]

    # A model that is whole is evaluated and not trained again, if the process died between the two.
    (out / "sft-0" / "result.json").unlink()
    weights = (out / "sft-0" / "model" / "training.json").stat().st_mtime_ns
    assert go(["sft"], 1)["trainers"][0]["scores"] == first["trainers"][0]["scores"]
    assert (out / "sft-0" / "model" / "training.json").stat().st_mtime_ns == weights

    with pytest.raises(RunExists, match=r"holds another comparison: tokens was 600, now 700\. Resume it with"):
        compare([record], ["sft"], out=out, base=base, tokens=700, pairs=pairs, settings=FAST, **SAME)
    with pytest.raises(RunExists, match=r"another comparison: settings\.sft\.batch_size was '4', now '2'; "):
        compare([record], ["sft"], out=out, base=base, tokens=600, pairs=pairs, settings={"batch_size": "2"}, **SAME)


@pytest.mark.usefixtures("here")
def test_a_training_that_fails_is_told_and_the_others_go_on(record, tiny_lm_path, tmp_path, docs_site):
    """From the command line, with the figure; a rate of 1e39 breaks the weights of one trainer."""
    out = tmp_path / "out"
    command = command_for(record, tiny_lm_path, out, "sft,stable_alignment", "--set", "sft.learning_rate=1e39")
    said = CliRunner().invoke(app, command, catch_exceptions=False)
    assert said.exit_code == 0
    assert "failed: sft, seed 0: TrainingDiverged: after the last step" in said.stdout
    assert said.stdout.rstrip().endswith(f"{out}: comparison.json, comparison.md and figures/trainers.png")
    found = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert docs_site("file_fields").unnamed(FIELDS, found) == []
    assert [(e["name"], e["done"], list(e["failed"])) for e in found["trainers"]] == [
        ("sft", [], ["0"]),
        ("stable_alignment", [0], []),
    ]
    assert found["trainers"][0]["seconds"] is None
    text = (out / "comparison.md").read_text(encoding="utf-8")
    assert text.startswith("```sh\nsandbox")
    assert "| sft (1 failed) | - | - | - | - | - |" in text
    assert "* sft, seed 0: TrainingDiverged" in text
    # What failed is tried again, and what is done is not; as one JSON object this time.
    again = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    assert again.exit_code == 0
    assert json.loads(again.stdout)["trainers"] == found["trainers"]


def command_for(record, base, out, trainers, *more):
    """A comparison that takes seconds, as one would type it."""
    quick = [
        "--seeds",
        "1",
        "--steps",
        "1",
        "--judge",
        "values",
        "--embedder",
        "hashing",
        "--n-questions",
        "2",
        "--set",
        "device=cpu",
    ]
    return ["compare", record, "--trainers", trainers, "--base", f"hf:{base}", "--out", str(out), *quick, *more]


@pytest.mark.slow
def test_a_comparison_that_was_killed_goes_on_in_real_processes(record, tiny_lm_path, tmp_path):
    """Killed with -9 once a model is trained; the second process trains only what is left, and ends the same."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    sandbox = [sys.executable, "-m", "sandbox"]

    def command(folder):
        return [*sandbox, *command_for(record, tiny_lm_path, folder, "sft,stable_alignment", "--json")]

    process = subprocess.Popen(
        command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (out / "sft-0" / "trained.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "comparison.json").exists()
    weights = (out / "sft-0" / "model" / "training.json").stat().st_mtime_ns
    results = []
    for folder in (out, whole):
        ended = subprocess.run(command(folder), capture_output=True, text=True, timeout=600, check=True)
        results.append([(e["name"], e["done"], e["scores"]) for e in json.loads(ended.stdout)["trainers"]])
    assert results[0] == results[1]
    assert [name for name, done, _ in results[0] if done == [0]] == ["sft", "stable_alignment"]
    assert (out / "sft-0" / "model" / "training.json").stat().st_mtime_ns == weights


@pytest.mark.usefixtures("here")
def test_a_worker_that_dies_at_once_is_told(record, tiny_lm_path, tmp_path, monkeypatch):
    """Mock of ``run_jobs``: every worker dies before it has written anything."""
    monkeypatch.setattr(
        "trainers.comparison.compare.run_jobs", lambda _, jobs, **__: (JobOutcome(job, None, "it died") for job in jobs)
    )
    base, out = f"hf:{tiny_lm_path}", tmp_path / "out"
    with pytest.raises(SandboxError, match="could not be evaluated: it died"):
        compare([record], ["sft"], out=out, base=base, steps=1, seeds=1, workers=2, settings=FAST, **SAME)
    assert not out.exists()  # nothing was finished that a repetition could use


@pytest.mark.slow
def test_trainings_go_on_side_by_side(record, tiny_lm_path, tmp_path):
    """Two workers, each with a core of its own; one training fails and is told, and what is done is not done again."""
    command = command_for(record, tiny_lm_path, tmp_path / "out", "sft,stable_alignment", "--workers", "2", "--json")
    command += ["--set", "sft.learning_rate=1e39"]
    written = set()
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-m", "sandbox", *command], capture_output=True, text=True, timeout=600)
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout)["trainers"]
        assert [(e["name"], e["done"], list(e["failed"])) for e in found] == [
            ("sft", [], ["0"]),
            ("stable_alignment", [0], []),
        ]
        written.add((tmp_path / "out" / "stable_alignment-0" / "result.json").stat().st_mtime_ns)
    assert len(written) == 1


@pytest.mark.usefixtures("here")
def test_what_cannot_be_compared(record, tiny_lm_path, tmp_path, monkeypatch):
    base = f"hf:{tiny_lm_path}"

    def refused(words, trainers=("sft",), **given):
        with pytest.raises(SandboxError, match=words):
            compare([record], trainers, out=tmp_path / "none", **{"base": base, **given})
        assert not (tmp_path / "none").exists()

    refused("tokens and steps are alternatives; give one of them", tokens=1, steps=1)
    refused("'./nowhere' is not a folder", judge="hf:./nowhere")
    refused("could not be evaluated: .*missing.txt", questions="missing.txt", steps=1)
    refused(r"samples=0 must be in \[1, 1000\]\n  base 'scripted:' has no local weights", base="scripted:", samples=0)
    refused("name trainers to compare, each once; found sft, sft", trainers=("sft", "sft"))
    refused("epochs cannot be set: the budget is --tokens or --steps, seeds are --seeds", settings={"epochs": "1"})
    refused(r"trainer 'sft' has no setting 'betta'.", settings={"sft.betta": "1"})
    refused("dpo.beta: not among the trainers of this comparison, sft", settings={"dpo.beta": "1"})
    refused("comparison has no setting 'token'. Did you mean 'tokens'?", token=1)
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "testing")
    with pytest.raises(SettingsError, match=r"trainer '.*Own' has no setting max_steps or batch_size or seed"):
        compare([record], ["test_testing_trainers:Own"], out=tmp_path / "none", base=base)


def test_differences_are_paired_by_question_with_an_interval_over_questions_and_seeds():
    """By hand: the base has 4 and 5. Seeds gave 5, 5 and 7, 5: means 6, 5; differences 2, 0; their mean 1.

    Seed 0 differs by (1 + 0) / 2, seed 1 by (3 + 0) / 2. The variance of 2 and 0 is 2, over 2 questions 1; that of 0.5 and
    1.5 is 0.5, over 2 seeds 0.25. The standard error is sqrt(1.25), with 1.25^2 / (1^2 + 0.25^2) = 1.47 degrees of freedom.
    """

    def job(a, b, **more):
        return {"status": "done", "scores": {"heldout x": {"A": a, "B": b}}, "answer_tokens": 10.0, **more}

    def trained(a, b):
        return job(a, b, seconds=2.0, cpu_seconds=3.0, memory_mib=100)

    records = {"base": job(4, 5), "t-0": trained(5, 5), "t-1": trained(7, 5), "t-2": {"status": "failed", "error": "E"}}
    header = {"seeds": [0, 1, 2], "base": "b", "judge": "values", "command": "sandbox compare"}
    found = summary(header, {"t": {"tokens": 1000}}, records)
    score = found["trainers"][0]["scores"]["heldout x"]
    assert (score["mean"], score["seeds"]) == (5.5, [0.5, 1.5])
    assert score["difference"]["mean"] == 1.0
    half = stdtrit(1.25**2 / 1.0625, 0.975) * 1.25**0.5
    assert np.allclose([score["difference"]["low"], score["difference"]["high"]], [1 - half, 1 + half], atol=1e-6)
    assert markdown(found).splitlines() == [
        "```sh",
        "sandbox compare",
        "```",
        "",
        "| trainer | heldout x | answer tokens | training tokens | s | CPU s | MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| base | 4.50 | 10 |  |  |  |  |",
        "| t (1 failed) | +1.00 [-5.92, +7.92] | 10 | 1,000 | 2 | 3 | 100 |",
        "",
        "1 trainers from b, 3 seeds, 2 questions, judge values: the base's mean, and each trainer's difference to it, "
        "paired, with a 95% interval over questions and seeds.",
        "",
        "Failed:",
        "* t, seed 2: E",
    ]


def test_memory_is_that_of_one_process_not_of_its_parent():
    """This process takes 400 MiB and starts another that takes next to nothing."""
    held = np.ones(50 * 2**20)  # 400 MiB, each page touched
    _, small, _ = run_in_subprocess(_memory_after, 0)
    _, large, _ = run_in_subprocess(_memory_after, 25 * 2**20)
    assert peak_memory_mib() > held.nbytes / 2**20
    assert small < 300
    assert 180 < large - small < 260


def _memory_after(numbers):
    held = np.ones(numbers)
    del held
    return peak_memory_mib()


def test_every_process_is_fresh():
    def pid():
        return run_in_subprocess(_pid, None).result

    assert pid() != pid()
    assert run_in_subprocess(_die, None).crash == "its worker process died, perhaps out of memory"


def _pid(_):
    return os.getpid()


def _die(_):
    os._exit(1)


def test_pressures_take_turns_and_keep_the_question():
    questions = [f"May I do {i}?" for i in range(8)]
    asked = under_pressure(questions)
    names = list(PRESSURES)
    assert [name for name, _ in asked] == [*names, *names[:2]]
    assert len(names) == len(set(names)) == 6
    for question, (_, messages) in zip(questions, asked, strict=True):
        assert question in messages[-1].content
        assert messages[-1].role == "user"
        assert [m.role for m in messages] in (["user"], ["user", "assistant", "user"])
    assert [m.role for m in PRESSURES["insistence"]("Q?")] == ["user", "assistant", "user"]


def test_importing_it_loads_no_torch():
    code = "import sys, trainers.comparison.compare; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_interval_of_a_difference_holds_the_spread_over_seeds() -> None:
    """By hand: seeds' means 1 and 3, questions' means all 2: variance of the mean 2/2, one degree of freedom."""
    table = np.array([[1.0, 1.0, 1.0, 1.0], [3.0, 3.0, 3.0, 3.0]])
    found = crossed_interval(table)
    assert found["mean"] == 2.0
    assert found["high"] - 2.0 == pytest.approx(12.7062, abs=1e-3)
    # One seed: Student's t over questions.
    alone = crossed_interval(np.array([[1.0, 2.0, 3.0, 4.0]]))
    assert alone["high"] - 2.5 == pytest.approx(3.1824 * np.sqrt(5 / 3 / 4), abs=1e-3)
    assert np.isnan(crossed_interval(np.zeros((0, 0)))["mean"])
    assert np.isnan(crossed_interval(np.ones((2, 3)))["p"])


def test_an_interval_over_questions_and_seeds_covers_the_truth() -> None:
    """400 comparisons without a difference, with seeds that matter: about 95% of the intervals hold zero."""
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        table = draw.normal(0, 1, (1, 40)) + draw.normal(0, 0.4, (3, 1)) + draw.normal(0, 1, (3, 40))
        found = crossed_interval(table)
        held += found["low"] <= 0 <= found["high"]
    assert 0.92 <= held / 400 <= 1.0


def test_holms_correction_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, float("nan")])[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(holm([0.01, float("nan")])[1])
