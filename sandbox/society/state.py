"""State of an agent or of the world: a JSON mapping that changes between the stages of a round only.

All that it contains is JSON: text, numbers, booleans, None, lists, and dictionaries with text as keys. Values are converted
when they are set: numbers of numpy become plain ones, tuples and arrays become lists. While a stage runs, a state and all that
it contains refuse changes. Knows no agents, worlds or run folders.
"""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, SupportsIndex

from sandbox.errors import ScenarioError, author_line
from sandbox.text_cleaning import without_surrogates


class Gate:
    """Whether states can be changed now; shared by all states of a society.

    Args:
        is_open: Whether they can.
        is_last: Whether it is of an agent that was removed, whose state never changes again.
    """

    __slots__ = ("is_last", "is_open")

    def __init__(self, *, is_open: bool = False, is_last: bool = False) -> None:
        self.is_open, self.is_last = is_open, is_last


class State(dict[str, Any]):
    """State of one agent or of the world, or a dictionary inside one.

    It can be changed in ``settle``, ``before_round``, ``after_round`` and ``events`` of the scenario only.

    Args:
        owner: Whose it is, for messages.
        content: What it holds.
        gate: Whether it can be changed.
        path: Its place in the state, for messages.

    Raises:
        ScenarioError: JSON cannot hold a value; names its key.
    """

    __slots__ = ("_about",)

    def __init__(self, owner: str, content: Mapping[str, Any], gate: Gate, path: str = "state") -> None:
        self._about = (owner, gate, path)
        try:
            super().__init__({self._key(key): self._plain(key, value) for key, value in content.items()})
        except RecursionError:
            raise ScenarioError(f"{author_line()}{path} of {owner} contains itself, which JSON cannot hold") from None

    def copied(self, gate: Gate) -> State:
        """A copy of it, and of all that it contains, behind another gate."""
        return State(self._about[0], self, gate, self._about[2])

    def __missing__(self, key: str) -> NoReturn:
        raise KeyError(f"{_name(self._about)} has no {key!r}; it has {', '.join(map(repr, self)) or 'nothing'}")

    def __setitem__(self, key: str, value: Any) -> None:
        _check(self._about)
        super().__setitem__(self._key(key), self._plain(key, value))

    def __delitem__(self, key: str) -> None:
        _check(self._about)
        super().__delitem__(key)

    def update(self, *given: Any, **values: Any) -> None:
        """As of a dictionary."""
        for key, value in dict(*given, **values).items():
            self[key] = value

    def __ior__(self, other: Any) -> State:  # type: ignore[override, misc]
        self.update(other)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As of a dictionary."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """As of a dictionary."""
        _check(self._about)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """As of a dictionary."""
        _check(self._about)
        return super().popitem()

    def clear(self) -> None:
        """As of a dictionary."""
        _check(self._about)
        super().clear()

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise ScenarioError(
                f"{author_line()}{_name(self._about)} has the key {key!r} ({type(key).__name__}); keys of JSON are text: use "
                f"str({key!r})"
            )
        return without_surrogates(str.__str__(key))

    def _plain(self, key: str, value: Any) -> Any:
        owner, gate, path = self._about
        return _plain(value, owner, gate, f"{path}[{key!r}]")

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return copy.deepcopy(dict(self), memo)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class StateList(list[Any]):
    """A list inside a state."""

    __slots__ = ("_about",)

    def __init__(self, owner: str, content: Iterable[Any], gate: Gate, path: str) -> None:
        self._about = (owner, gate, path)
        super().__init__(_plain(value, owner, gate, f"{path}[{i}]") for i, value in enumerate(content))

    def _one(self, value: Any) -> Any:
        return _plain(value, *self._about)

    def __setitem__(self, index: Any, value: Any) -> None:
        _check(self._about)
        super().__setitem__(index, [self._one(v) for v in value] if isinstance(index, slice) else self._one(value))

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        _check(self._about)
        super().__delitem__(index)

    def append(self, value: Any) -> None:
        """As of a list."""
        _check(self._about)
        super().append(self._one(value))

    def extend(self, values: Iterable[Any]) -> None:
        """As of a list."""
        _check(self._about)
        super().extend([self._one(value) for value in values])

    def __iadd__(self, values: Iterable[Any]) -> StateList:  # type: ignore[misc]
        self.extend(values)
        return self

    def __imul__(self, times: SupportsIndex) -> StateList:
        self[:] = list(self) * times
        return self

    def insert(self, index: SupportsIndex, value: Any) -> None:
        """As of a list."""
        _check(self._about)
        super().insert(index, self._one(value))

    def pop(self, index: SupportsIndex = -1) -> Any:
        """As of a list."""
        _check(self._about)
        return super().pop(index)

    def remove(self, value: Any) -> None:
        """As of a list."""
        _check(self._about)
        super().remove(value)

    def clear(self) -> None:
        """As of a list."""
        _check(self._about)
        super().clear()

    def reverse(self) -> None:
        """As of a list."""
        _check(self._about)
        super().reverse()

    def sort(self, **given: Any) -> None:
        """As of a list."""
        _check(self._about)
        super().sort(**given)

    def __deepcopy__(self, memo: Any) -> list[Any]:
        return copy.deepcopy(list(self), memo)

    def __reduce__(self) -> Any:
        return list, (list(self),)


About = tuple[str, Gate, str]


def _name(about: About) -> str:
    owner, _, path = about
    return f"the state of {owner}" if path == "state" else f"{path} of {owner}"


def _check(about: About) -> None:
    if about[1].is_last:
        raise ScenarioError(
            f"{author_line()}{_name(about)} was changed, but {about[0]} was removed; leave it out: if agent in world.members"
        )
    if not about[1].is_open:
        where = "" if about[2] == "state" else " in place"
        raise ScenarioError(
            f"{author_line()}{_name(about)} was changed{where} within a stage; change it in the scenario's settle(world, "
            "interactions), before_round(world), after_round(world) or events, so that no result depends on the order of "
            "replies. Conversations return what happened: world.interaction(..., extra={...})"
        )


def _plain(value: Any, owner: str, gate: Gate, path: str) -> Any:
    """A value as JSON gives it back; containers are copied.

    Raises:
        ScenarioError: names what JSON cannot hold.
    """
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return value
    if isinstance(value, str):
        return without_surrogates(str.__str__(value))
    if isinstance(value, Mapping):
        return State(owner, value, gate, path)
    if isinstance(value, list | tuple):
        return StateList(owner, value, gate, path)
    if hasattr(value, "tolist") and not isinstance(value, bytes):  # a number or an array of numpy
        return _plain(value.tolist(), owner, gate, path)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, numbers.Real):
        if math.isfinite(value):
            return float(value)
        raise ScenarioError(
            f"{author_line()}{path} of {owner} is {float(value)}, which JSON cannot hold; use None, or a finite number"
        )
    hint = "; use sorted(...)" if isinstance(value, set | frozenset) else ""
    raise ScenarioError(
        f"{author_line()}{path} of {owner} is a {kind.__name__}, which JSON cannot hold; use numbers, texts, truth values, "
        f"None, lists and mappings{hint}"
    )
