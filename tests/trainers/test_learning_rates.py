"""Learning rates tried in a comparison: what is chosen, what is trained with it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import SandboxError, SettingsError
from sandbox.parallel import JobOutcome
from trainers import read_rows, write_rows
from trainers.comparison import learning_rates
from trainers.comparison.compare import compare
from trainers.comparison.job import Job
from trainers.comparison.learning_rates import choose_rates, rates_note, tuning_jobs, tuning_questions
from trainers.comparison.settings import ComparisonSettings

pytestmark = pytest.mark.needs_torch

SAME = {"n_questions": 2, "max_tokens": 4, "embedder": "hashing", "judge": "values"}


@pytest.fixture
def record(ranked_rows_by_hand: Any, tmp_path: Path) -> Path:
    return Path(write_rows(ranked_rows_by_hand, tmp_path / "ranked.jsonl"))


def held(**more: Any) -> ComparisonSettings:
    return ComparisonSettings(base="smollm2", **{"rates": (1e-5, 1e-4), **more})


def test_rates_are_judged_on_questions_that_are_neither_held_out_nor_trained_on(record: Path) -> None:
    from sandbox import load_scenario

    asked, warning = tuning_questions(held(), record)
    scenario = load_scenario("value_alignment", {})
    prompts = {turn["content"] for row in read_rows(record) for turn in row["prompt"]}
    assert (len(asked), warning) == (24, "")
    assert not set(asked) & (set(scenario.heldout) | prompts)


def done(scores: Mapping[str, float]) -> dict[str, Any]:
    return {"status": "done", "scores": {"heldout alignment": dict(scores)}}


def test_the_highest_score_is_chosen_and_of_equals_the_lowest_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = {
        "sft-1e-05": done({"a": 1, "b": 3}), "sft-0.0001": done({"a": 2, "b": 2}), "dpo-1e-05": done({"a": 1, "b": 1}),
        "dpo-0.0001": {"status": "failed", "error": "diverged"},
    }  # fmt: skip

    def ended(function: Any, jobs: list[Job], *, workers: int) -> Any:
        del function, workers
        return [(job, results[job.name], None) for job in jobs]

    monkeypatch.setattr(learning_rates, "run_jobs", ended)
    settings = {"sft": {"seed": 0}, "dpo": {"seed": 0}}
    jobs = tuning_jobs(tmp_path, held(), settings, {"sft": tmp_path / "a", "dpo": tmp_path / "b"}, ["Q?"])
    assert [(job.name, job.settings["learning_rate"], job.questions) for job in jobs][:2] == [
        ("sft-1e-05", 1e-5, ("Q?",)), ("sft-0.0001", 1e-4, ("Q?",)),
    ]  # fmt: skip
    found = choose_rates(jobs, workers=1)
    assert found["sft"] == {"learning_rate": 1e-5, "rates": {"1e-05": 2.0, "0.0001": 2.0}}
    assert found["dpo"] == {"learning_rate": 1e-5, "rates": {"1e-05": 1.0, "0.0001": None}}
    assert rates_note(found["dpo"]) == (
        "learning rate 1e-05, chosen by scores on other questions among 1e-05 (1.00), 0.0001 (failed)"
    )
    results["dpo-1e-05"] = results["dpo-0.0001"]
    with pytest.raises(SandboxError, match="dpo failed with every learning rate; the first: diverged"):
        choose_rates(jobs, workers=1)


def test_a_rate_is_either_set_or_chosen(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sft: learning_rate is set, so --rates has nothing to choose"):
        tuning_jobs(tmp_path, held(), {"sft": {"seed": 0, "learning_rate": "1e-3"}}, {"sft": tmp_path}, ["Q?"])
    with pytest.raises(SettingsError, match=r"rates 2\.0 must be different and in \(0, 1\)"):
        held(rates=(2.0,))


def test_models_are_trained_with_the_chosen_rate(
    record: Path, tiny_lm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The subprocess is mocked by a call: other tests show that it is one."""

    def here(function: Any, job: Any) -> JobOutcome:
        return JobOutcome(job, function(job))

    monkeypatch.setattr("trainers.comparison.job.run_in_subprocess", here)
    monkeypatch.setattr("trainers.comparison.budgets.run_in_subprocess", here)
    monkeypatch.setattr(learning_rates, "N_QUESTIONS", 2)  # of the 2 that each rate is judged on
    names = []
    out = tmp_path / "out"
    found = compare(
        [record], ["sft"], out=out, seeds=1, settings={"device": "cpu"}, base=f"hf:{tiny_lm_path}", steps=1,
        rates=(1e-4, 1e-3), on_job=lambda name, _: names.append(name), **SAME,
    )  # fmt: skip
    assert names == ["sft-0.0001", "sft-0.001", "base", "sft-0"]
    [entry] = found["trainers"]
    assert set(entry["rates"]) == {"0.0001", "0.001"}
    about = json.loads((out / "sft-0" / "model" / "training.json").read_text(encoding="utf-8"))
    assert about["settings"]["learning_rate"] == entry["learning_rate"]
    assert entry["notes"][0] == rates_note(entry)
