"""Finds plugins by name; the only module that reads entry points.

Names are listed without importing plugins. Built-in plugins are declared in this project's ``pyproject.toml``, in the same
entry-point groups as those of other packages.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from sandbox.errors import BrokenPlugin, SandboxError, UnknownPlugin, failing_place, nearest
from sandbox.typed_settings import parameters

KINDS = ("scenarios", "models", "raters", "trainers", "protocols", "embedders", "memories", "plots")


def kind_of_one(kind: str) -> str:
    """Name of one plugin of a kind: ``rater`` for ``raters``, ``memory`` for ``memories``."""
    return f"{kind[:-3]}y" if kind.endswith("ies") else kind[:-1]


def kind_of_many(one: str) -> str:
    """The kind of a plugin, by the name of one: the inverse of :func:`kind_of_one`."""
    return f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"


@dataclass(frozen=True)
class Plugin:
    """A plugin as it is listed, without importing it."""

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
                f"{kind_of_one(kind)} {entry.name!r} is declared twice: by {_package(other)} ({other.value}) and by "
                f"{_package(entry)} ({entry.value}); uninstall one of them"
            )
    return found


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown package"


def plugins(kind: str) -> list[Plugin]:
    """Every installed plugin of a kind, sorted by name."""
    return [Plugin(kind, e.name, e.value, _package(e)) for _, e in sorted(_entries(kind).items())]


def load(kind: str, name: str) -> Any:
    """Load the object that a plugin's entry point names.

    Args:
        kind: One of ``KINDS``.
        name: The name of the entry point; or a path ``./mine.py``, or ``module:object``.

    Raises:
        UnknownPlugin: no plugin has that name.
        BrokenPlugin: the plugin cannot be imported.
    """
    entry = _entries(kind).get(name)
    if entry is None:
        if name.endswith(".py") or ".py:" in name:
            return _from_file(kind, name)
        if ":" in name:
            return _from_module(kind, name)
        known = sorted(_entries(kind))
        is_beside = Path(f"{name}.py").is_file()
        meant = f" Did you mean the file ./{name}.py?" if is_beside else nearest(name, known)
        raise UnknownPlugin(f"no {kind_of_one(kind)} named {name!r}.{meant} Installed: {', '.join(known) or 'none'}")
    try:
        return entry.load()
    except SandboxError:
        raise  # its message is complete
    except Exception as error:
        raise BrokenPlugin(
            f"{kind_of_one(kind)} {name!r} of package {_package(entry)} cannot be imported ({entry.value}): "
            f"{type(error).__name__}: {error}"
        ) from error


def load_object(where: str, what: str) -> Any:
    """Load an object of a Python file or module that is not a plugin.

    Args:
        where: ``./mine.py:name`` or ``module:name``.
        what: Its kind, for messages.

    Raises:
        UnknownPlugin: the file does not exist.
        BrokenPlugin: the file or module cannot be imported, or has no such object.
    """
    return _from_file(kind_of_many(what), where) if ".py:" in where else _from_module(kind_of_many(what), where)


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
        raise UnknownPlugin(f"{kind_of_one(kind)} file {str(path)!r} does not exist; give the path of a Python file")
    # The name depends on the whole path, so that files of the same name do not collide in sys.modules.
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
            raise  # its message is complete
        words = f"{type(error).__name__}: {error}{failing_place(error)}{_meant_keyword(error, vars(module))}"
        raise BrokenPlugin(f"{path} cannot be imported: {words}") from error
    return _attribute(module, attribute or _FILE_OBJECT.get(kind, kind_of_one(kind)), str(path))


def _meant_keyword(error: Exception, names: Mapping[str, Any]) -> str:
    """The argument that was probably meant, where a class or function of a module was called with one that it does not take."""
    found = re.search(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'$", str(error))
    called = names.get(found[1]) if found else None
    meant = nearest(found[2], parameters(called)) if found and callable(called) else ""
    return meant and f".{meant}"


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
        public = [name for name in vars(module) if not name.startswith("_")]
        if not where.endswith(".py"):  # packages may have lazy values, which no message should import
            raise BrokenPlugin(f"{where} has no {attribute!r}.{nearest(attribute, public)}") from None
        own = [name for name in public if _is_own(vars(module)[name], module)]
        there = (
            f" It defines {', '.join(own[:5])}: name one as {where}:{own[0]}, or call it {attribute}." if own else ""
        )
        raise BrokenPlugin(f"{where} has no {attribute!r}.{nearest(attribute, own) or there}") from None


def _is_own(value: Any, module: Any) -> bool:
    """Whether a module defines a value itself, rather than importing it."""
    return not isinstance(value, ModuleType) and getattr(value, "__module__", module.__name__) == module.__name__
