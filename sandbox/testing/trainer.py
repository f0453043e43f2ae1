"""Checks the contract of trainers on a tiny language model and a few rows."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox import registry
from sandbox.errors import SandboxError, SettingsError, TrainingDataError
from sandbox.testing.contract import Promises, called
from sandbox.testing.learning import check_learning
from sandbox.testing.rows import ROW_KINDS, tiny_rows
from sandbox.testing.tiny import tiny_lm
from sandbox.typed_settings import make_settings

if TYPE_CHECKING:
    from datasets import Dataset

# Full-batch training for three steps: the losses of the first and the third step are two updates apart.
_STEPS = 3
_LOAD = "let train() return a TrainedModel whose uri is valid for sandbox run --model, for example f'hf:{out}'"
_SEED = "draw from generators seeded with the settings' seed, and call transformers.set_seed first"


def check_trainer(
    trainer: str | type,
    *,
    rows: Dataset | None = None,
    base: str | None = None,
    settings: Mapping[str, Any] | None = None,
    lowers: str | None = "loss",
    prefers: bool = True,
) -> None:
    """Check the contract of a trainer; takes a few seconds on one core.

    * It has a ``name``, the kind of rows it ``accepts``, and a dataclass ``Settings`` with a default for every field.
    * Settings can be parsed from text, as given by ``--set``; unknown ones are refused with the nearest name.
    * Rows of the wrong kind are refused with the command that creates the right ones; an empty dataset is refused; a
      folder that is not empty is refused and not changed.
    * Two steps on one batch lower the loss.
    * Eight steps make better answers likelier relative to worse ones, or demonstrated answers likelier.
    * A method ``losses(nll, ratings, mask, scale)`` ignores what the mask excludes, treats every question by its own
      ratings, and falls when the best-rated answer becomes likelier.
    * The result loads by its URI and answers a request; ``training.json`` beside it describes the training.
    * The same seed gives the same weights.

    Args:
        trainer: Its name, ``module:object``, ``./file.py``, or the class.
        rows: Training rows, used as one batch; default: a few of the kind it accepts.
        base: URI of the base model; default: a tiny one with random weights.
        settings: Settings of the training of three steps; by default, fields shared with
            :class:`~trainers.settings.TrainingSettings` are set for a fast, plain training.
        lowers: The number in the history that two steps must lower; None for a trainer whose loss does not measure
            progress, for example a reward of newly sampled answers.
        prefers: Whether what is learnt is checked; False for a trainer that does not learn better answers.

    Raises:
        BrokenPromise: the message states the requirement, what was found, and how to fix it.
    """
    promises = called("trainer", trainer)
    with promises.work("it can be imported", "import it in Python and fix the error raised there"):
        kind: Any = registry.load("trainers", trainer) if isinstance(trainer, str) else trainer
    _check_class(promises, kind)
    _check_settings(promises, kind)
    with tempfile.TemporaryDirectory(prefix="sandbox-check-") as folder:
        place = Path(folder)
        start = base if base is not None else f"hf:{tiny_lm(place / 'base')}"
        mine = rows if rows is not None else tiny_rows(kind.accepts)
        # A trainer may derive several texts from a row, and all must fit into one batch; prompts are used as they are.
        batch = len(mine) if kind.accepts == "prompts" else 8 * len(mine)

        def make(steps: int) -> Any:
            given = _quick(kind.Settings, batch, steps) | dict(settings or {})
            with promises.work("it is created with its settings", "let __init__ take a Settings object or None"):
                return kind(make_settings(promises.who, kind.Settings, given))

        made = make(_STEPS)
        _check_refusals(promises, made, mine, start, place)
        with promises.work("it trains a tiny model", "run the same training in Python and fix the error raised there"):
            trained = made.train(mine, base=start, out=place / "first")
            again = made.train(mine, base=start, out=place / "second")
        _check_result(promises, kind, trained, place / "first")
        _check_history(promises, trained, lowers)
        _check_model(promises, trained, again, start)
        if prefers:
            check_learning(promises, kind, rows, start, place, make)


def _check_class(promises: Promises, kind: Any) -> None:
    name: Any = getattr(kind, "name", None)
    promises.hold(
        isinstance(name, str) and name.isidentifier(),
        "it has a name, used in model folders and errors",
        f"name is {name!r}",
        "add to the class: name: ClassVar[str] = 'my_trainer'",
    )
    installed = {p.name: p.value for p in registry.plugins("trainers")}
    value = f"{kind.__module__}:{kind.__qualname__}"
    promises.hold(
        value not in installed.values() or installed.get(name) == value,
        "its name equals its entry point",
        f"name is {name!r}, and its entry point is {next((n for n, v in installed.items() if v == value), None)!r}",
        "use one name in the class and in pyproject.toml",
    )
    accepts = getattr(kind, "accepts", None)
    promises.hold(
        accepts in ROW_KINDS,
        "it declares the kind of rows it accepts",
        f"accepts is {accepts!r}",
        f"set accepts to one of {', '.join(ROW_KINDS)} (trainers.RowKind)",
    )


def _check_settings(promises: Promises, kind: Any) -> None:
    own = getattr(kind, "Settings", None)
    promises.hold(
        isinstance(own, type) and dataclasses.is_dataclass(own),
        "its settings are a dataclass, Settings",
        f"Settings is {own!r}",
        "add to the class: Settings: ClassVar[type] = MySettings, where MySettings is a dataclass",
    )
    fields = [f for f in dataclasses.fields(own) if f.init]  # type: ignore[arg-type]
    with promises.work("every setting has a default", "give each field of Settings a valid default"):
        defaults = own()  # type: ignore[misc]
        made = kind()
    promises.hold(
        made.settings == defaults,
        "created without settings it has the defaults",
        f"settings is {made.settings!r}",
        "set self.settings = Settings() if None is given",
    )
    text = {f.name: _text(getattr(defaults, f.name)) for f in fields}
    fix = "annotate fields as bool, int, float, str, Path, Literal, tuples of these, or unions with None"
    with promises.work("every setting can be parsed from text, as given by --set", fix):
        read = make_settings(promises.who, own, text)  # type: ignore[arg-type]
    wrong = [f.name for f in fields if getattr(read, f.name) != getattr(defaults, f.name)]
    promises.hold(
        not wrong,
        "every setting can be parsed from text, as given by --set",
        "; ".join(f"{n}={text[n]!r} became {getattr(read, n)!r}" for n in wrong),
        fix,
    )
    for name in [f.name for f in fields][:1]:
        # A doubled letter is near enough for a suggestion, and is no field's name.
        with promises.refuse(
            SettingsError,
            "an unknown setting is refused with the nearest name",
            "let Settings be a plain dataclass that __init__ takes",
            f"Did you mean {name!r}",
        ):
            make_settings(promises.who, own, {f"{name}{name[-1]}_": "1"})  # type: ignore[arg-type]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return json.dumps(value)
    return ",".join(map(_text, value)) if isinstance(value, tuple | list) else str(value)


def _quick(kind: Any, batch_size: int, steps: int) -> dict[str, Any]:
    wanted = {
        "max_steps": steps,
        "epochs": float(steps),
        "batch_size": batch_size,
        "learning_rate": 5e-3,
        "warmup_ratio": 0.0,
        "schedule": "constant",
        "logging_steps": 1,
        "device": "cpu",
        "progress": False,
        "seed": 7,
    }
    return {f.name: wanted[f.name] for f in dataclasses.fields(kind) if f.name in wanted}


def _check_refusals(promises: Promises, made: Any, rows: Dataset, base: str, place: Path) -> None:
    accepts = str(made.accepts)
    other = "ranked" if accepts != "ranked" else "preferences"
    with promises.refuse(
        TrainingDataError,
        "rows of the wrong kind are refused with the command that creates the right ones",
        "call trainers.rows.validation.check_rows(rows, self.name, self.accepts) at the start of train()",
        f"--kind {accepts}",
    ):
        made.train(tiny_rows(other), base=base, out=place / "wrong")
    with promises.refuse(
        TrainingDataError,
        "an empty dataset is refused",
        "call trainers.rows.validation.check_rows(rows, self.name, self.accepts) at the start of train()",
    ):
        made.train(rows.select([]), base=base, out=place / "wrong")
    taken = place / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine", encoding="utf-8")
    with promises.refuse(
        SandboxError,
        "a folder that is not empty is refused",
        "raise sandbox.errors.RunExists in train() if out is not an empty folder",
    ):
        made.train(rows, base=base, out=taken)
    left = sorted(path.name for path in (*taken.iterdir(), *place.glob("wrong*")))
    promises.hold(
        left == ["mine.txt"],
        "a refused training leaves no files",
        f"{', '.join(left)} in the folder",
        "check rows and out before writing anything",
    )


def _check_result(promises: Promises, kind: Any, trained: Any, out: Path) -> None:
    promises.hold(
        Path(trained.path) == out and out.is_dir(),
        "the model is written to the folder given",
        f"path is {str(trained.path)!r}, not {str(out)!r}",
        "write to out, and return TrainedModel(f'hf:{out}', out, metrics, history)",
    )
    bad = {n: v for n, v in trained.metrics.items() if not isinstance(v, int | float) or not math.isfinite(v)}
    promises.hold(
        not bad,
        "its metrics are finite numbers",
        f"{bad}",
        "put only finite numbers into metrics",
    )
    fix = "write training.json with schema (1), trainer, base, settings, metrics and history, as trainers.finetuning.base does"
    with promises.work("training.json describes the training for plots and reports", fix):
        about = json.loads((out / "training.json").read_text(encoding="utf-8"))
    wanted = {"schema": 1, "trainer": kind.name, "metrics": trained.metrics, "history": trained.history}
    wrong = [name for name, value in wanted.items() if about.get(name) != value]
    wrong += [name for name in ("base", "settings") if name not in about]
    promises.hold(
        not wrong,
        "training.json describes the training for plots and reports",
        f"{', '.join(wrong)} missing, or different from what train() returned",
        fix,
    )


def _check_history(promises: Promises, trained: Any, lowers: str | None) -> None:
    whole = all({"step", "loss"} <= set(record) and math.isfinite(record["loss"]) for record in trained.history)
    promises.hold(
        whole and len(trained.history) >= _STEPS,
        "its history has a record with step and loss per step",
        f"{len(trained.history)} records: {trained.history[:2]}",
        "log every step into TrainedModel.history; give check_trainer settings that make three steps",
    )
    if lowers is None:
        return
    losses = [record.get(lowers, math.nan) for record in trained.history[:_STEPS]]
    promises.hold(
        losses[-1] < losses[0],
        f"two steps on one batch lower the {lowers}",
        f"{lowers} {', '.join(f'{loss:.4f}' for loss in losses)}",
        "check the sign of the loss, whether weights are updated, and the learning rate",
    )


def _check_model(promises: Promises, trained: Any, again: Any, base: str) -> None:
    from sandbox.models.base import Message, Request
    from sandbox.models.catalog import load_model

    with promises.work("the result loads by its URI and answers a request", _LOAD):
        model = load_model(trained.uri)
        (reply,) = model.generate([Request((Message("user", "How are you?"),), max_tokens=4)])
    promises.hold(
        reply.error is None, "the result loads by its URI and answers a request", f"error {reply.error!r}", _LOAD
    )
    promises.hold(
        model.fingerprint != load_model(base).fingerprint,
        "training changes the weights",
        "the result has the weights of its base",
        "save the trained weights, not those that were loaded",
    )
    promises.hold(
        model.fingerprint == load_model(again.uri).fingerprint,
        "the same seed gives the same weights",
        "two trainings with the same settings, rows and base differ",
        _SEED,
    )
