"""Defaults for what an object of a plugin leaves out of its contract, and errors for what it must have.

Knows no kind of plugin.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.errors import BrokenPlugin


class Completed:
    """An object with attributes that it lacks; all others, and its methods, are its own.

    Args:
        inner: The object.
        added: The attributes that it lacks.
    """

    def __init__(self, inner: Any, added: Mapping[str, Any]) -> None:
        self.inner = inner
        self.added = dict(added)

    def __getattr__(self, name: str) -> Any:
        if name in ("inner", "added"):  # not set yet, while it is copied
            raise AttributeError(name)
        return self.added[name] if name in self.added else getattr(self.inner, name)

    def __repr__(self) -> str:
        return repr(self.inner)


def complete(kind: str, given: Any, method: str, defaults: Mapping[str, Callable[[], Any]]) -> Any:
    """Give an object the attributes of its contract that it lacks.

    Args:
        kind: For messages, for example ``language model``.
        given: The object.
        method: The method that it must have.
        defaults: Functions that make the default of each attribute; called only for those that are missing.

    Returns:
        The object itself if it lacks nothing.

    Raises:
        BrokenPlugin: it is a class, or has no such method.
    """
    name = getattr(given, "__name__", None) or type(given).__name__
    if inspect.isclass(given):
        raise BrokenPlugin(f"{kind} {name!r} is a class; give an object: {name}()")
    if not callable(getattr(given, method, None)):
        raise BrokenPlugin(f"{kind} {name!r} has no method {method!r}, which it needs")
    missing = {attribute: make() for attribute, make in defaults.items() if getattr(given, attribute, None) is None}
    return Completed(given, missing) if missing else given


def construct(
    kind: str, made: Any, rest: str, settings: Mapping[str, Any], offered: Mapping[str, Any] | None = None
) -> Any:
    """Call the class or function of a plugin with the text after its name in a URI.

    One that takes no text is called without it, if there is none; settings that it does not take are left out if they are
    only ``offered``.

    Args:
        kind: For messages, for example ``model 'mine'``.
        made: The class or function.
        rest: The text; empty if there is none.
        settings: Passed by keyword.
        offered: Passed by keyword if it takes them, for example the embedder for raters.

    Raises:
        BrokenPlugin: it cannot be called so.
    """
    if not callable(made):
        raise BrokenPlugin(f"{kind} is {made!r}; expected a class or function that takes the text after its name")
    offered = offered or {}
    try:
        signature = inspect.signature(made)
    except (TypeError, ValueError):  # classes written in C
        return made(rest, **settings, **offered)
    for arguments in ((rest,),) if rest else ((rest,), ()):
        for named in ({**settings, **offered}, settings):
            if _binds(signature, arguments, named):
                return made(*arguments, **named)
    name = getattr(made, "__name__", str(made))
    raise BrokenPlugin(
        f"{kind}: {name}{signature} cannot be called with {rest!r}, the text after its name"
        f"{''.join(f', and {key}=...' for key in settings)}; let it take rest='' as its first argument"
    )


def _binds(signature: inspect.Signature, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*arguments, **named)
    except TypeError:
        return False
    return True


def check_results(owner: str, call: str, found: Any, n: int, kind: type) -> Sequence[Any]:
    """Check that a method returned one result of a type per item.

    Args:
        owner: For messages, for example ``language model 'mine:'``.
        call: The method and its argument, for example ``generate(requests)``.
        found: What it returned.
        n: Number of items.
        kind: Type of each result.

    Raises:
        BrokenPlugin: it is no list, has another length, or holds something else.
    """
    if not isinstance(found, Sequence) or isinstance(found, str):
        what = f"{type(found).__name__}"
    elif len(found) != n:
        what = f"{len(found)} results"
    elif strangers := [one for one in found if not isinstance(one, kind)]:
        what = f"a list with {type(strangers[0]).__name__}"
    else:
        return found
    items = "1 item" if n == 1 else f"{n} items"
    raise BrokenPlugin(
        f"{owner}: {call} returned {what} for {items}; expected a list with one {kind.__name__} for each"
    )


def class_hash(given: Any) -> str:
    """Hash the name and the source of an object's class, so that changed code is noticed (16 hex digits)."""
    kind = type(given)
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        source = ""
    return hashlib.blake2b(f"{kind.__qualname__}\0{source}".encode(), digest_size=8).hexdigest()
