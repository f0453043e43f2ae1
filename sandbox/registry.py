"""Finds plugins by name; the only reader of entry points.

Names are listed without importing anything. Built-ins are declared in this project's own ``pyproject.toml``
in the same table as outsiders', so there is one way to be found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from sandbox.errors import BrokenPlugin, SandboxError, SettingsError, UnknownPlugin, nearest

T = TypeVar("T")

KINDS = ("scenarios", "models", "raters", "trainers", "protocols", "embedders", "plots")


@dataclass(frozen=True)
class Plugin:
    """A plugin as it is listed: nothing of it has been imported."""

    kind: str
    name: str
    value: str
    package: str


@cache
def _entries(kind: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"sandbox.{kind}"):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise BrokenPlugin(
                f"{kind[:-1]} {entry.name!r} is claimed twice: by {_package(other)} ({other.value}) and by "
                f"{_package(entry)} ({entry.value}); uninstall one of them"
            )
    return found


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown package"


def plugins(kind: str) -> list[Plugin]:
    """Every installed plugin of a kind, sorted by name."""
    return [Plugin(kind, e.name, e.value, _package(e)) for _, e in sorted(_entries(kind).items())]


def load(kind: str, name: str) -> Any:
    """The object a plugin's entry point names.

    Args:
        kind: One of ``KINDS``.
        name: The entry point's name; also a path ``./mine.py`` or ``module:object``.

    Raises:
        UnknownPlugin: nothing of that name is installed.
        BrokenPlugin: it is installed but cannot be imported.
    """
    entry = _entries(kind).get(name)
    if entry is None:
        if name.endswith(".py") or ".py:" in name:
            return _from_file(kind, name)
        if ":" in name:
            return _from_module(kind, name)
        known = sorted(_entries(kind))
        raise UnknownPlugin(
            f"no {kind[:-1]} named {name!r}.{nearest(name, known)} Installed: {', '.join(known) or 'none'}"
        )
    try:
        return entry.load()
    except SandboxError:
        raise  # says itself what is wrong
    except Exception as error:
        raise BrokenPlugin(
            f"{kind[:-1]} {name!r} of package {_package(entry)} cannot be imported ({entry.value}): "
            f"{type(error).__name__}: {error}"
        ) from error


def load_object(where: str, what: str) -> Any:
    """An object of a Python file or module that is no plugin.

    Args:
        where: ``./mine.py:name`` or ``module:name``.
        what: What it is to be, for messages.

    Raises:
        UnknownPlugin: there is no such file.
        BrokenPlugin: the file or module cannot be imported, or has no such object.
    """
    return _from_file(f"{what}s", where) if ".py:" in where else _from_module(f"{what}s", where)


def summary(plugin: Plugin) -> str:
    """The first line of a plugin's docstring, read from its source without importing it."""
    import ast

    module, _, attribute = plugin.value.partition(":")
    try:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            return ""
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except (ImportError, OSError, SyntaxError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").split("\n")[0]
    return (ast.get_docstring(tree) or "").split("\n")[0]


_FILE_OBJECT = {"scenarios": "scenario", "protocols": "protocol", "trainers": "trainer"}


def _from_file(kind: str, name: str) -> Any:
    path_text, _, attribute = name.partition(".py:")
    path = Path(path_text if path_text.endswith(".py") else path_text + ".py")
    if not path.is_file():
        raise UnknownPlugin(f"{kind[:-1]} file {str(path)!r} does not exist; give the path of a Python file")
    # The name depends on the whole path, so that two files named alike do not meet in sys.modules.
    digest = hashlib.blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()
    spec = importlib.util.spec_from_file_location(f"{path.stem}_{digest}", path)
    if spec is None or spec.loader is None:
        raise BrokenPlugin(f"{path} cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        if isinstance(error, SandboxError):
            raise  # says itself what is wrong
        raise BrokenPlugin(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return _attribute(module, attribute or _FILE_OBJECT.get(kind, kind[:-1]), str(path))


def _from_module(kind: str, name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except SandboxError:
        raise
    except Exception as error:
        raise BrokenPlugin(f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}") from error
    return _attribute(module, attribute, module_name)


def _attribute(module: Any, attribute: str, where: str) -> Any:
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [n for n in vars(module) if not n.startswith("_")]
        raise BrokenPlugin(f"{where} has no {attribute!r}.{nearest(attribute, public)}") from None


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
