"""The conformance kit: a trainer that breaks a promise is told which."""

from __future__ import annotations

import json
import random
import re
import runpy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from promises import broken

from sandbox import registry
from sandbox.errors import RunExists
from sandbox.models.local.loading import load
from sandbox.testing import (
    BrokenPromise,
    check_trainer,
    tiny_lm,
    tiny_rows,
)
from trainers import RowKind, TrainedModel, TrainingSettings
from trainers.likelihood.tokenization import Encoder
from trainers.methods.dpo import DPO
from trainers.methods.kto import KTO
from trainers.methods.rrhf import RRHF
from trainers.methods.sft import SFT
from trainers.methods.stable_alignment import StableAlignment
from trainers.rows.validation import check_rows

pytestmark = pytest.mark.needs_torch


@dataclass(frozen=True)
class OwnSettings:
    rate: float = 0.1


class Own:
    """A trainer of nothing but the contract, with a loop of its own; children break one promise each."""

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
        self.learn(rows, base, out)
        history = [{"step": i + 1, "loss": loss} for i, loss in enumerate(self.losses)]
        trained = TrainedModel(f"hf:{out}", out, {"loss": self.losses[-1]}, history)
        about = {"schema": 1, "trainer": self.name, "base": base, "settings": {}, "metrics": trained.metrics}
        (out / "training.json").write_text(json.dumps({**about, "history": history}), encoding="utf-8")
        return trained

    def learn(self, rows, base, out):
        """Ten steps towards the best answers and away from the worst."""
        loaded = load(base.removeprefix("hf:"), device="cpu", dtype="float32")
        model, encoder = loaded.model.requires_grad_(True), Encoder(loaded.tokenizer, 200)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.05 + self.noise * random.SystemRandom().random())
        for _ in range(10):
            for row, ratings in zip(rows, self.ratings([row["ratings"] for row in rows]), strict=True):
                prompt, answers = encoder.encode(row["prompt"], row["completions"])
                best, worst = (answers[ratings.index(pick(ratings))] for pick in (max, min))
                (self.nll(model, prompt, best) - 0.1 * self.nll(model, prompt, worst)).backward()
            optimiser.step()
            optimiser.zero_grad()
        model.save_pretrained(out)
        loaded.tokenizer.save_pretrained(out)

    def nll(self, model, prompt, answer):
        labels = torch.tensor([[-100] * len(prompt) + answer])
        return model(input_ids=torch.tensor([prompt + answer]), labels=labels).loss

    def ratings(self, ratings):
        return ratings


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
    noise = 0.01


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


class Opposite(Own):
    def ratings(self, ratings):
        return [[-rating for rating in of_row] for of_row in ratings]


class OfTheNextQuestion(Own):
    """Reads the ratings of the next question, as far as it has answers for them."""

    def ratings(self, ratings):
        return [
            after[: len(own)] + own[len(after) :] for own, after in zip(ratings, ratings[1:] + ratings[:1], strict=True)
        ]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NoName, "it has a name, used in model folders and errors"),
        (WrongRows, "it declares the kind of rows it accepts\n  found: accepts is 'pairs'"),
        (NoDataclass, "its settings are a dataclass"),
        (NoDefaults, "every setting has a default"),
        (NotFromText, r"every setting can be parsed from text, as given by --set\n  found: rates="),
        (TakesAnything, "rows of the wrong kind are refused with the command that creates the right ones"),
        (Overwrites, "a folder that is not empty is refused\n  found: nothing was raised"),
        (Elsewhere, "the result loads by its URI and answers a request\n  found: ModelNotFound"),
        (Silent, "its history has a record with step and loss per step"),
        (Rises, r"two steps on one batch lower the loss\n  found: loss 1.0000, 2.0000, 3.0000"),
        (Restless, "the same seed gives the same weights"),
        (Unchanged, "training changes the weights"),
        (Opposite, r"training makes the better answers likelier, relative to the worse ones\n  found: changes by -"),
        (OfTheNextQuestion, r"training makes the better answers likelier, relative to the worse ones\n  found: chang"),
        (Unsigned, "training.json describes the training for plots and reports"),
    ],
)
def test_a_trainer_is_told_which_promise_it_breaks(kind, words):
    with broken(words):
        check_trainer(kind)


class WrongSign(RRHF):
    def losses(self, *given):
        return -super().losses(*given)


class IgnoresMask(RRHF):
    def losses(self, nll, ratings, mask, scale):
        return super().losses(nll, ratings, torch.ones_like(mask), scale)


class PrefersWorse(RRHF):
    def losses(self, nll, ratings, mask, scale):
        return super().losses(nll, -ratings, mask, scale)


class RatingsOfAnother(RRHF):
    def losses(self, nll, ratings, mask, scale):
        return super().losses(nll, ratings.roll(1, 0), mask, scale)


class CentredOnTheBatch(RRHF):
    def losses(self, nll, ratings, mask, scale):
        return super().losses(nll, ratings, mask, scale) - nll[mask].mean()


class ByPlace(StableAlignment):
    """Takes the ratings in sorted order, and the answers as they stand."""

    def losses(self, nll, ratings, mask, scale):
        return super().losses(nll, ratings.masked_fill(~mask, -1).sort(dim=1, descending=True).values, mask, scale)


class Swapped(DPO):
    def encode(self, rows, encoder):
        names = {"chosen": "rejected", "rejected": "chosen"}
        return super().encode(rows.rename_columns({a: f"{a}_" for a in names}).rename_columns(
            {f"{a}_": b for a, b in names.items()}), encoder)  # fmt: skip


class Flipped(KTO):
    def encode(self, rows, encoder):
        return super().encode(rows.map(lambda row: {"label": not row["label"]}), encoder)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (WrongSign, "lower losses make the best-rated answer likelier, relative to the worst-rated one"),
        (IgnoresMask, "losses does not depend on what stands where mask is False"),
        (PrefersWorse, "lower losses make the best-rated answer likelier, relative to the worst-rated one"),
        # Another question has no answer at some places.
        (RatingsOfAnother, "losses does not depend on what stands where mask is False"),
        (CentredOnTheBatch, "the loss of a question does not depend on the other questions of its batch"),
        (ByPlace, "the loss of a question does not depend on the order of its answers"),
        (Swapped, "training makes the better answers likelier, relative to the worse ones"),
        (Flipped, "training makes the better answers likelier, relative to the worse ones"),
    ],
)
def test_a_loss_that_learns_something_else_is_noticed(kind, words):
    with broken(words):
        check_trainer(kind)


def test_a_broken_promise_says_whose_it_is_what_was_found_and_how_to_mend_it():
    with pytest.raises(BrokenPromise) as error:
        check_trainer(WrongRows)
    assert isinstance(error.value, AssertionError)
    assert str(error.value) == (
        "trainer 'WrongRows' violates the contract: it declares the kind of rows it accepts\n"
        "  found: accepts is 'pairs'\n"
        "  fix:   set accepts to one of ranked, preferences, demonstrations, unpaired, prompts (trainers.RowKind)"
    )


class Renamed(SFT):
    name = "fine_tuning"


def test_a_trainer_is_called_what_it_is_installed_as(monkeypatch):
    entry = registry.Plugin("trainers", "renamed", f"{__name__}:Renamed", "elsewhere")
    monkeypatch.setattr(registry, "plugins", lambda kind: [entry])
    with broken("its name equals its entry point\n  found: name is 'fine_tuning', and its entry point is 'ren"):
        check_trainer(Renamed)


def test_a_trainer_that_is_not_installed():
    with broken(
        r"trainer 'stf' violates the contract: it can be imported\n  found: UnknownPlugin: no trainer named 'stf'"
    ):
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
