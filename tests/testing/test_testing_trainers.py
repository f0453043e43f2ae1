"""The conformance kit: a trainer that breaks a promise is told which."""

from __future__ import annotations

import json
import random
import re
import runpy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from promises import broken

from sandbox import registry
from sandbox.errors import RunExists
from sandbox.testing import (
    BrokenPromise,
    check_trainer,
    tiny_lm,
    tiny_rows,
)
from trainers import RowKind, TrainedModel, TrainingSettings
from trainers.methods.sft import SFT
from trainers.rows.validation import check_rows

pytestmark = pytest.mark.needs_torch


@dataclass(frozen=True)
class OwnSettings:
    rate: float = 0.1


class Own:
    """A trainer of nothing but the contract, which copies its base; children break one promise each."""

    name = "own"
    accepts = "ranked"
    Settings = OwnSettings
    losses = (3.0, 2.0, 1.0)
    noise = 0.0

    def __init__(self, settings=None):
        self.settings = settings or OwnSettings()

    def train(self, rows, *, base, out):
        check_rows(rows, self.name, RowKind(self.accepts))
        if out.exists():
            raise RunExists(f"{out} is there")
        tiny_lm(out, seed=1 + int(self.noise * random.SystemRandom().random()))
        history = [{"step": i + 1, "loss": loss} for i, loss in enumerate(self.losses)]
        trained = TrainedModel(f"hf:{out}", out, {"loss": self.losses[-1]}, history)
        about = {"schema": 1, "trainer": self.name, "base": base, "settings": {}, "metrics": trained.metrics}
        (out / "training.json").write_text(json.dumps({**about, "history": history}), encoding="utf-8")
        return trained


def test_a_trainer_needs_nothing_but_the_contract():
    check_trainer(Own)


class NoName(Own):
    name = None


class WrongRows(Own):
    accepts = "pairs"


class NoDataclass(Own):
    Settings = dict


@dataclass(frozen=True)
class Needy:
    rate: float


class NoDefaults(Own):
    Settings = Needy


@dataclass(frozen=True)
class Unreadable:
    rates: object = frozenset({1})


class NotFromText(Own):
    Settings = Unreadable

    def __init__(self, settings=None):
        self.settings = settings or Unreadable()


class TakesAnything(Own):
    def train(self, rows, *, base, out):
        if "completions" not in rows.column_names:
            raise ValueError("no column completions")
        return super().train(rows, base=base, out=out)


class Overwrites(Own):
    def train(self, rows, *, base, out):
        check_rows(rows, self.name, RowKind(self.accepts))
        out.mkdir(exist_ok=True)
        return None


class Elsewhere(Own):
    def train(self, rows, *, base, out):
        trained = super().train(rows, base=base, out=out)
        return replace(trained, uri=f"hf:{out}-elsewhere")


class Silent(Own):
    losses = (1.0,)


class Rises(Own):
    losses = (1.0, 2.0, 3.0)


class Restless(Own):
    noise = 1e6


class Unchanged(Own):
    def train(self, rows, *, base, out):
        trained = super().train(rows, base=base, out=out)
        about = (out / "training.json").read_text(encoding="utf-8")
        tiny_lm(out)
        (out / "training.json").write_text(about, encoding="utf-8")
        return trained


class Unsigned(Own):
    def train(self, rows, *, base, out):
        trained = super().train(rows, base=base, out=out)
        (out / "training.json").unlink()
        return trained


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NoName, "it has a name, which models and errors mention"),
        (WrongRows, "it says which kind of rows it learns from\n  found: accepts is 'pairs'"),
        (NoDataclass, "its settings are a dataclass"),
        (NoDefaults, "every setting has a default"),
        (NotFromText, r"every setting comes back from text, as --set gives it\n  found: rates="),
        (TakesAnything, "rows of the wrong kind are refused with the command that makes the right ones"),
        (Overwrites, "a folder that holds something is refused\n  found: nothing was raised"),
        (Elsewhere, "the result loads by its URI and answers a request\n  found: ModelNotFound"),
        (Silent, "its history has a record with step and loss for each step"),
        (Rises, r"two steps on one batch lower the loss\n  found: loss 1.0000, 2.0000, 3.0000"),
        (Restless, "the same seed gives the same weights"),
        (Unchanged, "training changes the weights"),
        (Unsigned, "training.json tells pictures and reports how it was made"),
    ],
)
def test_a_trainer_is_told_which_promise_it_breaks(kind, words):
    with broken(words):
        check_trainer(kind)


def test_a_broken_promise_says_whose_it_is_what_was_found_and_how_to_mend_it():
    with pytest.raises(BrokenPromise) as error:
        check_trainer(WrongRows)
    assert isinstance(error.value, AssertionError)
    assert str(error.value) == (
        "trainer 'WrongRows' breaks a promise: it says which kind of rows it learns from\n"
        "  found: accepts is 'pairs'\n"
        "  mend:  set accepts to one of ranked, preferences, demonstrations, unpaired, prompts (trainers.RowKind)"
    )


class Renamed(SFT):
    name = "fine_tuning"


def test_a_trainer_is_called_what_it_is_installed_as(monkeypatch):
    entry = registry.Plugin("trainers", "renamed", f"{__name__}:Renamed", "elsewhere")
    monkeypatch.setattr(registry, "plugins", lambda kind: [entry])
    with broken(
        "its name is the one it is installed under\n  found: name is 'fine_tuning', and its entry point is 'ren"
    ):
        check_trainer(Renamed)


def test_a_trainer_that_is_not_installed():
    with broken(r"trainer 'stf' breaks a promise: it can be imported\n  found: UnknownPlugin: no trainer named 'stf'"):
        check_trainer("stf")


def test_settings_and_rows_of_ones_own(tiny_lm_path):
    """Full weights move less than adapters, so their rate is given; rows are those of the contract."""
    given = {"lora": False, "learning_rate": 1e-2}
    check_trainer("sft", rows=tiny_rows("demonstrations"), base=f"hf:{tiny_lm_path}", settings=given)
    assert TrainingSettings().lora


def test_the_example_of_a_trainer_of_ones_own(capsys):
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "04_own_trainer.py"))
    example["main"]()
    said = re.fullmatch(
        r"listwise does what trainers promise\n\d+ questions, \d+ steps: loss (\d\.\d{3}), then (\d\.\d{3})\n",
        capsys.readouterr().out,
    )
    assert said is not None
    assert float(said[2]) < float(said[1])
