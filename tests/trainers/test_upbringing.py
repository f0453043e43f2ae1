"""Adapters learnt from an upbringing: one a label, in the agents' own prompts, trained once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox import open_run
from sandbox.cli.main import app
from sandbox.errors import ScenarioError, SettingsError
from sandbox.models.catalog import load_model
from sandbox.scenario.loading import load_scenario
from trainers.upbringing import train_upbringing, upbringing_rows

pytestmark = pytest.mark.needs_torch

SCENARIO = load_scenario("value_alignment", {})
FEW = replace(SCENARIO, upbringing={label: pairs[:4] for label, pairs in SCENARIO.upbringing.items()})
QUICK = {"lora_r": 2, "lora_alpha": 4, "batch_size": 4, "max_length": 64, "dtype": "float32", "progress": False}


def test_rows_are_what_agents_of_the_label_say_in_their_prompts() -> None:
    rows = upbringing_rows(FEW, "bad")
    assert len(rows) == 4
    for row, pair in zip(rows, FEW.upbringing["bad"], strict=True):
        system, user = row["prompt"]
        assert system["role"] == "system"
        assert "Agent " in system["content"]
        assert pair.question in user["content"]
        assert row["completion"] == [{"role": "assistant", "content": pair.answer}]


def test_a_label_without_upbringing_is_said() -> None:
    with pytest.raises(ScenarioError, match=r"has no upbringing for the label 'goood'\. Did you mean 'good'\?"):
        upbringing_rows(FEW, "goood")


def test_each_label_has_an_adapter_that_is_trained_once(tiny_lm_path: Path, tmp_path: Path) -> None:
    begun: list[str] = []
    base = f"hf:{tiny_lm_path}"
    for _ in range(2):
        models = train_upbringing(
            FEW, base, tmp_path / "up", labels=["good", "bad", "strange"], on_label=begun.append, **QUICK
        )
    assert begun == ["good", "bad"]
    assert models == {"good": f"hf:{tmp_path / 'up/good'}", "bad": f"hf:{tmp_path / 'up/bad'}", "strange": base}
    assert len({load_model(uri).fingerprint for uri in models.values()}) == 3


def test_an_adapter_is_trained_in_the_precision_that_the_machine_multiplies_fastest(
    tiny_lm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, settings = f"hf:{tiny_lm_path}", {name: value for name, value in QUICK.items() if name != "dtype"}
    for fastest in ("float32", "bfloat16"):
        monkeypatch.setattr("trainers.upbringing.fast_dtype", lambda device, fastest=fastest: fastest)
        train_upbringing(FEW, base, tmp_path / fastest, labels=["good"], **settings)
        about = json.loads((tmp_path / fastest / "good" / "training.json").read_text(encoding="utf-8"))
        assert about["settings"]["dtype"] == fastest
    # Finished on a machine of another precision: it is kept as it is.
    models = train_upbringing(FEW, base, tmp_path / "float32", labels=["good"], **settings)
    assert models == {"good": f"hf:{tmp_path / 'float32' / 'good'}"}


def test_a_run_with_adapters_goes_on_with_them(
    tiny_lm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trainers.upbringing.SETTINGS", {**QUICK, "epochs": 1})
    short = [f"--set={s}" for s in ("embedder=hashing", "max_tokens=4", "score_only=true", "n_questions=4")]
    base = f"hf:{tiny_lm_path}"
    words = ["run", "value_alignment", "--model", base, "--rater", "values", "--size", "2", "--out", "r", *short]
    for rounds, more in (("1", ["--upbringing", "adapter"]), ("2", ["--resume"])):
        ended = CliRunner().invoke(app, [*words, "--rounds", rounds, *more])
        assert ended.exit_code == 0, ended.output
    run = open_run("r")
    assert run.rounds == 2
    assert run.manifest["models"]["agents"]["dealt"] == {"bad": "hf:r/upbringing/bad", "good": "hf:r/upbringing/good"}
    assert run.manifest["models"]["observer"]["uri"] == base
    assert json.loads(Path("r/upbringing/good/training.json").read_text(encoding="utf-8"))["base"] == base


def test_memory_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["run", "value_alignment", "--model", "scripted:", "--size", "2", "--rounds", "1", "--set=embedder=hashing"]
    ended = CliRunner().invoke(app, [*words, "--out", "r"])
    assert ended.exit_code == 0, ended.output
    assert not Path("r/upbringing").exists()


def test_adapters_need_one_local_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["run", "value_alignment", "--model", "scripted:", "--upbringing"]
    with pytest.raises(SettingsError, match="--upbringing adapter needs one local model, such as smollm2 or hf:PATH"):
        CliRunner().invoke(app, [*words, "adapter"], catch_exceptions=False)
    with pytest.raises(SettingsError, match="Did you mean 'adapter'?"):
        CliRunner().invoke(app, [*words, "adaptor"], catch_exceptions=False)
