"""The arguments of a world that continues a run: its scenario, models and settings, as its manifest records them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from sandbox.errors import SandboxError, SettingsError
from sandbox.folders import check_same_identity
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import is_society_setting, recorded_scenario, recorded_size
from sandbox.society.setup import resolve_settings
from sandbox.storage_errors import read_as_written
from sandbox.store.manifest import scenario_identity
from sandbox.store.run import Run

_TAKEN = ("scenario", "branch", "event", "event_to", "out", "resume", "command")
_SAME = ("questions", "prompts", "rubric", "personas", "roles")
_OF_WORLD = ("model", "observer", "rater", "size", "seed", "population", "protocol", "replicas", "engine", "in_flight",
             "max_calls", "max_tokens_total", "max_cost")  # fmt: skip


def world_arguments(run: Run, scenario: str | Scenario | None, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`~sandbox.world.World` for a branch of a run.

    Args:
        run: The run.
        scenario: Its scenario; by default the one that its manifest names.
        changed: Arguments that differ from those of the run, and language models, raters and embedders that it was given as
            objects.

    Raises:
        SettingsError: an argument cannot differ, or the manifest does not say where the scenario is.
        RunExists: the scenario is another one than that of the run.
    """
    if taken := [name for name in changed if name in _TAKEN]:
        raise SettingsError(f"{', '.join(taken)} cannot be a setting of what_if, which sets it itself")
    about = run.manifest
    if "embedder" not in about:
        raise SettingsError(f"{run.path} was not simulated here but imported; a branch needs a run of sandbox run")
    with read_as_written(f"the manifest of {run.path}"):
        found, given = _recorded(about, scenario)
        agents, observer = about["models"]["agents"]["uri"], about["models"]["observer"]["uri"]
        protocol, prompts = str(about["protocol"]), dict(about["prompts"])
    if found is None:
        raise SettingsError(
            f"{run.path} was made with a scenario that was given as an object; give it again: scenario=..., or --scenario "
            "./FILE.py"
        )
    if "model" in changed and observer == agents.partition(",")[0]:
        del given["observer"]  # it was that of the agents, and is again
    given |= changed
    settings = {name: value for name, value in given.items() if name not in _OF_WORLD and "." not in name}
    try:
        made = resolve_settings(found, given["size"], settings)[1]
    except SandboxError as error:
        raise type(error)(f"the scenario of {run.path} cannot be made again: {error}") from error
    if "protocol" not in changed and protocol != made.protocol_name:
        given["protocol"] = protocol
    identity = scenario_identity(made)
    check_same_identity(
        run.path,
        {**about, "prompts": {**identity["prompts"], **prompts}},  # the run knew no newer templates
        {name: value for name, value in identity.items() if name in _SAME},
        what="scenario",
        advice="Give the scenario as the run had it: --scenario, and its settings with --set",
    )
    return {"scenario": found, **given}


def _recorded(
    about: Mapping[str, Any], scenario: str | Scenario | None
) -> tuple[str | Scenario | None, dict[str, Any]]:
    """The scenario and the arguments that a manifest records."""
    source, own = recorded_scenario(about)
    found = source if scenario is None else scenario
    agents = about["models"]["agents"]
    given: dict[str, Any] = {
        "model": agents.get("dealt", str(agents["uri"])),
        "observer": str(about["models"]["observer"]["uri"]),
        "rater": str(about["raters"]["neighbours"]),
        "size": recorded_size(about),
        "seed": operator.index(about["seed"]),
    }
    given |= {name: value for name, value in about["settings"].items() if is_society_setting(name)}
    given |= {} if isinstance(found, Scenario) else own
    given |= {k: v for k, v in about.get("model_settings", {}).items() if not k.startswith("replicas.")}
    return found, {**given, "embedder": str(about["embedder"])}
