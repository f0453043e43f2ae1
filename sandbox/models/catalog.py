"""Finds language models by URI: ``kind:rest``, or an alias without a colon."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sandbox import registry
from sandbox.errors import ModelNotFound, SettingsError, UnknownPlugin, nearest
from sandbox.models.base import LanguageModel
from sandbox.typed_settings import check_settings, typed

# What an alias stands for works on every machine: no folder of a cache is in it.
ALIASES: dict[str, str] = {"smollm2": "hf:smollm2"}

# Models in use, by URI, settings and state of their files; they are let go with their last user.
_IN_USE: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()


def resolve(uri: str) -> tuple[str, str]:
    """Split a model's URI at its first colon.

    Args:
        uri: As ``hf:./models/first`` or ``scripted:replies.jsonl``; or an alias, as ``smollm2``.

    Returns:
        The kind, which is a plugin's name, and the rest, which is the kind's own.

    Raises:
        ModelNotFound: there is no colon, and no such alias.
    """
    kind, colon, rest = ALIASES.get(uri, uri).partition(":")
    if not colon:
        is_path = Path(uri).exists() or "/" in uri
        hint = (
            f" For a folder or a hub name write hf:{uri}" if is_path else " A folder or a hub name is written hf:PATH"
        )
        raise ModelNotFound(
            f"no model is called {uri!r}.{nearest(uri, ALIASES)} Known: {', '.join(sorted(ALIASES))}.{hint}"
        )
    return kind, rest


def full_uri(uri: str) -> str:
    """A model's URI with its kind: ``hf:smollm2`` for ``smollm2``.

    Raises:
        ModelNotFound: there is no colon, and no such alias.
    """
    return ":".join(resolve(uri))


def load_model(model: str | LanguageModel, **settings: Any) -> LanguageModel:
    """Load a language model by URI; a model that is one already passes through.

    A local model asked for twice with the same settings is loaded once, as long as somebody uses it and its files
    stay as they are.

    Args:
        model: A URI, an alias or a model.
        **settings: Of the model's kind, as ``dtype="bfloat16"``; text is read as the setting's own type.

    Raises:
        ModelNotFound: it is not there.
        UnknownPlugin: nothing of that kind is installed.
        SettingsError: a setting is unknown, or settings were given to a model that is loaded already.
    """
    if not isinstance(model, str):
        if settings:
            raise SettingsError(
                f"settings ({', '.join(sorted(settings))}) were given for {type(model).__name__}, which is a model "
                "already; give them where it is made, or give its URI"
            )
        return model
    kind, rest = resolve(model)
    try:
        made = registry.load("models", kind)
    except UnknownPlugin as error:
        raise UnknownPlugin(f"{error}. A model's URI is kind:rest, as hf:./folder; found {model!r}") from None
    settings = _checked(f"model {kind!r}", made, settings)
    if not getattr(made, "shareable", False):
        return made(rest, **settings)
    key = (kind, rest, _files(rest), tuple(sorted(settings.items())))
    found = _IN_USE.get(key)
    if found is None:
        found = made(rest, **settings)
        _IN_USE[key] = found
    return found


def settings_of(uri: str) -> list[str]:
    """Names of the settings that a model's kind has.

    Raises:
        ModelNotFound: the URI is none.
        UnknownPlugin: nothing of that kind is installed.
    """
    kind, _ = resolve(uri)
    parameters = inspect.signature(registry.load("models", kind)).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def _checked(owner: str, made: Callable[..., Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(made)
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return dict(settings)  # it takes anything, and checks it itself
    known = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    check_settings(owner, settings, known)
    hints = typing.get_type_hints(made.__init__ if inspect.isclass(made) else made)
    return typed(owner, settings, hints)


def _files(rest: str) -> Hashable:
    """The state of a folder's files, so that weights written anew are not mistaken for those in use."""
    folder = Path(rest)
    if not folder.is_dir():
        return None
    files = sorted(folder.iterdir())
    return (str(folder.resolve()), tuple((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files))
