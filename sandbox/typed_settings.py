"""Settings of dataclasses and functions: read from text, checked against declared types, ranges and choices.

A range is declared on the field, ``steps: Annotated[int, at_least(1)] = 3``; a choice is a ``Literal``. All faults are
reported at once, with the nearest name for an unknown one.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from sandbox.errors import SandboxError, SettingsError, nearest
from sandbox.seeding import MAX_SEED

T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """Range of a number; ``ends`` are the brackets of interval notation, so ``[)`` includes only ``low``."""

    low: float
    high: float = math.inf
    ends: Literal["[]", "[)", "(]", "()"] = "[)"

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.ends[0] == "[" else value > self.low
        return above and (value <= self.high if self.ends[1] == "]" else value < self.high)

    def __str__(self) -> str:
        if self.high < math.inf:
            return f"in {self.ends[0]}{self.low:g}, {_digits(self.high)}{self.ends[1]}"
        return f"{'at least' if self.ends[0] == '[' else 'above'} {self.low:g}"


def _digits(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 1e6 else f"{number:g}"


def at_least(low: float) -> Bounds:
    """Finite numbers from ``low`` on."""
    return Bounds(low)


def above(low: float) -> Bounds:
    """Finite numbers greater than ``low``."""
    return Bounds(low, ends="()")


def between(low: float, high: float, ends: Literal["[]", "[)", "(]", "()"] = "[]") -> Bounds:
    """Numbers from ``low`` to ``high``; a round bracket in ``ends`` excludes that end."""
    return Bounds(low, high, ends)


LARGEST = 2**31 - 1  # of whole numbers without another upper bound
SEEDS = between(0, MAX_SEED)
MAX_SEEDS = 1000


def check_seeds(seeds: Sequence[Any]) -> None:
    """Refuse seeds that are no whole numbers from 0 to ``MAX_SEED``, given twice, too many or none.

    Raises:
        SettingsError: names the seeds that are wrong.
    """
    if not 1 <= len(seeds) <= MAX_SEEDS:
        raise SettingsError(f"give from 1 to {MAX_SEEDS} seeds, not {len(seeds)}")
    wrong = [s for s in seeds if isinstance(s, bool) or not isinstance(s, numbers.Integral) or int(s) not in SEEDS]
    if wrong:
        raise SettingsError(f"a seed must be a whole number {SEEDS}; found {', '.join(map(repr, wrong))}")
    if len(set(seeds)) < len(seeds):
        raise SettingsError(f"give each seed once; found {', '.join(map(str, seeds))}")


def setting_faults(settings: Any) -> list[str]:
    """List the values of a dataclass that its declared ranges and choices exclude, one line each.

    Checked are fields annotated ``Annotated[..., Bounds]`` and ``Literal``, also in a union with None.
    """
    hints = typing.get_type_hints(type(settings), include_extras=True)
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return [fault for name, value in values.items() for fault in _value_faults(name, value, hints[name])]


def parameter_faults(values: Mapping[str, Any], hints: Mapping[str, Any]) -> list[str]:
    """List the values of a function's parameters that their annotated ranges and choices exclude, one line each."""
    return [fault for name, value in values.items() for fault in _value_faults(name, value, hints.get(name, Any))]


def _value_faults(name: str, value: Any, hint: Any) -> list[str]:
    plain, *notes = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    options = _options(plain)
    if value is None and type(None) in options:
        return []
    choices = [
        choice for option in options if typing.get_origin(option) is Literal for choice in typing.get_args(option)
    ]
    if choices and value not in choices:
        return [
            f"{name}={value!r} is not one of {', '.join(map(str, choices))}.{nearest(str(value), map(str, choices))}"
        ]
    for bounds in notes:
        if isinstance(bounds, Bounds):
            kind: Any
            kind, noun = (numbers.Real, "a number") if float in options else (numbers.Integral, "a whole number")
            if not isinstance(value, kind):
                return [f"{name}={value!r} must be {noun}, {bounds}"]
            if value not in bounds:
                return [f"{name}={value!r} must be {bounds}"]
            if kind is numbers.Integral and bounds.high == math.inf and value > LARGEST:
                return [f"{name}={value!r} must be at most {LARGEST}"]
    return []


def _options(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def refuse(summary: str, faults: Iterable[str], error: type[SandboxError] = SettingsError) -> None:
    """Raise ``error`` with a summary and every fault on a line of its own; do nothing if there is none."""
    lines = [f"  {fault}" for fault in faults]
    if lines:
        raise error("\n".join([f"{summary}:", *lines]))


def check_settings(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse unknown settings.

    Raises:
        SettingsError: names every unknown setting, the nearest known one, and all that exist.
    """
    _raise(_unknown(owner, given, known))


def _unknown(owner: str, given: Iterable[str], known: Iterable[str]) -> list[str]:
    known = sorted(known)
    faults = [f"{owner} has no setting {name!r}.{nearest(name, known)}" for name in given if name not in known]
    return [*faults[:-1], f"{faults[-1]} Settings: {', '.join(known) or 'none'}"] if faults else []


def _raise(faults: list[str]) -> None:
    if faults:
        raise SettingsError("\n".join(faults))


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function that can be passed by keyword, by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: p for n, p in inspect.signature(function).parameters.items() if p.kind in kinds}


def typed(owner: str, settings: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the text of ``--set name=text`` to the annotated types of the settings.

    Values that are not text pass through unchanged. Known annotations: bool, int, float, str, Path, lists and
    tuples of them (comma-separated), Literal, mappings (JSON), and unions with None (the word ``none``).

    Raises:
        SettingsError: names every text that cannot be read as its type.
    """
    faults, found = read_typed(owner, settings, hints)
    _raise(faults)
    return found


def read_typed(owner: str, settings: Mapping[str, Any], hints: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """As :func:`typed`, but return the faults, and the settings that could be read."""
    faults: list[str] = []
    found: dict[str, Any] = {}
    for name, value in settings.items():
        try:
            found[name] = _typed(name, value, hints[name]) if isinstance(value, str) and name in hints else value
        except SettingsError as error:
            faults.append(f"{owner}: {error}")
    return faults, found


def _typed(name: str, text: str, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if type(None) in args and text.lower() in ("none", "null"):
            return None
        options = [a for a in args if a is not type(None)]
        for option in options:
            try:
                return _typed(name, text, option)
            except SettingsError:
                continue
        _mistyped(name, text, " or ".join(map(_noun, options)))
    if origin is Literal:
        if text not in args:
            _mistyped(name, text, f"one of {', '.join(map(str, args))}.{nearest(text, map(str, args))}")
        return text
    if origin in (tuple, list):
        return origin([_typed(name, part.strip(), args[0]) for part in text.split(",") if part.strip()])
    if origin in (dict, Mapping):
        return _mapping(name, text)
    if hint is bool:
        if text.lower() in ("true", "yes", "on", "1"):
            return True
        if text.lower() not in ("false", "no", "off", "0"):
            _mistyped(name, text, _noun(bool))
        return False
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            _mistyped(name, text, _noun(hint))
    return Path(text) if hint is Path else text


def _mapping(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        _mistyped(name, text, "a JSON object")
    return value


def _mistyped(name: str, text: str, expected: str) -> NoReturn:
    raise SettingsError(f"{name}={text!r} is not {expected}")


def _noun(hint: Any) -> str:
    if typing.get_origin(hint) in (tuple, list):
        of = {int: "whole numbers", float: "numbers"}.get(typing.get_args(hint)[0], "values")
        return f"{of}, separated by commas"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
    return names.get(hint, str(hint))


def make_settings(owner: str, kind: type[T], given: Mapping[str, Any]) -> T:
    """Build a dataclass of settings from keywords or from ``--set`` text.

    ``NAME.KEY`` sets one key of a field that is a mapping.

    Raises:
        SettingsError: names every setting that is unknown, is not of its type or is out of its declared range.
    """
    names = [field.name for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    faults, found = read_typed(owner, _with_keys(given, hints), hints)
    given = found
    faults += _unknown(owner, given, names)
    if faults:
        # Ranges are the dataclass's own to check; here they only complete the list.
        annotated = typing.get_type_hints(kind, include_extras=True)
        ranges = [_value_faults(name, value, annotated[name]) for name, value in found.items() if name in names]
        _raise([*(f"{owner}: {fault}" for several in ranges for fault in several), *faults])
    return kind(**found)


def _with_keys(given: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with each ``NAME.KEY`` gathered into the mapping NAME."""
    found: dict[str, Any] = {}
    keys: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        field, dot, key = name.partition(".")
        if dot and typing.get_origin(hints.get(field)) in (dict, Mapping):
            keys.setdefault(field, {})[key] = value
        else:
            found[name] = value
    for field, values in keys.items():
        whole = found.get(field, {})
        found[field] = {**(_mapping(field, whole) if isinstance(whole, str) else whole), **values}
    return found
