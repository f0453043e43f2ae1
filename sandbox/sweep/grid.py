"""The points of a sweep: every combination of a grid's values, checked before any run starts.

For the check, the world of each point is set up with a stand-in model (see :mod:`sandbox.preview.dry_run`).
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
from sandbox.typed_settings import MAX_SEEDS, check_seeds, parameters, read_typed

Point = dict[str, Any]

# Keywords of a world that a sweep sets itself, and what to use instead.
RESERVED_KEYS = {
    "scenario": "a sweep has one scenario; use another --out for another scenario",
    "seed": "give --seeds",
    "out": "each run gets a folder in --out",
    "resume": "a sweep always resumes",
    "command": "the command of the sweep is recorded",
    "rounds": "give --rounds",
    "seeds": "give --seeds",
    "grid": "give --grid",
    "workers": "give --workers",
}


def parse_grid(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Parse ``--grid key=a,b,c`` options; values that contain commas are separated by semicolons.

    Raises:
        SettingsError: states the fault of each option.
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
            faults.append(f"--grid {key} is given twice; list all its values in one option")
        else:
            found[key] = values
    if faults:
        raise SettingsError("; ".join(faults))
    return found


def parse_seeds(text: str) -> list[int]:
    """Parse ``--seeds``: ``5`` is 0 to 4, ``3,7`` are these two, ``7,`` is 7 alone.

    Raises:
        SettingsError: the text is neither a number nor a list.
    """
    parts = [part.strip() for part in text.split(",")]
    given = [part for part in parts if part]
    if not given or not all(part.isascii() and part.isdigit() for part in given):
        raise SettingsError(f"--seeds takes a number of seeds (5 means 0 to 4) or a list (3,7); found {text!r}")
    if len(parts) > 1:
        return [int(part[:20]) for part in given]
    if not 1 <= int(given[0][:20]) <= MAX_SEEDS:
        raise SettingsError(f"--seeds {given[0]} must be from 1 to {MAX_SEEDS}, or a list (3,7)")
    return list(range(int(given[0])))


def expand_grid(
    scenario: str | Scenario,
    grid: Mapping[str, Sequence[Any]],
    settings: Mapping[str, Any],
    *,
    seeds: Sequence[int],
    rounds: int,
) -> tuple[list[Point], dict[str, Any], Rubric]:
    """Combine a grid's values, the last key fastest, and check that each combination can be set up.

    Args:
        scenario: As for the world.
        grid: Values of each key; text is converted to the type of the key.
        settings: Settings of all points; text is converted likewise.
        seeds: Seeds of each point.
        rounds: Rounds of each run.

    Returns:
        The points, the converted settings, and the rubric of the scenario.

    Raises:
        SettingsError: names every fault.
        UnknownPlugin: no scenario has that name.
    """
    faults = [f"{name}: {RESERVED_KEYS[name]}" for name in settings if name in RESERVED_KEYS]
    try:
        check_seeds(seeds)
    except SettingsError as error:
        faults.append(str(error))
    if rounds < 1:
        faults.append(f"rounds={rounds} must be at least 1")
    known = _hints(scenario)
    values = {}
    for key, given in grid.items():
        wrong, values[key] = _read_values(key, given, settings, known)
        faults += wrong
        if not values[key]:
            del values[key]  # the others are still checked, so that their faults are reported too
    points = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    free = {name: value for name, value in settings.items() if name not in RESERVED_KEYS}
    wrong, shared = read_typed("the sweep", free, known)
    faults += wrong
    rubrics, by_fault = [], dict[str, list[str]]()
    for point in points:
        try:
            rubrics.append(_rehearse(scenario, {**shared, **point}))
        except SandboxError as error:
            by_fault.setdefault(str(error), []).append(point_name(point))
    faults += [fault if len(points) == 1 else f"{_some(names)}: {fault}" for fault, names in by_fault.items()]
    if faults:
        lines = "\n".join(fault.replace("\n", "\n  ") for fault in faults)
        raise SettingsError("this sweep cannot start:\n  " + lines.replace("\n", "\n  "))
    return points, shared, rubrics[0]


def point_name(point: Mapping[str, Any]) -> str:
    """A name such as ``population=all_good,seed=0``: valid in every file system, and unique within a grid."""
    name = ",".join(f"{key}={_safe(value)}" for key, value in point.items()) or "all"
    return name if len(name) <= 200 else f"{name[:190]}~{_digest(name)}"


def _hints(scenario: str | Scenario) -> dict[str, Any]:
    """Valid keys and their types: keywords of the world, settings of the society and of the scenario."""
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
    if key not in known and "." not in key:  # settings of models have a dot; setting up the world checks them
        return [f"there is no setting {key!r}.{nearest(key, known)} Keys: {', '.join(sorted(known))}"], []
    faults, values = [], []
    if key in settings:
        faults.append(f"{key} is both in the grid and set to {settings[key]!r}; remove one")
    if isinstance(given, str) or not given:
        return [*faults, f"{key} needs a list of values; found {given!r}"], []
    for text in given:
        wrong, typed = read_typed("the sweep", {key: text}, known)
        faults += wrong
        if wrong:
            continue
        value = typed[key]
        if not (value is None or isinstance(value, str | int | float)):
            faults.append(f"{key} takes texts and numbers in a grid; found {value!r}, give its URI or name")
        elif value in values:
            faults.append(f"{key}={text} is given twice")
        else:
            values.append(value)
    return faults, values


def _rehearse(scenario: str | Scenario, settings: Mapping[str, Any]) -> Rubric:
    from sandbox.models.scripted import ScriptedModel
    from sandbox.preview.dry_run import dry_run_world

    world = dry_run_world(scenario, settings, model=ScriptedModel())
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
