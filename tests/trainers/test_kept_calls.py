"""An evaluation that was broken off: what was said is kept, and nobody is asked twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from stub_server import StubServer

from sandbox.conversation.steps import Call
from sandbox.errors import CostCapReached, ModelNotFound, RunExists, SettingsError
from sandbox.models.base import Message, Reply, Request
from sandbox.models.scripted import ScriptedModel
from trainers.evaluation.call_log import EvaluationCallLog
from trainers.evaluation.suite import SuiteSettings, run_suite

pytestmark = pytest.mark.needs_torch

COMMAND = [sys.executable, "-m", "sandbox", "evaluate", "--judge", "values"]


def call(text: str, replies: str = "yes") -> Call:
    return Call(ScriptedModel(replies=[replies]), Request((Message("user", text),)))


def test_replies_come_back_for_the_same_weights_alone(tmp_path: Path) -> None:
    kept = EvaluationCallLog(tmp_path / "e")
    said = Reply("Talk.", {"A": 0.25, "B": 0.75}, 3, 4)
    kept.record([(call("a"), said), (call("b"), Reply("", finish_reason="error", error="server down"))])
    kept.flush()
    again = EvaluationCallLog(tmp_path / "e", resume=True)
    assert (len(again), again.recall(call("a"))) == (1, said)
    assert again.recall(call("b")) is again.recall(call("c")) is again.recall(call("a", "other weights")) is None
    again.remove()
    assert not list((tmp_path / "e").iterdir())


def test_a_line_that_was_cut_off_is_asked_anew(tmp_path: Path) -> None:
    kept = EvaluationCallLog(tmp_path)
    kept.record([(call("a"), Reply("one")), (call("b"), Reply("two"))])
    kept.flush()
    kept.path.write_bytes(kept.path.read_bytes()[:-20])
    second = EvaluationCallLog(tmp_path, resume=True)
    assert (second.recall(call("a")), second.recall(call("b"))) == (Reply("one"), None)
    second.record([(call("b"), Reply("two"))])
    second.flush()
    assert EvaluationCallLog(tmp_path, resume=True).recall(call("b")) == Reply("two")


def test_what_was_broken_off_is_not_begun_anew(tmp_path: Path) -> None:
    kept = EvaluationCallLog(tmp_path)
    kept.record([(call("a"), Reply("one"))])
    kept.flush()
    with pytest.raises(RunExists, match="was interrupted; continue it with --resume, or choose another --out"):
        EvaluationCallLog(tmp_path)


def test_a_killed_evaluation_goes_on(tmp_path: Path) -> None:
    """Over HTTP, with a judge that is asked too; killed twice: while models answer, and while the judge rates."""
    (tmp_path / "q.txt").write_text("".join(f"May I take number {n}?\n" for n in range(300)), encoding="utf-8")
    with StubServer(delay_s=0.1) as server:
        words = [
            f"openai:a@{server.url}", f"openai:b@{server.url}", "--questions", "q.txt", "--judge", f"openai:j@{server.url}",
            "--set", "embedder=hashing", "--json",
        ]  # fmt: skip

        def evaluate(*more: str, until: int | None = None) -> dict[str, Any] | None:
            process = subprocess.Popen([*COMMAND, *words, *more], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
            if until is not None:
                deadline = time.monotonic() + 60
                while len(server.asked) < until and time.monotonic() < deadline:
                    time.sleep(0.002)
                process.send_signal(signal.SIGKILL)
            printed, _ = process.communicate(timeout=120)
            return json.loads(printed) if until is None else None

        whole = evaluate("--out", "whole")
        # The stub says the same to all, so the judge is asked of each question once, for each dimension.
        needed = len(server.asked)
        assert needed >= 600
        server.asked.clear()
        evaluate("--out", "cut", until=500)
        refused = subprocess.run(
            [*COMMAND, *words, "--out", "cut"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (refused.returncode, "--resume" in refused.stderr) == (2, True)
        evaluate("--out", "cut", "--resume", until=800)
        resumed = evaluate("--out", "cut", "--resume")
    assert whole is not None
    assert resumed is not None
    # What was under way when it was killed, at most 256 calls at once, is asked again.
    assert needed <= len(server.asked) <= needed + 2 * 256
    for key in ("models", "differences", "answers", "judging"):
        assert resumed[key] == whole[key]
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["evaluation.json", "evaluation.md", "figures"]


def test_one_that_was_killed_before_its_figures_were_drawn(tmp_path: Path) -> None:
    """What is kept of it stands beside evaluation.json until all is done; after that it is not written over."""
    (tmp_path / "q.txt").write_text("May I take it?\nMay I keep it?\n", encoding="utf-8")
    (tmp_path / "r.json").write_text('["Talk to them."]', encoding="utf-8")
    words = ["scripted:r.json", "--questions", "q.txt", "--set", "embedder=hashing", "--out", "e", "--json", "--resume"]

    def evaluate() -> int:
        return subprocess.run([*COMMAND, *words], cwd=tmp_path, capture_output=True, check=False).returncode

    assert evaluate() == 0
    (tmp_path / "e" / "calls.jsonl").write_bytes(b"")
    (tmp_path / "e" / "figures" / "comparison.png").unlink()
    assert evaluate() == 0
    assert (tmp_path / "e" / "figures" / "comparison.png").is_file()
    assert evaluate() == 2


@pytest.mark.parametrize(
    "parts", [{"pairs": "p.jsonl"}, {"choices": "c.jsonl"}, {"pairs": "p.jsonl", "reference": "scripted:"}]
)
def test_models_without_weights_are_refused_before_anything_is_asked(
    parts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_lm_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.jsonl").write_text('{"prompt": "Q?", "chosen": "Talk.", "rejected": "Shout."}\n', encoding="utf-8")
    Path("c.jsonl").write_text('{"question": "Q?", "choices": ["Talk.", "Shout."], "answer": 0}\n', encoding="utf-8")
    asked: list[str] = []

    def unseen(what: str, total: float) -> Any:
        asked.append(what)
        raise AssertionError

    models: list[Any] = [f"hf:{tiny_lm_path}"] if "reference" in parts else [ScriptedModel()]
    with pytest.raises(ModelNotFound, match="has no local weights to compute likelihoods with"):
        run_suite(
            models, SuiteSettings(adversarial=True, **parts), progress=unseen, embedder="hashing", judge=["values"]
        )
    assert not asked


def test_a_capped_evaluation_stops_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A higher cap resumes it; no call is repeated, and what was paid before counts."""
    from sandbox.cli.commands.evaluate import evaluate_to

    monkeypatch.chdir(tmp_path)
    Path("q.txt").write_text("".join(f"May I take number {n}?\n" for n in range(400)), encoding="utf-8")
    with StubServer() as server:
        given: dict[str, Any] = {
            "questions": "q.txt", "judge": ["values"], "embedder": "hashing", "quiet": True, "model.price_prompt": 10.0,
            "model.price_completion": 10.0, "controls": False,
        }  # fmt: skip
        model = f"openai:a@{server.url}"
        with pytest.raises(SettingsError, match="no model has prices"):
            evaluate_to(tmp_path / "e", [model], quiet=True, questions="q.txt", judge=["values"], max_cost=1.0)
        with pytest.raises(SettingsError, match="nothing to cap: no model and no judge is on a server"):
            evaluate_to(tmp_path / "e", ["scripted:"], **given, max_cost=1.0)
        assert not (tmp_path / "e").exists()
        assert not server.asked
        log = EvaluationCallLog(tmp_path / "none", max_cost=1.0, prices=(10.0, 10.0))
        with pytest.raises(
            CostCapReached, match=r"stopped by --max-cost 1e-06; finished calls are kept: continue with"
        ):
            evaluate_to(tmp_path / "e", [model], **given, max_cost=1e-6)
        first = len(server.asked)
        assert 0 < first < 400
        kept = EvaluationCallLog(tmp_path / "e", resume=True, max_cost=1.0, prices=(10.0, 10.0))
        assert (len(kept), kept.usd > 1e-6, log.usd) == (first, True, 0)
        with pytest.raises(CostCapReached):
            evaluate_to(tmp_path / "e", [model], **given, max_cost=1e-6, resume=True)
        assert len(server.asked) == first
        evaluate_to(tmp_path / "e", [model], **given, max_cost=100.0, resume=True)
        assert len(server.asked) == 400
