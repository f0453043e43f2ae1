"""The commands of the loop, one after the other, on a tiny random model: run, dataset, train, evaluate, report, demo."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from in_process import Ended, call

from sandbox import open_run
from sandbox.cli.commands.demo import whole_loop
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model

QUICK = ("epochs=1", "progress=false", "learning_rate=1e-3")

Sandbox = Callable[..., Ended]


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sandbox:
    """Runs the command line in this process, in the test's folder: ``sandbox("ls", "trainers")``; any exit code but 0
    must be asked for."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path, code: int = 0) -> Ended:
        ended = call(words, monkeypatch, capsys)
        assert ended.code == code, ended.out + ended.err
        return ended

    return run


def settings(pairs: Sequence[str]) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


@pytest.mark.parametrize("trainer", ["stable_alignment", pytest.param("dpo", marks=pytest.mark.slow)])
def test_from_a_society_to_a_trained_model_and_its_worth(
    sandbox: Sandbox, tiny_lm_path: Path, tmp_path: Path, trainer: str
) -> None:
    base = f"hf:{tiny_lm_path}"
    quick = settings(["embedder=hashing", "n_questions=4", "max_tokens=8", "reason_tokens=6"])
    speaker = {"dpo": "scripted:", "stable_alignment": base}[
        trainer
    ]  # answers of a random model are all alike: no pairs
    said = sandbox(
        "run", "value_alignment", "--model", speaker, "--rater", "values", "--size", "2", "--rounds", "2", "--out", "run",
        *quick, "--json",
    )  # fmt: skip
    summary = json.loads(said.out)
    assert (summary["run"], summary["interactions"], summary["failed"], summary["rounds"]) == ("run", 8, 0, 2)
    assert set(summary) == {
        "run",
        "interactions",
        "failed",
        "failures",
        "unreadable",
        "recalled",
        "notes",
        "rounds",
        "calls",
        "alignment",
        "engagement",
        "stopped",
        "ended",
    }
    assert 1 <= summary["alignment"] <= 7

    kind = {"dpo": "preferences", "stable_alignment": "ranked"}[trainer]
    said = sandbox("dataset", "run", "--kind", kind, "--out", "rows.jsonl", "--json")
    told = json.loads(said.out)
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert (told["file"], told["kind"], told["rows"]) == ("rows.jsonl", kind, len(lines))
    assert told["rows"] > 0

    # From the file and from the run alike.
    said = sandbox(
        "train", "rows.jsonl", "--trainer", trainer, "--base", base, "--out", "models/a", *settings(QUICK), "--json"
    )
    trained = json.loads(said.out)
    assert (trained["uri"], trained["trainer"]) == ("hf:models/a", trainer)
    assert trained["metrics"]["loss"] > 0
    sandbox(
        "train", "run", "--trainer", trainer, "--base", base, "--out", "models/b", *settings([*QUICK, "merge=true"])
    )
    request = Request((Message("user", "May I?"),), max_tokens=4)
    for name in ("a", "b"):
        [reply] = load_model(f"hf:{tmp_path / 'models' / name}").generate([request])
        assert reply.error is None

    (tmp_path / "q.txt").write_text("May I take it?\nMay I keep it?\n", encoding="utf-8")
    said = sandbox(
        "evaluate",
        base,
        "hf:models/a",
        "--questions",
        "q.txt",
        "--out",
        "evaluation",
        "--judge",
        "values",
        *settings(["max_tokens=6", "embedder=hashing"]),
        "--json",
    )
    result = json.loads(said.out)
    assert result == json.loads((tmp_path / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert [m["uri"] for m in result["models"]] == [base, "hf:models/a"]
    assert (result["questions"], len(result["answers"]), result["differences"][0]["against"]) == (2, 4, base)

    sandbox("report", ".")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [w for w in ("Evaluation: evaluation", "Training: models/a", "Society: run") if w not in page] == []


@pytest.mark.slow
def test_the_demo_goes_through_all_parts_and_does_none_twice(
    tiny_lm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo itself with a tiny model in the place of the bundled one."""
    short = {"size": 2, "n_questions": 4, "max_tokens": 8, "reason_tokens": 6, "rater": "values"}
    monkeypatch.setattr("sys.argv", ["sandbox", "demo"])

    def demo() -> dict[str, Any]:
        return whole_loop(
            tmp_path / "demo", model=f"hf:{tiny_lm_path}", rounds=1, seed=0, quiet=False, samples=1, society=short,
            training={"epochs": 1}, evaluation={"judge": "values"},
        )  # fmt: skip

    first = demo()
    shown = capsys.readouterr()
    assert all(words in shown.out for words in ("trained - base", "alignment", "engagement", "[", "Report: "))
    assert all(
        part in shown.err
        for part in ("simulating: 100%", "training (stable_alignment): 100%", "answers: 100%", "judging: 100%")
    )
    assert Path(first["report"]).is_file()
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "demo").rglob("*") if p.suffix in (".json", ".safetensors")}
    assert demo()["differences"] == first["differences"]
    assert [p for p, when in made.items() if p.stat().st_mtime_ns != when and p.parent.name != "run"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "value_alignmnt"], "UnknownPlugin: no scenario named 'value_alignmnt'. Did you mean 'value_alignment'?"),
        (["run", "value_alignment", "--model", "scripted:", "--set", "reviewer=2"],
         "SettingsError: scenario 'value_alignment' has no setting 'reviewer'."),
        (["run", "value_alignment", "--model", "scripted:", "--size", "1"], "needs at least 2 agents, not 1; use --size 2"),
        (["run", "value_alignment", "--model", "scripted:", "--set", "oops"], "--set takes KEY=VALUE; found 'oops'"),
        (["run", "value_alignment", "--model", "smolm2"], "no model named 'smolm2'. Did you mean 'smollm2'?"),
        (["dataset", "nowhere", "--kind", "ranked", "--out", "x.jsonl"], "RunNotFound: nowhere is not a run"),
        (["dataset", "nowhere", "--kind", "rankd", "--out", "x.jsonl"], "no rows of kind 'rankd'. Did you mean 'ranked'?"),
        (["train", "nowhere", "--trainer", "stabel_alignment"], "Did you mean 'stable_alignment'? Installed: "),
        (["train", "nowhere", "--set", "epoch=2"], "trainer 'stable_alignment' has no setting 'epoch'. Did you mean 'epochs'?"),
        pytest.param(["evaluate", "hf:nowhere"], "ModelNotFound: ", marks=pytest.mark.needs_torch),
        (["plot", "nowhere"], "RunNotFound: nowhere does not exist. Make a run with: sandbox run SCENARIO --out nowhere"),
        (["report", "nowhere"], "RunNotFound: nowhere contains no run, trained model, evaluation or sweep to report on"),
        (["ls", "trainer"], "no kind of plugin named 'trainer'. Did you mean 'trainers'?"),
    ],
)  # fmt: skip
def test_what_the_user_can_mend_is_one_message_and_exit_code_2(
    sandbox: Sandbox, tmp_path: Path, words: list[str], message: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    ended = sandbox(*words, code=2)
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_debug_shows_where(tmp_path: Path) -> None:
    program = "import sys; sys.argv[0] = 'sandbox'; from sandbox.cli.main import main; main()"
    command = [sys.executable, "-c", program, "--debug", "report", "nowhere"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "RunNotFound" in ended.stderr


def test_a_run_that_is_there_is_refused_and_one_that_was_stopped_goes_on(sandbox: Sandbox, tmp_path: Path) -> None:
    run = ("run", "value_alignment", "--model", "scripted:", "--size", "2", "--out", "run", "--set", "embedder=hashing")
    sandbox(*run, "--rounds", "1")
    ended = sandbox(*run, "--rounds", "2", code=2)
    assert "run already holds a run; add --resume to continue it, or choose another --out" in ended.err
    said = sandbox(*run, "--rounds", "2", "--resume")
    assert "run: 8 interactions in 2 rounds, 0 failed" in said.out
    assert open_run(tmp_path / "run").rounds == 2


def test_runs_name_themselves_and_are_listed(sandbox: Sandbox) -> None:
    for _ in range(2):
        sandbox("run", "value_alignment", "--model", "scripted:", "--size", "2", "--rounds", "1",
                "--set", "embedder=hashing")  # fmt: skip
    listed = json.loads(sandbox("ls", "runs", "--json").out)
    assert [one["name"] for one in listed] == ["runs/value_alignment-1", "runs/value_alignment-2"]
    assert listed[0]["summary"] == "value_alignment, 2x2, 1 round"
