"""Configuration files of a training: YAML with its trainer, base, rows and settings.

One is written beside every trained model, as ``train.yaml``, with all settings in effect. Knows nothing of trainers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sandbox.errors import SettingsError, nearest
from sandbox.folders import write_text

CONFIG = "train.yaml"
_TEXTS = ("trainer", "base", "out", "reward", "dimension")
_NOTE = "# Repeat this training: sandbox train --config {name}. Relative paths are read from the working directory.\n"


@dataclass(frozen=True)
class TrainingConfig:
    """What a configuration file says; None and empty where it says nothing.

    Attributes:
        trainer: Name of the trainer.
        base: URI of the base model.
        rows: Run folders and files of rows.
        out: The model's folder.
        reward: Reward of the scenario that rates the rows of runs.
        dimension: Dimension of the rubric that rates them.
        settings: Of the trainer, as texts of ``--set``; those of transformers as ``args.NAME``.
    """

    trainer: str | None = None
    base: str | None = None
    rows: tuple[str, ...] = ()
    out: str | None = None
    reward: str | None = None
    dimension: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def read_config(path: Path) -> TrainingConfig:
    """Read a configuration file.

    Raises:
        SettingsError: it cannot be read, or holds something else.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise SettingsError(f"{path} must hold keys such as trainer, base, rows and settings; found {found!r}")
    known = [one.name for one in fields(TrainingConfig)]
    faults = [
        f"  {name!r} is no key of a training's configuration.{nearest(str(name), known)}"
        for name in found
        if name not in known
    ]
    for name in _TEXTS:
        if not isinstance(found.get(name, ""), str | None):
            faults.append(f"  {name} must be text; found {found[name]!r}")
    rows = found.get("rows") or []
    rows = [rows] if isinstance(rows, str) else rows
    if not isinstance(rows, list) or not all(isinstance(one, str) for one in rows):
        faults.append(f"  rows must be a path or a list of paths; found {rows!r}")
    settings = found.get("settings") or {}
    if not isinstance(settings, dict):
        faults.append(f"  settings must be a mapping, for example epochs: 1; found {settings!r}")
    if faults:
        raise SettingsError("\n".join([f"{path} cannot be used; keys: {', '.join(known)}", *faults]))
    return TrainingConfig(
        rows=tuple(rows),
        **{name: found.get(name) for name in _TEXTS},
        settings=dict(_texts(settings)),
    )


def write_config(
    folder: Path,
    trainer: str,
    base: str,
    settings: Mapping[str, Any],
    rows: Iterable[str] | None = None,
    rated: Mapping[str, str] | None = None,
) -> None:
    """Write the configuration of a training beside its model.

    Args:
        folder: The model's.
        trainer: Its name.
        base: URI of the base model.
        settings: All of them.
        rows: Run folders and files; None where rows were given in Python, so that there is nothing to name.
        rated: The ``reward`` or ``dimension`` that rated them.
    """
    import yaml

    content = {
        "trainer": trainer,
        "base": base,
        "rows": [] if rows is None else list(rows),
        **(rated or {}),
        "settings": json.loads(json.dumps(dict(settings), default=str)),
    }
    text = _NOTE.format(name=CONFIG) + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_text(folder / CONFIG, text)


def _texts(settings: Mapping[Any, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Settings as texts of ``--set``, so that they are checked by the same rules."""
    for name, value in settings.items():
        if isinstance(value, dict) and not prefix:
            # The arguments of transformers; what is nested in them is JSON.
            yield from _texts(value, f"{name}.")
        else:
            yield f"{prefix}{name}", _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return json.dumps(value)
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)
