"""Settings read from keywords or text: typed, and refused with the nearest known name."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sandbox.errors import SettingsError, nearest

T = TypeVar("T")


def check_settings(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse settings that nobody knows.

    Raises:
        SettingsError: names every unknown setting, the nearest known one, and what there is.
    """
    known = sorted(known)
    unknown = [name for name in given if name not in known]
    if unknown:
        words = "; ".join(f"{owner} has no setting {name!r}.{nearest(name, known)}" for name in unknown)
        raise SettingsError(f"{words} Settings: {', '.join(known) or 'none'}")


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword settings a function takes, by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: p for n, p in inspect.signature(function).parameters.items() if p.kind in kinds}


def typed(owner: str, settings: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the text of ``--set name=text`` into the types that settings are annotated with.

    Values that are not text pass through unchanged. Known annotations: bool, int, float, str, Path, lists and
    tuples of them (comma-separated), and unions with None (the word ``none``).

    Raises:
        SettingsError: a text cannot be read as its type.
    """
    return {
        name: _typed(owner, name, value, hints[name]) if isinstance(value, str) and name in hints else value
        for name, value in settings.items()
    }


def _typed(owner: str, name: str, text: str, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if type(None) in args and text.lower() in ("none", "null"):
            return None
        options = [a for a in args if a is not type(None)]
        for option in options:
            try:
                return _typed(owner, name, text, option)
            except SettingsError:
                continue
        raise SettingsError(f"{owner}: {name}={text!r} is not one of {', '.join(map(_words, options))}")
    if origin is typing.Literal:
        if text not in args:
            raise SettingsError(
                f"{owner}: {name}={text!r} is not one of {', '.join(map(str, args))}.{nearest(text, map(str, args))}"
            )
        return text
    if origin in (tuple, list):
        parts = [_typed(owner, name, part.strip(), args[0]) for part in text.split(",") if part.strip()]
        return origin(parts)
    if hint is bool:
        if text.lower() in ("true", "yes", "on", "1"):
            return True
        if text.lower() in ("false", "no", "off", "0"):
            return False
        raise SettingsError(f"{owner}: {name}={text!r} is not true or false")
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            raise SettingsError(f"{owner}: {name}={text!r} is not {_words(hint)}") from None
    if hint is Path:
        return Path(text)
    return text


def _words(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
    return names.get(hint, str(hint))


def make_settings(owner: str, kind: type[T], given: Mapping[str, Any]) -> T:
    """Build a dataclass of settings from keywords or from ``--set`` text.

    Raises:
        SettingsError: a setting is unknown, or is not of its type.
    """
    check_settings(owner, given, [f.name for f in dataclasses.fields(kind) if f.init])  # type: ignore[arg-type]
    return kind(**typed(owner, given, typing.get_type_hints(kind)))
