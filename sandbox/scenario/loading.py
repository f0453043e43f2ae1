"""Loading of a scenario by name, path or object, with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.errors import DataFileError, SandboxError, ScenarioError, SettingsError, UnknownPlugin
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import recorded_scenario
from sandbox.storage_errors import read_as_written
from sandbox.typed_settings import check_settings, parameters, typed


def load_scenario(scenario: str | Scenario, settings: Mapping[str, Any]) -> Scenario:
    """Load a scenario by name, path or ``module:object``, and make it with its settings.

    Raises:
        UnknownPlugin: no scenario has that name.
        SettingsError: the scenario does not have one of the settings.
        ScenarioError: the scenario is invalid; the message names its file.
    """
    try:
        found = scenario if isinstance(scenario, Scenario) else registry.load("scenarios", scenario)
        made = _made(found, scenario, settings)
    except (ScenarioError, DataFileError) as error:
        if isinstance(scenario, str) and ".py" in scenario:
            raise type(error)(f"{scenario}: {error}") from error
        raise
    if made.name:
        return made
    return replace(made, name=Path(scenario.rpartition(":")[2]).stem if isinstance(scenario, str) else "scenario")


def find_scenario_of_run(
    manifest: Mapping[str, Any], scenario: str | Scenario | None = None
) -> tuple[str | Scenario, dict[str, Any]]:
    """Find the scenario of a run, and its settings of then.

    Args:
        manifest: The manifest of the run.
        scenario: The scenario, where it is no longer where the run found it; if it is a name or path, it takes the settings of
            then, too.

    Raises:
        SettingsError: the run was given its scenario as an object, and ``scenario`` is None.
        UnknownPlugin: there is none of that name or path.
    """
    if isinstance(scenario, Scenario):
        return scenario, {}
    with read_as_written("the manifest of the run"):
        found, own = recorded_scenario(manifest)
    if scenario is None and found is None:
        raise SettingsError(
            "the run was given its scenario as an object of Python; give it again: scenario=..., or --scenario ./FILE.py"
        )
    name = scenario or str(found)
    try:
        registry.load("scenarios", name)
    except UnknownPlugin as error:
        advice = "" if scenario else ". Give the scenario of the run with --scenario, for example ./mine.py"
        raise UnknownPlugin(f"{error}{advice}") from None
    return name, own


def load_scenario_of_run(manifest: Mapping[str, Any], scenario: str | Scenario | None = None) -> Scenario:
    """Load the scenario of a run, as :func:`find_scenario_of_run` finds it."""
    return load_scenario(*find_scenario_of_run(manifest, scenario))


def _made(found: Any, scenario: str | Scenario, settings: Mapping[str, Any]) -> Scenario:
    owner = f"scenario {scenario if isinstance(scenario, str) else scenario.name!r}"
    if isinstance(found, Scenario):
        check_settings(owner, settings, [])
        return found
    if not callable(found):
        raise ScenarioError(f"{owner} is a {type(found).__name__}; expected a Scenario or a function that returns one")
    check_settings(owner, settings, parameters(found))
    hints = {n: p.annotation for n, p in parameters(found).items()}
    given = typed(owner, settings, _resolved(found, hints))
    try:
        made = found(**given)
    except SandboxError:
        raise
    except Exception as error:  # raised by the author's code; --debug shows its traceback
        raise ScenarioError(f"{owner} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, Scenario):
        raise ScenarioError(f"{owner} returned a {type(made).__name__}; expected a Scenario")
    return made


def _resolved(function: Any, hints: dict[str, Any]) -> dict[str, Any]:
    import typing

    try:
        return typing.get_type_hints(function)
    except NameError:
        return hints
