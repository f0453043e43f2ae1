"""What every trainer promises: rows of one kind in, a model folder out.

Nothing here imports torch: trainers are listed, chosen and given their settings before anything heavy is
loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from sandbox import registry
from sandbox.typed_settings import make_settings
from trainers.rows.kinds import RowKind

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class TrainedModel:
    """A trained model's folder, and how its training went.

    Attributes:
        uri: What agents speak through it by, as ``hf:models/first``.
        path: The folder: adapter or weights, tokenizer, ``training.json``.
        metrics: Means over the last epoch, in the words of :mod:`trainers.finetuning.monitor`: ``loss``, ``reward_margin`` ...
        history: One record for each logged step: ``step``, ``epoch``, ``loss`` and more.
    """

    uri: str
    path: Path
    metrics: dict[str, float]
    history: list[dict[str, float]] = field(repr=False)


class Trainer(Protocol):
    """What the registry expects of ``sandbox.trainers`` entry points, as classes.

    ``Settings`` is a dataclass; the class is made with one, or with None for its defaults.
    """

    name: ClassVar[str]
    accepts: ClassVar[RowKind]
    Settings: ClassVar[type]
    settings: Any

    def train(self, rows: Dataset, *, base: str, out: Path) -> TrainedModel:
        """Learn from rows and write a model folder that does not exist yet."""
        ...


def load_trainer(name: str, **settings: Any) -> Trainer:
    """Find a trainer by name or path and make it with its settings.

    Args:
        name: As ``stable_alignment``; see ``sandbox ls trainers``.
        **settings: Fields of its ``Settings``; text, as from ``--set``, is read as the field's type.

    Raises:
        UnknownPlugin: there is none of that name.
        SettingsError: a setting is unknown, or its value cannot be used.
    """
    kind = registry.load("trainers", name)
    return cast(Trainer, kind(make_settings(f"trainer {name!r}", kind.Settings, settings)))
