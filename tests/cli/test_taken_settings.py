"""What a command has an option for, or sets itself, is no setting of ``--set``: the error says where to give it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.main import main

ASK = ("survey", "{run}", "questions.csv")
FUTURE = ("what-if", "{run}@1", "--event", "Rain.", "--out", "futures")


@pytest.mark.parametrize(
    ("command", "setting", "said"),
    [
        (ASK, "at", "use the option --at"),
        (ASK, "questions", "it is an argument of the command"),
        (ASK, "rater", "the command sets it itself"),
        (FUTURE, "branch", "it is an argument of the command"),
        (FUTURE, "event-to", "use the option --event-to"),
        (FUTURE, "max_calls", "use the option --max-calls"),
        (("show-prompts", "value_alignment"), "protocol", "use the option --protocol"),
    ],
)
def test_refused(
    command: tuple[str, ...], setting: str, said: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    words = [word.format(run=run_dir) for word in command]
    monkeypatch.setattr("sys.argv", ["sandbox", *words, "--set", f"{setting}=1"])
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert (ended.value.code, error) == (2, f"SettingsError: --set {setting.replace('-', '_')} cannot be: {said}\n")


@pytest.mark.needs_torch
def test_an_option_of_an_evaluation_or_of_rows_is_no_setting(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for words, said in (
        (["evaluate", "hf:./none", "--set", "judge=values"], "judge cannot be: use the option --judge"),
        (
            ["dataset", "a", "--kind", "ranked", "--out", "o.jsonl", "--set", "kind=sft"],
            "kind cannot be: use the option --kind",
        ),
    ):
        monkeypatch.setattr("sys.argv", ["sandbox", *words])
        with pytest.raises(SystemExit):
            main()
        assert capsys.readouterr().err == f"SettingsError: --set {said}\n"


@pytest.mark.needs_torch
def test_a_setting_of_trainers_among_those_of_the_society_is_told_how_to_be_given(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    words = [
        "evolve",
        "public_goods",
        "--trainer",
        "policy_gradient",
        "--reward",
        "payoff",
        "--out",
        str(tmp_path / "evo"),
    ]
    monkeypatch.setattr("sys.argv", ["sandbox", *words, "--set", "baseline=record", "--set", "pot_return=0.5"])
    with pytest.raises(SystemExit):
        main()
    error = capsys.readouterr().err
    assert error.startswith("SettingsError: scenario 'public_goods' has no setting 'baseline'.")
    assert error.endswith("\nSettings of trainers are given as --set train.baseline=record\n")
