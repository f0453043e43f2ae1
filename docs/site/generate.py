"""Pages of the site that are made from the program: home, examples, trainers, and the reference.

Run by mkdocs (plugin gen-files) while it builds; nothing is written into the repository.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from formats import write_formats
from gallery import write_gallery
from plugin_pages import write_llms, write_plugins
from tables import cell, first_line, required, settings_table, write
from trainer_pages import write_trainers
from tutorials import write_tutorials
from typer.core import TyperGroup

import sandbox
import sandbox.errors
import sandbox.testing
import trainers
from sandbox.cli.main import app
from sandbox.scenario.settings import SocietySettings
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
        write(page, f"# {title}\n\n{fence_commands(words)}\n\n`examples/{path.name}`\n\n```python\n{body}```\n")
        found.append((title, page))
    return found


def fence_commands(words: str) -> str:
    """A docstring whose paragraphs of commands are blocks of code."""
    parts = words.split("\n\n")
    lines = [[line.strip() for line in part.splitlines()] for part in parts]
    are_commands = [all(line.startswith(("sandbox ", "python ")) for line in some) for some in lines]
    return "\n\n".join(
        "```sh\n{}\n```".format("\n".join(some)) if are else part
        for part, some, are in zip(parts, lines, are_commands, strict=True)
    )


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
            words = required(getattr(one, "help", ""), f"{one.name} of the command {name!r}")
            shown = one.opts if one.param_type_name == "option" else [(one.name or "").upper()]
            names = ", ".join(f"`{name}`" for name in shown)
            default = "" if one.default in (None, False, (), [], "") or callable(one.default) else f"`{one.default}`"
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
    write_plugins()
    lines = ["# Metrics", "", "Functions behind `sandbox measure`, `run.metrics()` and the plots.", ""]
    for name in METRICS:
        lines += [f"::: sandbox.metrics.{name}", "    options:", "      show_root_full_path: true", ""]
    write("reference/metrics.md", "\n".join(lines))
    kinds = [
        one for _, one in inspect.getmembers(sandbox.errors, inspect.isclass) if one.__module__ == "sandbox.errors"
    ]
    rows = [
        f"| `{one.__name__}` | {cell(required(one.__doc__, one.__name__))} |"
        for one in sorted(kinds, key=lambda k: k.__name__)
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
        ("Plugins", "reference/plugins.md"), ("Metrics", "reference/metrics.md"),
        ("Errors", "reference/errors.md"), ("File formats", "formats.md"),
    ]  # fmt: skip


def write_navigation(shelves: dict[str, list[tuple[str, str]]]) -> None:
    """The site's menu.

    Raises:
        ValueError: a page of docs/ is not in it.
    """
    shown = {page for pages in shelves.values() for _, page in pages}
    if left_out := sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in shown):
        raise ValueError(f"{', '.join(left_out)} is in docs/, but not in the menu of docs/site/generate.py")
    lines = ["* [Social Sandbox](index.md)"]
    for shelf, pages in shelves.items():
        lines += [f"* {shelf}", *(f"    * [{title}]({page})" for title, page in pages)]
    write("navigation.md", "\n".join(lines) + "\n")
    write_llms(shelves)


write("stylesheets/site.css", (ROOT / "docs" / "site" / "site.css").read_text(encoding="utf-8"))
write_copies()
write_formats()
write_gallery()
write_navigation(
    {
        "Tutorials": write_tutorials(),
        "Examples": write_examples(),
        "How-to": [(title, page) for page, title in HOW_TO.items()],
        "Concepts": [
            ("Architecture", "architecture.md"), ("Glossary", "glossary.md"),
            ("Statistics", "statistics.md"),
            ("Coming from another library", "coming_from.md"), ("Papers", "papers.md"),
            ("Studies", "studies.md"),
            ("Gallery", "scenarios.md"), ("Results of scenarios", "gallery.md"),
            ("The paper's claims", "paper.md"), ("Speed", "benchmarks.md"), ("Speed of trainers", "training_speed.md"),
            ("Contributing", "contributing.md"), ("Changelog", "changelog.md"),
        ],
        "Trainers": write_trainers(),
        "Reference": write_reference(),
    }
)  # fmt: skip
