"""The reference: commands, settings, Python interface, plugins, metrics and errors, from the program itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from plugin_pages import write_plugins
from settings_page import write_settings
from tables import cell, first_line, required, write
from typer.core import TyperGroup

import sandbox
import sandbox.errors
import sandbox.testing
import trainers
from sandbox.cli.main import app

METRICS = ("influence", "polarisation", "round_metrics", "intervals", "paired_differences", "distributions", "pareto")


def write_reference() -> list[tuple[str, str]]:
    """Write the pages.

    Returns:
        Title and page of each.

    Raises:
        ValueError: a command, an option, a setting, a plugin or an error has no description.
    """
    write_commands()
    write_settings()
    write_interface()
    write_plugins()
    lines = ["# Metrics", "", "Functions behind `sandbox measure`, `run.metrics()` and the plots.", ""]
    for name in METRICS:
        lines += [f"::: sandbox.metrics.{name}", "    options:", "      show_root_full_path: true", ""]
    write("reference/metrics.md", "\n".join(lines))
    write_errors()
    return [
        ("Commands", "reference/commands.md"), ("Settings", "reference/settings.md"), ("sandbox", "reference/sandbox.md"),
        ("trainers", "reference/trainers.md"), ("sandbox.testing", "reference/testing.md"),
        ("Plugins", "reference/plugins.md"), ("Metrics", "reference/metrics.md"),
        ("Errors", "reference/errors.md"), ("File formats", "formats.md"),
    ]  # fmt: skip


def commands() -> Iterator[tuple[str, Any]]:
    """Every command, by name."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    yield from sorted(group.commands.items())


def write_commands() -> None:
    """Write the page of commands.

    Raises:
        ValueError: a command or an option has no description.
    """
    lines = ["# Commands", ""]
    for name, command in commands():
        lines += [f"## sandbox {name}", "", inspect.cleandoc(required(command.help, f"the command {name!r}")), ""]
        lines += ["| argument or option | default | |", "|---|---|---|"]
        for one in command.params:
            words = required(getattr(one, "help", ""), f"{one.name} of the command {name!r}")
            shown = one.opts if one.param_type_name == "option" else [(one.name or "").upper()]
            names = ", ".join(f"`{name}`" for name in shown)
            default = (
                ""
                if one.default is None or one.default is False or one.default in ((), [], "") or callable(one.default)
                else f"`{one.default}`"
            )
            lines.append(f"| {names} | {default} | {cell(words)} |")
        lines.append("")
    write("reference/commands.md", "\n".join(lines))


def write_interface() -> None:
    """Write a page for each public module: its classes and functions."""
    for module, page in ((sandbox, "sandbox"), (trainers, "trainers"), (sandbox.testing, "testing")):
        lines = [f"# {module.__name__}", "", first_line(module.__doc__), ""]
        for name in sorted(module.__all__):
            if callable(getattr(module, name)):
                lines += [f"::: {module.__name__}.{name}", ""]
        write(f"reference/{page}.md", "\n".join(lines))


def write_errors() -> None:
    """Write the page of errors.

    Raises:
        ValueError: an error has no description.
    """
    kinds = [
        one for _, one in inspect.getmembers(sandbox.errors, inspect.isclass) if one.__module__ == "sandbox.errors"
    ]
    rows = [
        f"| `{one.__name__}` | {cell(required(one.__doc__, f'the error {one.__name__}'))} |"
        for one in sorted(kinds, key=lambda k: k.__name__)
    ]
    write(
        "reference/errors.md",
        "# Errors\n\nEach message says what was given, what was expected and what to do; commands end with exit code 2. "
        "All derive from `sandbox.errors.SandboxError`.\n\n| error | raised when |\n|---|---|\n"
        + "\n".join(rows)
        + "\n",
    )
