"""Settings: of the society, trainings, evaluations, comparisons and evolutions, and of each plugin that has some."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from file_fields import described
from tables import cell, required, settings_table, type_name, write
from trainer_pages import built_in_trainers

import sandbox
import trainers
from sandbox.registry import Plugin, load
from sandbox.scenario.settings import SocietySettings
from sandbox.typed_settings import parameters
from trainers.comparison.settings import ComparisonSettings
from trainers.evaluation.evaluation import AnswerSettings
from trainers.evaluation.suite import SuiteSettings
from trainers.evolution.settings import EvolutionSettings
from trainers.methods.trl_reward import TRLRewardSettings
from trainers.methods.trl_trainers import TRLOnlineSettings, TRLPairSettings, TRLSettings, TRLTeacherSettings
from trainers.settings import TrainingSettings

# Kinds of plugins with settings, and how these are given.
GIVEN = {
    "scenarios": "`--set NAME=VALUE`",
    "models": "`--set model.NAME=VALUE`, of the observers' model `observer.NAME`; in Python `load_model(URI, NAME=VALUE)`",
    "embedders": "`--set embedder.NAME=VALUE`",
    "memories": "`--set memory.NAME=VALUE`",
    "plots": "`sandbox plot SOURCE PLOT --set NAME=VALUE`",
}
# Titles of the page -> dataclasses, each without what one before it has, and what else there is to say.
SECTIONS: tuple[tuple[str, type, type | None, str], ...] = (
    ("Society", SocietySettings, None, "`sandbox run`, `World`, and `Scenario(society={...})`."),
    ("Training", TrainingSettings, None, "All trainers. Those of one trainer are on [its page](../trainers/index.md)."),
    ("Trainers of TRL", TRLSettings, TrainingSettings, "Arguments of TRL's own configuration are given as `args.NAME`."),
    ("Trainers of TRL that sample answers", TRLOnlineSettings, TrainingSettings, ""),
    ("`trl:OnlineDPO`", TRLPairSettings, TRLOnlineSettings, ""),
    ("`trl:Distillation`", TRLTeacherSettings, TrainingSettings, ""),
    ("`trl:Reward`", TRLRewardSettings, TrainingSettings, ""),
    ("Answers of an evaluation", AnswerSettings, None, "`sandbox evaluate --set NAME=VALUE`."),
    ("Evaluation", SuiteSettings, None, "Options of `sandbox evaluate`; in Python `run_suite(models, SuiteSettings(...))`."),
    ("Comparison", ComparisonSettings, None, "Options of `sandbox compare`; in Python `Comparison(..., NAME=VALUE)`."),
    ("Evolution", EvolutionSettings, None, "Options of `sandbox evolve`; in Python `Evolution(..., NAME=VALUE)`."),
)  # fmt: skip


def write_settings() -> None:
    """Write the page.

    Raises:
        ValueError: a setting has no description, or a class of settings is on no page.
    """
    if missing := left_out():
        raise ValueError(f"{', '.join(missing)} of settings on no page; add to SECTIONS of docs/site/settings_page.py")
    lines = [
        "# Settings",
        "Given with `--set NAME=VALUE` on the command line, or as keywords in Python. A value out of its range and an unknown "
        "name are errors. Settings of scenarios, models, embedders, memories and plots are on the page of "
        "[plugins](plugins.md).",
    ]
    for title, owner, without, words in SECTIONS:
        table = settings_table(owner, without)
        has_rows = len(table.splitlines()) > 2
        lines += [f"## {title}", *([words] if words else []), *([table] if has_rows else [])]
    write("reference/settings.md", "\n\n".join(lines) + "\n")


def settings_classes() -> Iterator[str]:
    """Names of all classes of settings in the packages; modules are read, not imported, as some need optional packages."""
    for package in (sandbox, trainers):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            yield from re.findall(r"^class (\w+Settings)\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def left_out() -> list[str]:
    """Names of classes of settings that are neither on this page nor on that of a trainer; bases are on those of others."""
    shown = {owner for _, owner, _, _ in SECTIONS} | {kind.Settings for _, kind in built_in_trainers()}
    there = {base.__name__ for owner in shown for base in owner.__mro__}
    return [name for name in settings_classes() if name not in there]


def plugin_settings(plugin: Plugin) -> str:
    """A table of the settings of a plugin: arguments with a default of what it names; empty if there are none.

    Raises:
        ValueError: a setting has no description.
    """
    owner = load(plugin.kind, plugin.name)
    hints = _hints(owner)
    words = described(owner)
    lines = ["| setting | type | range | default | |", "|---|---|---|---|---|"]
    for name, parameter in parameters(owner).items():
        if name == "rest" or parameter.default is inspect.Parameter.empty or hints[name] is Any:
            continue  # the rest of a URI, and objects that the program passes
        kind, span = type_name(hints[name])
        text = required(words.get(name), f"setting {name!r} of the {plugin.kind[:-1]} {plugin.name!r}")
        cells = (f"`{name}`", f"`{kind}`", span, f"`{parameter.default!r}`", text.replace("``", "`"))
        lines.append("| " + " | ".join(cell(one) for one in cells) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _hints(owner: Callable[..., Any]) -> dict[str, Any]:
    """Types of the parameters; names that only type checkers import may be anything."""
    function = owner.__init__ if inspect.isclass(owner) else owner  # type: ignore[misc]
    names = {**vars(typing), **vars(sys.modules[function.__module__])}
    found = {}
    for name, hint in inspect.get_annotations(function).items():
        try:
            found[name] = typing.get_type_hints(
                type("One", (), {"__annotations__": {name: hint}}), names, include_extras=True
            )[name]
        except NameError:
            found[name] = Any
    return found
