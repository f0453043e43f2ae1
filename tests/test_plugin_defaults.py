"""Objects that keep to the table of contracts in README, and nothing more: they work, or are told what they lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox import Rating, Reply, World, open_run, registry
from sandbox.embedders.base import load_embedder
from sandbox.errors import BrokenPlugin, SettingsError
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.plugin_defaults import complete
from sandbox.preview.dry_run import forecast
from sandbox.raters.base import load_rater
from trainers.base import TrainedModel, check_trained, load_trainer
from trainers.rows.kinds import RowKind


class Speaker:
    """A language model with ``generate`` alone."""

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply("Rating: 5 ### Reason: fine") for _ in requests]


class Judge:
    """A rater with ``rate`` alone."""

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        return [Rating(4.0) for _ in items]


class Letters:
    """An embedder with ``embed`` alone: vectors of length 1 in two directions."""

    def embed(self, texts: Sequence[str]) -> Any:
        return np.array([[1.0, 0.0] if len(text) % 2 else [0.0, 1.0] for text in texts], dtype=np.float32).reshape(
            -1, 2
        )


def test_a_society_of_objects_with_one_method_each(tmp_path: Path) -> None:
    world = World(
        "value_alignment",
        model=Speaker(),
        observer=Speaker(),
        rater=Judge(),
        embedder=Letters(),
        size=2,
        out=tmp_path / "run",
    )
    world.run(rounds=1)
    world.close()
    run = open_run(tmp_path / "run")
    assert [it.error for it in run.interactions()] == [None] * 4
    agents = run.manifest["models"]["agents"]
    assert (agents["uri"], len(agents["fingerprint"])) == ("object:Speaker", 16)
    assert run.manifest["raters"]["neighbours"] == "Judge"
    assert run.manifest["embedder"] == "Letters"


def test_its_default_rater_is_to_ask_it(tmp_path: Path) -> None:
    world = World("value_alignment", model=Speaker(), embedder="hashing", size=2, out=tmp_path / "run")
    world.run(rounds=1)
    world.close()
    assert open_run(tmp_path / "run").manifest["raters"]["neighbours"] == "lm"
    assert forecast("value_alignment", rounds=1, model=Speaker(), embedder="hashing", size=2).calls > 0


def test_what_an_object_says_of_itself_is_kept() -> None:
    class Named(Speaker):
        uri, fingerprint, default_rater = "mine:1", "f", "values"

    named = Named()
    assert load_model(named) is named
    half: Any = Speaker()
    half.uri = "mine:2"
    found = load_model(half)
    assert (found.uri, found.default_rater, found.fingerprint) == ("mine:2", "lm", load_model(Speaker()).fingerprint)
    assert found.generate([Request((Message("user", "Hi"),))])[0].text == "Rating: 5 ### Reason: fine"
    assert repr(found) == repr(half)


def plugin(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    monkeypatch.setattr(registry, "load", lambda kind, name: made)


def test_a_plugin_without_init_is_called_by_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(monkeypatch, Speaker)
    assert load_model("mine:").uri == "mine:"
    with pytest.raises(
        BrokenPlugin, match=r"model 'mine': Speaker\(\) cannot be called with 'x', the text after its name; "
    ):
        load_model("mine:x")
    plugin(monkeypatch, Judge)
    assert load_rater("mine", embedder=None).name == "mine"
    plugin(monkeypatch, Letters)
    assert (load_embedder("mine").name, load_embedder("mine").dim) == ("mine", 2)


def test_what_an_object_must_have_is_said() -> None:
    for kind, load, method in (
        ("language model", load_model, "generate"),
        ("rater", lambda given: load_rater(given, embedder=None), "rate"),
        ("embedder", load_embedder, "embed"),
    ):
        with pytest.raises(BrokenPlugin, match=f"{kind} 'object' has no method '{method}', which it needs"):
            load(object())  # type: ignore[operator]
        with pytest.raises(BrokenPlugin, match=rf"{kind} 'Speaker' is a class; give an object: Speaker\(\)"):
            load(Speaker)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (
            lambda requests: ["hello" for _ in requests],
            r"generate\(requests\) returned a list with str for 4 items; expected a list",
        ),
        (
            lambda requests: [Reply("x")] * 3,
            r"generate\(requests\) returned 3 results for 4 items; expected a list with one Reply",
        ),
        (
            lambda requests: None,
            r"generate\(requests\) returned NoneType for 4 items; expected a list with one Reply for each",
        ),
        (
            lambda requests: 1 / 0,
            r"generate raised ZeroDivisionError: division by zero. It must return Reply\('', error=",
        ),
    ],
)
def test_what_a_model_returns_is_checked(tmp_path: Path, returned: Any, words: str) -> None:
    speaker: Any = Speaker()
    speaker.generate = returned
    world = World("value_alignment", model=speaker, embedder="hashing", rater=Judge(), size=2, out=tmp_path / "run")
    with pytest.raises(BrokenPlugin, match=f"language model 'object:Speaker': {words}"):
        world.run(rounds=1)
    world.close()


def test_what_a_rater_returns_is_checked(tmp_path: Path) -> None:
    judge: Any = Judge()
    judge.rate = lambda items, *, rater_of: [4.0 for _ in items]
    world = World("value_alignment", model=Speaker(), embedder="hashing", rater=judge, size=2, out=tmp_path / "run")
    with pytest.raises(
        BrokenPlugin, match=r"rater 'Judge': rate\(items\) returned a list with float for \d+ items; expected a"
    ):
        world.run(rounds=1)
    world.close()


def test_defaults_are_made_only_where_they_are_needed() -> None:
    def never() -> Any:
        raise AssertionError

    class Whole(Speaker):
        uri = "whole"

    whole = Whole()
    assert complete("language model", whole, "generate", {"uri": never}) is whole


@dataclass
class Few:
    steps: int = 1


class Trains:
    """A trainer that keeps its whole contract."""

    name = "trains"
    accepts = RowKind.RANKED
    Settings = Few

    def __init__(self, settings: Few | None = None) -> None:
        pass

    def train(self, rows: Any, *, base: str, out: Path) -> Any:
        return None


def test_a_trainer_that_does_not_keep_its_settings_is_given_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(monkeypatch, Trains)
    assert load_trainer("mine", steps="3").settings == Few(3)
    with pytest.raises(SettingsError, match="has no setting 'stps'"):
        load_trainer("mine", stps=3)


@pytest.mark.parametrize(
    ("lacks", "words"),
    [
        ({"Settings": None}, "it has no Settings; expected a dataclass, for example Settings = TrainingSettings"),
        ({"Settings": dict}, "Settings is <class 'dict'>; expected a dataclass"),
        ({"accepts": "rows"}, "accepts is 'rows'; expected the kind of rows, one of demonstrations, "),
        ({"name": None}, "it has no name, a text"),
        ({"train": None}, r"it has no method train\(rows, \*, base, out\)"),
        ({"Settings": None, "train": None}, "it has no Settings; .*; it has no method train"),
        (
            {"__init__": lambda self: None},
            r"cannot be called with its Settings; write def __init__\(self, settings=None\)",
        ),
    ],
)
def test_what_a_trainer_lacks_is_said(monkeypatch: pytest.MonkeyPatch, lacks: dict[str, Any], words: str) -> None:
    plugin(monkeypatch, type("Mine", (Trains,), lacks))
    with pytest.raises(BrokenPlugin, match=f"trainer 'mine'.*{words}"):
        load_trainer("mine")


def test_a_trainer_that_is_a_function_or_returns_nothing_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(monkeypatch, lambda rows: None)
    with pytest.raises(BrokenPlugin, match="it is function; expected a class"):
        load_trainer("mine")
    with pytest.raises(
        BrokenPlugin, match=r"trainer 'mine' returned NoneType from train; expected TrainedModel\(uri, path, "
    ):
        check_trained("mine", None)
    trained = TrainedModel("hf:x", Path("x"), {}, [])
    assert check_trained("mine", trained) is trained
