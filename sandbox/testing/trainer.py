"""What a trainer promises, put to the test on a tiny language model and a few rows."""

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
from sandbox.testing.rows import ROW_KINDS, tiny_rows
from sandbox.testing.tiny import tiny_lm
from sandbox.typed_settings import make_settings

if TYPE_CHECKING:
    from datasets import Dataset

# One batch of everything, three times: the losses of the first and the third step are two updates apart.
_STEPS = 3
_LOAD = "let train() return a TrainedModel whose uri is what sandbox run --model takes, as f'hf:{out}'"
_SEED = "draw from generators seeded with the settings' seed, and call transformers.set_seed before making anything"


def check_trainer(
    trainer: str | type,
    *,
    rows: Dataset | None = None,
    base: str | None = None,
    settings: Mapping[str, Any] | None = None,
    lowers: str | None = "loss",
) -> None:
    """Check that a trainer does what trainers promise; takes some seconds on one core.

    * It has a ``name``, the kind of rows it ``accepts``, and a dataclass of ``Settings`` with defaults for all.
    * Settings come back from text, as ``--set`` gives them; unknown ones are refused with the nearest name.
    * Rows of the wrong kind are refused with the command that makes the right ones, and so are no rows; a folder that
      holds something is refused, and left as it is.
    * Two steps on one batch lower the loss.
    * The result loads by its URI and answers a request; ``training.json`` beside it tells how it was made.
    * The same seed gives the same weights.

    Args:
        trainer: Its name, ``module:object``, ``./file.py``, or the class.
        rows: To train on, in one batch; by default a few of the kind it accepts.
        base: URI of the model to begin with; by default a tiny one made on the spot.
        settings: For the training of three steps; by default those of
            :class:`~trainers.settings.TrainingSettings` that it shares are set to be quick and plain.
        lowers: The number in the history that two steps must lower; None for a trainer whose loss says nothing of how
            well it learns, as with rewards of answers that it draws anew in each step.

    Raises:
        BrokenPromise: says which promise, what was found, and how to mend it.
    """
    promises = called("trainer", trainer)
    with promises.work("it can be imported", "import it in Python and mend what is raised there"):
        kind: Any = registry.load("trainers", trainer) if isinstance(trainer, str) else trainer
    _check_class(promises, kind)
    _check_settings(promises, kind)
    with tempfile.TemporaryDirectory(prefix="sandbox-check-") as folder:
        place = Path(folder)
        start = base if base is not None else f"hf:{tiny_lm(place / 'base')}"
        mine = rows if rows is not None else tiny_rows(kind.accepts)
        # A trainer may make several texts of a row, and all belong into one batch; prompts are taken as they are.
        batch = len(mine) if kind.accepts == "prompts" else 8 * len(mine)
        given = _quick(kind.Settings, batch) | dict(settings or {})
        with promises.work("it is made with its settings", "let __init__ take one object of Settings, or None"):
            made = kind(make_settings(promises.who, kind.Settings, given))
        _check_refusals(promises, made, mine, start, place)
        with promises.work("it trains a tiny model", "run the same training in Python and mend what is raised there"):
            trained = made.train(mine, base=start, out=place / "first")
            again = made.train(mine, base=start, out=place / "second")
        _check_result(promises, kind, trained, place / "first")
        _check_history(promises, trained, lowers)
        _check_model(promises, trained, again, start)


def _check_class(promises: Promises, kind: Any) -> None:
    name: Any = getattr(kind, "name", None)
    promises.hold(
        isinstance(name, str) and name.isidentifier(),
        "it has a name, which models and errors mention",
        f"name is {name!r}",
        "add to the class: name: ClassVar[str] = 'my_trainer'",
    )
    installed = {p.name: p.value for p in registry.plugins("trainers")}
    value = f"{kind.__module__}:{kind.__qualname__}"
    promises.hold(
        value not in installed.values() or installed.get(name) == value,
        "its name is the one it is installed under",
        f"name is {name!r}, and its entry point is {next((n for n, v in installed.items() if v == value), None)!r}",
        "use one name in the class and in pyproject.toml",
    )
    accepts = getattr(kind, "accepts", None)
    promises.hold(
        accepts in ROW_KINDS,
        "it says which kind of rows it learns from",
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
    with promises.work("every setting has a default", "give each field of Settings a default that works"):
        defaults = own()  # type: ignore[misc]
        made = kind()
    promises.hold(
        made.settings == defaults,
        "made without settings it has the defaults",
        f"settings is {made.settings!r}",
        "set self.settings = Settings() where None is given",
    )
    text = {f.name: _text(getattr(defaults, f.name)) for f in fields}
    mend = "annotate fields as bool, int, float, str, Path, Literal, tuples of these, or unions with None"
    with promises.work("every setting comes back from text, as --set gives it", mend):
        read = make_settings(promises.who, own, text)  # type: ignore[arg-type]
    wrong = [f.name for f in fields if getattr(read, f.name) != getattr(defaults, f.name)]
    promises.hold(
        not wrong,
        "every setting comes back from text, as --set gives it",
        "; ".join(f"{n}={text[n]!r} became {getattr(read, n)!r}" for n in wrong),
        mend,
    )
    for name in [f.name for f in fields][:1]:
        # A letter twice is near enough to be meant, and no field is called so.
        with promises.refuse(
            SettingsError,
            "an unknown setting is refused with the nearest name",
            "let Settings be a plain dataclass, and __init__ take it whole",
            f"Did you mean {name!r}",
        ):
            make_settings(promises.who, own, {f"{name}{name[-1]}_": "1"})  # type: ignore[arg-type]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_text, value)) if isinstance(value, tuple | list) else str(value)


def _quick(kind: Any, batch_size: int) -> dict[str, Any]:
    wanted = {
        "max_steps": _STEPS,
        "epochs": float(_STEPS),
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
        "rows of the wrong kind are refused with the command that makes the right ones",
        "call trainers.rows.validation.check_rows(rows, self.name, self.accepts) first of all in train()",
        f"--kind {accepts}",
    ):
        made.train(tiny_rows(other), base=base, out=place / "wrong")
    with promises.refuse(
        TrainingDataError,
        "no rows are refused",
        "call trainers.rows.validation.check_rows(rows, self.name, self.accepts) first of all in train()",
    ):
        made.train(rows.select([]), base=base, out=place / "wrong")
    taken = place / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine", encoding="utf-8")
    with promises.refuse(
        SandboxError,
        "a folder that holds something is refused",
        "raise sandbox.errors.RunExists in train() where out is not an empty folder",
    ):
        made.train(rows, base=base, out=taken)
    left = sorted(path.name for path in (*taken.iterdir(), *place.glob("wrong*")))
    promises.hold(
        left == ["mine.txt"],
        "what is refused leaves nothing behind",
        f"{', '.join(left)} in the folder",
        "check rows and out before anything is written",
    )


def _check_result(promises: Promises, kind: Any, trained: Any, out: Path) -> None:
    promises.hold(
        Path(trained.path) == out and out.is_dir(),
        "the model is written into the folder that was asked for",
        f"path is {str(trained.path)!r}, not {str(out)!r}",
        "write into out, and return TrainedModel(f'hf:{out}', out, metrics, history)",
    )
    bad = {n: v for n, v in trained.metrics.items() if not isinstance(v, int | float) or not math.isfinite(v)}
    promises.hold(
        not bad,
        "its metrics are finite numbers",
        f"{bad}",
        "leave out of metrics what is no number",
    )
    mend = "write training.json with schema (1), trainer, base, settings, metrics and history, as trainers.finetuning.base does"
    with promises.work("training.json tells pictures and reports how it was made", mend):
        about = json.loads((out / "training.json").read_text(encoding="utf-8"))
    wanted = {"schema": 1, "trainer": kind.name, "metrics": trained.metrics, "history": trained.history}
    wrong = [name for name, value in wanted.items() if about.get(name) != value]
    wrong += [name for name in ("base", "settings") if name not in about]
    promises.hold(
        not wrong,
        "training.json tells pictures and reports how it was made",
        f"{', '.join(wrong)} missing, or other than what train() returned",
        mend,
    )


def _check_history(promises: Promises, trained: Any, lowers: str | None) -> None:
    whole = all({"step", "loss"} <= set(record) and math.isfinite(record["loss"]) for record in trained.history)
    promises.hold(
        whole and len(trained.history) >= _STEPS,
        "its history has a record with step and loss for each step",
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
        "look for a loss of the wrong sign, weights that do not learn, or a learning rate that is far too high",
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
        "save the weights that learnt, not those that were loaded",
    )
    promises.hold(
        model.fingerprint == load_model(again.uri).fingerprint,
        "the same seed gives the same weights",
        "two trainings with the same settings, rows and base differ",
        _SEED,
    )
