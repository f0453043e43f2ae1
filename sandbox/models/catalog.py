"""Loads language models by URI: ``kind:rest``, or an alias without a colon."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sandbox import registry
from sandbox.errors import ModelNotFound, SettingsError, UnknownPlugin, nearest
from sandbox.models.base import LanguageModel, complete_model
from sandbox.plugin_defaults import construct
from sandbox.typed_settings import check_settings, typed

# Aliases expand to URIs that are valid on every machine, without cache folders.
ALIASES: dict[str, str] = {"smollm2": "hf:smollm2"}

# Kinds of models whose weights are a folder here, which can be trained, merged and differentiated.
WEIGHTS_HERE = ("hf", "vllm")

# Models in use, by URI, settings and state of their files; released with the last reference.
_IN_USE: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()


def resolve(uri: str) -> tuple[str, str]:
    """Split a model URI at its first colon.

    Args:
        uri: A URI such as ``hf:./models/first`` or ``scripted:replies.jsonl``, or an alias such as ``smollm2``.

    Returns:
        The kind, which is the name of a plugin, and the rest, which the plugin interprets.

    Raises:
        ModelNotFound: there is no colon, and no alias of that name.
    """
    kind, colon, rest = ALIASES.get(uri, uri).partition(":")
    if not colon:
        is_path = Path(uri).exists() or "/" in uri
        hint = (
            f" For a folder or a hub name write hf:{uri}" if is_path else " A folder or a hub name is written hf:PATH"
        )
        raise ModelNotFound(
            f"no model named {uri!r}.{nearest(uri, ALIASES)} Known: {', '.join(sorted(ALIASES))}.{hint}"
        )
    return kind, rest


def full_uri(uri: str) -> str:
    """Expand an alias to a URI: ``hf:smollm2`` for ``smollm2``.

    Raises:
        ModelNotFound: there is no colon, and no alias of that name.
    """
    return ":".join(resolve(uri))


def local_weights(uri: str) -> str | None:
    """The folder or name of a model's local weights, which is the URI without its kind; None for a model without.

    Raises:
        ModelNotFound: the URI is invalid.
    """
    kind, rest = resolve(uri)
    return rest if kind in WEIGHTS_HERE else None


def trained_uri(base: str, folder: str | Path) -> str:
    """URI of a model that was trained from another: in vLLM if its base is, else of the kind ``hf``.

    Args:
        base: URI of the base.
        folder: Folder of the trained model.
    """
    kind, _ = resolve(base)
    return f"{kind if kind in WEIGHTS_HERE else 'hf'}:{folder}"


def load_model(model: str | LanguageModel, /, **settings: Any) -> LanguageModel:
    """Load a language model by URI.

    A model with the same settings is loaded once, as long as it is in use and its files do not change.

    Args:
        model: A URI, an alias, or a model, which is given the attributes that it lacks.
        **settings: Settings of the kind of model, for example ``dtype="bfloat16"``; text is converted to the type of the
            setting.

    Raises:
        ModelNotFound: the model does not exist.
        UnknownPlugin: no plugin has that kind.
        SettingsError: a setting is unknown, or settings were given for a model object.
        BrokenPlugin: a model has no ``generate``, or a plugin cannot be called with the text after its kind.
    """
    if not isinstance(model, str):
        if settings:
            raise SettingsError(
                f"settings ({', '.join(sorted(settings))}) were given for {type(model).__name__}, a loaded "
                "model; give them where it is made, or give its URI"
            )
        return complete_model(model)
    kind, rest = resolve(model)
    try:
        made = registry.load("models", kind)
    except UnknownPlugin as error:
        raise UnknownPlugin(f"{error}. A model URI is kind:rest, for example hf:./folder; found {model!r}") from None
    settings = _checked(f"model {kind!r}", made, settings)
    if not getattr(made, "shareable", False):
        return _made(kind, made, rest, settings)
    key = (kind, rest, _files(rest), tuple(sorted(settings.items())))
    found = _IN_USE.get(key)
    if found is None:
        found = _made(kind, made, rest, settings)
        _IN_USE[key] = found
    return found


def _made(kind: str, made: Any, rest: str, settings: Mapping[str, Any]) -> LanguageModel:
    return complete_model(construct(f"model {kind!r}", made, rest, settings), f"{kind}:{rest}")


def settings_of(uri: str) -> list[str]:
    """Names of the settings of a kind of model.

    Raises:
        ModelNotFound: the URI is invalid.
        UnknownPlugin: no plugin has that kind.
    """
    kind, _ = resolve(uri)
    parameters = inspect.signature(registry.load("models", kind)).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def _checked(owner: str, made: Callable[..., Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(made)
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return dict(settings)  # it accepts any setting, and checks them itself
    known = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    check_settings(owner, settings, known)
    hints = typing.get_type_hints(made.__init__ if inspect.isclass(made) else made)
    return typed(owner, settings, hints)


def _files(rest: str) -> Hashable:
    """The state of a folder's files, so that rewritten weights are loaded again."""
    folder = Path(rest)
    if not folder.is_dir():
        return None
    files = sorted(folder.iterdir())
    return (str(folder.resolve()), tuple((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files))
