"""Pages of the site that are made from the program: home, examples, trainers, and the reference.

Run by mkdocs (plugin gen-files) while it builds; nothing is written into the repository.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import mkdocs_gen_files
import typer
from typer.core import TyperGroup

import sandbox
import sandbox.errors
import sandbox.testing
import trainers
from sandbox.cli.main import app
from sandbox.registry import plugins
from sandbox.scenario.settings import SocietySettings
from sandbox.typed_settings import Bounds
from trainers.settings import TrainingSettings

ROOT = Path(__file__).parents[2]
HOW_TO = {
    "how_to.md": "Common questions", "command_line.md": "Command line", "own_scenario.md": "Your own scenario",
    "language_models.md": "Language models",
    "raters.md": "Raters", "training.md": "Training", "environments.md": "Environments",
    "evaluation.md": "Evaluation", "surveys.md": "Surveys",
    "visualisation.md": "Visualisation", "plugins.md": "Plugins",
}  # fmt: skip
METRICS = ("influence", "polarisation", "round_metrics", "intervals", "paired_differences", "distributions", "pareto")


def write(page: str, text: str, source: str = "") -> None:
    """Write a page of the site; ``source`` is the file of the repository that it shows."""
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text if not source else f"<!-- source: {source} -->\n{text}")


def first_line(text: str | None) -> str:
    """The first sentence of a docstring, on one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def described(owner: type) -> dict[str, str]:
    """Descriptions of attributes and arguments in a docstring, those of base classes too."""
    found: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        if base is object or not base.__doc__:
            continue
        for section in griffe.Docstring(inspect.cleandoc(base.__doc__)).parse("google", warnings=False):
            if section.kind.value in ("attributes", "parameters"):
                found |= {one.name: one.description for one in section.value}
    return found


def type_name(hint: Any) -> tuple[str, str]:
    """A type and the range of its values, in words."""
    span = ""
    if typing.get_origin(hint) is typing.Annotated:
        span = ", ".join(str(one) for one in hint.__metadata__ if isinstance(one, Bounds))
        hint = hint.__origin__
    if typing.get_origin(hint) is typing.Literal:
        return "choice", ", ".join(f"`{one}`" for one in typing.get_args(hint))
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    return re.sub(r"\b(?:[a-z_]+\.)+", "", name).replace(" | ", " or "), span


def _default(field: Any) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def settings_table(owner: Any, without: Any = None) -> str:
    """A table of a dataclass's fields: name, type, range, default, description."""
    words, hints = described(owner), typing.get_type_hints(owner, include_extras=True)
    known = {field.name: _default(field) for field in dataclasses.fields(without)} if without else {}
    lines = ["| setting | type | range | default | |", "|---|---|---|---|---|"]
    for field in dataclasses.fields(owner):
        if field.name in known and _default(field) == known[field.name]:
            continue
        default = "" if (value := _default(field)) is dataclasses.MISSING else f"`{value!r}`"
        name, span = type_name(hints[field.name])
        cells = (f"`{field.name}`", f"`{name}`", span, default, words.get(field.name, ""))
        lines.append("| " + " | ".join(cell(one) for one in cells) + " |")
    return "\n".join(lines)


def write_copies() -> None:
    """Pages of the repository that stand outside docs/."""
    for page, source in (
        ("index.md", "README.md"), ("gallery.md", "scenarios/README.md"), ("paper.md", "examples/paper.md"),
        ("contributing.md", "CONTRIBUTING.md"), ("changelog.md", "CHANGELOG.md"),
        ("benchmarks.md", "tests/benchmarks/README.md"), ("training_speed.md", "tests/benchmarks/TRAINERS.md"),
    ):  # fmt: skip
        write(page, (ROOT / source).read_text(encoding="utf-8"), source)


def write_examples() -> list[tuple[str, str]]:
    """A page for each numbered example: what it shows, and its code."""
    found = []
    for path in sorted((ROOT / "examples").glob("[0-9]*.py")):
        code = path.read_text(encoding="utf-8")
        words = ast.get_docstring(ast.parse(code)) or ""
        title = path.stem[3:].replace("_", " ").capitalize()
        page = f"examples/{path.stem}.md"
        body = code.split('"""', 2)[2].lstrip("\n")
        write(page, f"# {title}\n\n{words}\n\n`examples/{path.name}`\n\n```python\n{body}```\n")
        found.append((title, page))
    return found


def write_trainers() -> list[tuple[str, str]]:
    """A page for each built-in trainer: its method, rows, settings, command and Python twin."""
    found = []
    for plugin in sorted(plugins("trainers"), key=lambda one: one.name):
        module, _, name = plugin.value.partition(":")
        if not module.startswith("trainers."):
            continue
        there = importlib.import_module(module)
        kind = getattr(there, name)
        page = f"trainers/{plugin.name}.md"
        about = inspect.getdoc(kind) if kind.__doc__ else ""
        write(
            page,
            f"# {plugin.name}\n\n{inspect.cleandoc(there.__doc__ or '')}\n\n{about}\n\n"
            f"Rows: `{kind.accepts.value}` (see [training](../training.md)). `sandbox train` makes them from a run.\n\n"
            f"```sh\nsandbox train runs/first --trainer {plugin.name} --out models/{plugin.name}\n```\n\n"
            "```python\nfrom sandbox import open_run\nfrom trainers import load_trainer, rows_from\n\n"
            f'trainer = load_trainer("{plugin.name}", epochs=1)\n'
            f'trained = trainer.train(rows_from(open_run("runs/first"), trainer.accepts), base="smollm2", '
            f'out="models/{plugin.name}")\n```\n\n'
            f"## Settings\n\nIn addition to [those of all trainers](../reference/settings.md#training), or with another "
            f"default:\n\n{settings_table(kind.Settings, TrainingSettings)}\n",
        )
        found.append((plugin.name, page))
    return found


def commands() -> Iterator[tuple[str, Any]]:
    """Every command, by name."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    yield from sorted(group.commands.items())


def write_reference() -> list[tuple[str, str]]:
    """Commands, settings, Python interface, metrics and errors."""
    lines = ["# Commands", ""]
    for name, command in commands():
        lines += [f"## sandbox {name}", "", inspect.cleandoc(command.help or ""), ""]
        lines += ["| argument or option | default | |", "|---|---|---|"]
        for one in command.params:
            words = getattr(one, "help", "") or ""
            shown = one.opts if one.param_type_name == "option" else [(one.name or "").upper()]
            names = ", ".join(f"`{name}`" for name in shown)
            default = "" if one.default in (None, False, ()) or callable(one.default) else f"`{one.default}`"
            lines.append(f"| {names} | {default} | {cell(words)} |")
        lines.append("")
    write("reference/commands.md", "\n".join(lines))
    write(
        "reference/settings.md",
        "# Settings\n\nGiven with `--set key=value` on the command line, or as keywords in Python. A value out of its range "
        f"and an unknown name are errors.\n\n## Society\n\n{settings_table(SocietySettings)}\n\n## Training\n\n"
        f"{settings_table(TrainingSettings)}\n",
    )
    for module, page in ((sandbox, "sandbox"), (trainers, "trainers"), (sandbox.testing, "testing")):
        lines = [f"# {module.__name__}", "", first_line(module.__doc__), ""]
        for name in sorted(module.__all__):
            if callable(getattr(module, name)):
                lines += [f"::: {module.__name__}.{name}", ""]
        write(f"reference/{page}.md", "\n".join(lines))
    lines = ["# Metrics", "", "Functions behind `sandbox measure`, `run.metrics()` and the plots.", ""]
    for name in METRICS:
        lines += [f"::: sandbox.metrics.{name}", "    options:", "      show_root_full_path: true", ""]
    write("reference/metrics.md", "\n".join(lines))
    kinds = [
        one for _, one in inspect.getmembers(sandbox.errors, inspect.isclass) if one.__module__ == "sandbox.errors"
    ]
    rows = [
        f"| `{one.__name__}` | {cell(inspect.getdoc(one) or '')} |" for one in sorted(kinds, key=lambda k: k.__name__)
    ]
    write(
        "reference/errors.md",
        "# Errors\n\nEach message says what was given, what was expected and what to do; commands end with exit code 2. "
        "All derive from `sandbox.errors.SandboxError`.\n\n| error | raised when |\n|---|---|\n"
        + "\n".join(rows)
        + "\n",
    )
    return [
        ("Commands", "reference/commands.md"), ("Settings", "reference/settings.md"), ("sandbox", "reference/sandbox.md"),
        ("trainers", "reference/trainers.md"), ("sandbox.testing", "reference/testing.md"),
        ("Metrics", "reference/metrics.md"), ("Errors", "reference/errors.md"),
    ]  # fmt: skip


def write_navigation(shelves: dict[str, list[tuple[str, str]]]) -> None:
    """The site's menu."""
    lines = ["* [Social Sandbox](index.md)"]
    for shelf, pages in shelves.items():
        lines += [f"* {shelf}", *(f"    * [{title}]({page})" for title, page in pages)]
    write("navigation.md", "\n".join(lines) + "\n")


write_copies()
write_navigation(
    {
        "Tutorials": write_examples(),
        "How-to": [(title, page) for page, title in HOW_TO.items()],
        "Concepts": [
            ("Architecture", "architecture.md"), ("Glossary", "glossary.md"),
            ("Coming from another library", "coming_from.md"), ("Papers", "papers.md"), ("Gallery of scenarios", "gallery.md"),
            ("The paper's claims", "paper.md"), ("Speed", "benchmarks.md"), ("Speed of trainers", "training_speed.md"),
            ("Contributing", "contributing.md"), ("Changelog", "changelog.md"),
        ],
        "Trainers": write_trainers(),
        "Reference": write_reference(),
    }
)  # fmt: skip
