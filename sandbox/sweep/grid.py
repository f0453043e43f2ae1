"""The points of a sweep: every combination of a grid's values, checked before anything starts.

The check is a rehearsal: each point's world is set up for real, with a model that costs nothing in place of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox import registry
from sandbox.errors import SandboxError, SettingsError, nearest
from sandbox.scenario.rubric import Rubric
from sandbox.scenario.scenario import Scenario
from sandbox.typed_settings import parameters, typed

Point = dict[str, Any]

# What a sweep decides for every run itself, and where to say it instead.
RESERVED_KEYS = {
    "scenario": "a sweep is over one scenario; sweep over another in another folder",
    "seed": "give --seeds",
    "out": "give --out; each run has its folder in it",
    "resume": "a sweep always goes on where it stood",
    "command": "the sweep's own is recorded",
    "rounds": "give --rounds",
    "seeds": "give --seeds",
    "grid": "give --grid",
    "workers": "give --workers",
}


def parse_grid(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Read ``--grid key=a,b,c`` options; values that hold commas themselves are separated by semicolons.

    Raises:
        SettingsError: says what is wrong with each option.
    """
    found: dict[str, list[str]] = {}
    faults = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        values = [value.strip() for value in text.split(";" if ";" in text else ",")]
        values = [value for value in values if value]
        if not equals or not key or not values:
            faults.append(f"--grid takes KEY=VALUE,VALUE,...; found {pair!r}")
        elif key in found:
            faults.append(f"--grid {key} is given twice; put all its values into one")
        else:
            found[key] = values
    if faults:
        raise SettingsError("; ".join(faults))
    return found


def parse_seeds(text: str) -> list[int]:
    """Read ``--seeds``: ``5`` is 0 to 4, ``3,7`` are these two and ``7,`` is this one.

    Raises:
        SettingsError: it is neither.
    """
    parts = [part.strip() for part in text.split(",")]
    given = [part for part in parts if part]
    if not given or not all(part.isascii() and part.isdigit() for part in given):
        raise SettingsError(f"--seeds takes how many (5 is 0 to 4) or which (3,7); found {text!r}")
    return list(range(int(given[0]))) if len(parts) == 1 else [int(part) for part in given]


def expand_grid(
    scenario: str | Scenario,
    grid: Mapping[str, Sequence[Any]],
    settings: Mapping[str, Any],
    *,
    seeds: Sequence[int],
    rounds: int,
) -> tuple[list[Point], dict[str, Any], Rubric]:
    """Combine a grid's values, the last key fastest, and see that each combination can be set up.

    Args:
        scenario: As for the world.
        grid: Values for each key; text is read as the key's own type.
        settings: What all points share; text is read likewise.
        seeds: Of each point.
        rounds: Of each run.

    Returns:
        The points, the settings as they were read, and the rubric of the scenario.

    Raises:
        SettingsError: names every fault.
        UnknownPlugin: there is no such scenario.
    """
    faults = [f"{name}: {RESERVED_KEYS[name]}" for name in settings if name in RESERVED_KEYS]
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        faults.append(f"seeds must be different numbers from 0, at least one; found {list(seeds)}")
    if rounds < 1:
        faults.append(f"rounds={rounds} must be at least 1")
    known = _hints(scenario)
    values = {}
    for key, given in grid.items():
        wrong, values[key] = _read_values(key, given, settings, known)
        faults += wrong
        if not values[key]:
            del values[key]  # the others are still rehearsed, so that their faults are told too
    points = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    shared, wrong = _typed({name: value for name, value in settings.items() if name not in RESERVED_KEYS}, known)
    faults += wrong
    rubrics, told = [], dict[str, list[str]]()
    for point in points:
        try:
            rubrics.append(_rehearse(scenario, {**shared, **point}))
        except SandboxError as error:
            told.setdefault(str(error), []).append(point_name(point))
    faults += [fault if len(points) == 1 else f"{_some(names)}: {fault}" for fault, names in told.items()]
    if faults:
        lines = "\n".join(fault.replace("\n", "\n  ") for fault in faults)
        raise SettingsError("this sweep cannot start:\n  " + lines.replace("\n", "\n  "))
    return points, shared, rubrics[0]


def point_name(point: Mapping[str, Any]) -> str:
    """A name as ``population=all_good,seed=0``, safe in every file system; no two points of a grid share one."""
    name = ",".join(f"{key}={_safe(value)}" for key, value in point.items()) or "all"
    return name if len(name) <= 200 else f"{name[:190]}~{_digest(name)}"


def _hints(scenario: str | Scenario) -> dict[str, Any]:
    """What a key may be, and its type: keywords of the world, fields of its society, settings of the scenario."""
    from sandbox.scenario.settings import SocietySettings
    from sandbox.world import World

    made = registry.load("scenarios", scenario) if isinstance(scenario, str) else scenario
    known: dict[str, Any] = {}
    if callable(made) and not isinstance(made, Scenario):
        known |= {name: p.annotation for name, p in parameters(made).items()}
        known |= {name: hint for name, hint in typing.get_type_hints(made).items() if name in known}
    known |= typing.get_type_hints(SocietySettings)
    keywords = parameters(World.__init__)
    known |= {name: hint for name, hint in typing.get_type_hints(World.__init__).items() if name in keywords}
    return {name: hint for name, hint in known.items() if name not in RESERVED_KEYS}


def _read_values(
    key: str, given: Sequence[Any], settings: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[list[str], list[Any]]:
    if key in RESERVED_KEYS:
        return [f"{key} cannot be swept: {RESERVED_KEYS[key]}"], []
    if key not in known and "." not in key:  # settings of models have a dot; the rehearsal knows them
        return [f"there is nothing called {key!r} to sweep.{nearest(key, known)} Keys: {', '.join(sorted(known))}"], []
    faults, values = [], []
    if key in settings:
        faults.append(f"{key} is both swept and set to {settings[key]!r}; leave one out")
    if isinstance(given, str) or not given:
        return [*faults, f"{key} needs a list of values; found {given!r}"], []
    for text in given:
        typed, wrong = _typed({key: text}, known)
        if wrong:
            faults += wrong
            continue
        value = typed[key]
        if not (value is None or isinstance(value, str | int | float)):
            faults.append(f"{key} can be swept over texts and numbers; found {value!r}, give its URI or name")
        elif value in values:
            faults.append(f"{key}={text} is given twice")
        else:
            values.append(value)
    return faults, values


def _typed(settings: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Read text as what it is for; also the faults, without which the settings cannot be used."""
    found: dict[str, Any] = {}
    faults: list[str] = []
    faults = []
    for name, value in settings.items():
        try:
            found |= typed("the sweep", {name: value}, known)
        except SettingsError as error:
            faults.append(str(error))
    return found, faults


def _rehearse(scenario: str | Scenario, settings: Mapping[str, Any]) -> Rubric:
    from sandbox.models.scripted import ScriptedModel
    from sandbox.preview.dry_run import rehearsal

    world = rehearsal(scenario, settings, model=ScriptedModel())
    world.close()
    return world.scenario.rubric


def _some(names: Iterable[str]) -> str:
    first, *others = names
    return f"{first} and {len(others)} more" if others else first


def _safe(value: Any) -> str:
    text = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    kept = re.sub(r"[^A-Za-z0-9._+-]", "-", text)[:60]
    return kept if kept == text else f"{kept}~{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
