"""The contract of trainers: rows of one kind -> a model folder.

Imports no torch: trainers are listed, chosen and configured without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from sandbox import registry
from sandbox.errors import BrokenPlugin, SandboxError, SettingsError
from sandbox.typed_settings import make_settings
from trainers.rows.kinds import RowKind
from trainers.settings import ArgumentsClass

if TYPE_CHECKING:
    from datasets import Dataset


# Prefixes of trainers of other libraries, and the functions that make a class from the name after the prefix.
FAMILIES = {"trl": "trainers.methods.trl_trainers:trl_trainer"}


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and the metrics of its training.

    Attributes:
        uri: Model URI, for example ``hf:models/first``.
        path: The folder: adapter or weights, tokenizer, ``training.json``.
        metrics: Means over the last epoch, named as in :mod:`trainers.finetuning.metric_names`.
        history: One record per logged step: ``step``, ``epoch``, ``loss`` and more.
        notes: Remarks on the rows, for example how many were cut, and on how the model was saved, one line each.
    """

    uri: str
    path: Path
    metrics: dict[str, float]
    history: list[dict[str, float]] = field(repr=False)
    notes: tuple[str, ...] = ()


class Trainer(Protocol):
    """The interface of trainer classes, named by ``sandbox.trainers`` entry points.

    ``Settings`` is a dataclass; the constructor takes an instance, or None for the defaults. A trainer that needs no rows
    from outside also has ``make_rows()``, which ``sandbox train`` calls where it is given none.
    """

    name: ClassVar[str]
    accepts: ClassVar[RowKind]
    Settings: ClassVar[type]
    settings: Any

    def train(self, rows: Dataset, *, base: str, out: Path) -> TrainedModel:
        """Learn from rows and write a model folder that does not exist yet."""
        ...


def load_trainer(name: str, **settings: Any) -> Trainer:
    """Load a trainer by name or path, and make it with its settings.

    Args:
        name: Name, for example ``stable_alignment``; see ``sandbox ls trainers``. ``trl:NAME`` is a trainer of TRL.
        **settings: Fields of its ``Settings``; text, as from ``--set``, is converted to the type of the field.

    Raises:
        UnknownPlugin: no trainer has that name.
        BrokenPlugin: the trainer lacks a part of its contract; the message lists all that is missing.
        SettingsError: a setting is unknown or invalid.
    """
    kind: Any = trainer_class(name)
    try:
        made = make_settings(f"trainer {name!r}", kind.Settings, settings)
    except SettingsError as error:
        raise SettingsError(f"{error}{_named_args(kind.Settings, settings)}") from error
    try:
        inspect.signature(kind).bind(made)
    except TypeError:
        raise BrokenPlugin(
            f"trainer {name!r}: {kind.__qualname__}{inspect.signature(kind)} cannot be called with its Settings; write "
            "def __init__(self, settings=None)"
        ) from None
    trainer = kind(made)
    if getattr(trainer, "settings", None) is None:
        trainer.settings = made
    return cast(Trainer, trainer)


def trainer_class(name: str) -> type[Trainer]:
    """Load the class of a trainer and check its contract.

    Raises:
        UnknownPlugin: no trainer has that name.
        BrokenPlugin: it lacks a part of its contract; the message lists all that is missing.
    """
    prefix, _, rest = name.partition(":")
    made_by = FAMILIES.get(prefix)
    kind: Any = registry.load("trainers", name) if made_by is None else registry.load_object(made_by, "trainer")(rest)
    faults = _contract_faults(kind)
    if faults:
        raise BrokenPlugin(
            f"trainer {name!r} ({getattr(kind, '__qualname__', kind)}) is incomplete: {'; '.join(faults)}"
        )
    return cast("type[Trainer]", kind)


def trainer_line(name: str) -> str | None:
    """What a trainer does, in one line: the first of its docstring; None if it is not installed or has none."""
    try:
        kind = trainer_class(name)
    except SandboxError:
        return None
    return (inspect.getdoc(kind) or "").partition("\n")[0] or None


def check_trained(name: str, trained: Any) -> TrainedModel:
    """Check what a trainer returned.

    Raises:
        BrokenPlugin: it is not a :class:`TrainedModel`.
    """
    if not isinstance(trained, TrainedModel):
        raise BrokenPlugin(
            f"trainer {name!r} returned {type(trained).__name__} from train; expected TrainedModel(uri, path, metrics, "
            "history) of the package trainers"
        )
    return trained


def _contract_faults(kind: Any) -> list[str]:
    if not inspect.isclass(kind):
        return [f"it is {type(kind).__name__}; expected a class"]
    settings, accepts = getattr(kind, "Settings", None), getattr(kind, "accepts", None)
    faults = []
    if not isinstance(getattr(kind, "name", None), str):
        faults.append("it has no name, a text")
    if accepts not in tuple(RowKind):
        faults.append(f"accepts is {accepts!r}; expected the kind of rows, one of {', '.join(RowKind)}")
    if not (inspect.isclass(settings) and is_dataclass(settings)):
        found = "it has no Settings" if settings is None else f"Settings is {settings!r}"
        faults.append(f"{found}; expected a dataclass, for example Settings = TrainingSettings of the package trainers")
    if not callable(getattr(kind, "train", None)):
        faults.append("it has no method train(rows, *, base, out)")
    return faults


def _named_args(kind: type, given: Mapping[str, Any]) -> str:
    """A hint at ``args.NAME`` for names that transformers or TRL know and a trainer's settings do not."""
    names = {field.name for field in fields(kind)}
    unknown = [name for name in given if name not in names and "." not in name]
    if "args" not in names or not unknown or find_spec("transformers") is None:
        return ""
    given_to: ArgumentsClass = getattr(kind, "arguments", ArgumentsClass())
    known = given_to.load().__dataclass_fields__
    theirs = ", ".join(f"args.{name}" for name in unknown if name in known)
    return f"\nArguments of {given_to.called.partition('.')[0]} are given as {theirs}" if theirs else ""
