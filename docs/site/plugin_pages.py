"""The page of plugins, by kind, and ``llms.txt``: the pages of the site in a list for language models."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence

from settings_page import GIVEN, plugin_settings
from tables import cell, first_line, required, write

from sandbox.registry import KINDS, Plugin, kind_of_one, plugins

_PACKAGE = "social-sandbox"


def write_plugins() -> None:
    """Write the page.

    Raises:
        ValueError: a built-in plugin, or a setting of one, has no description.
    """
    lines = ["# Plugins", "", "What is included, by kind; `sandbox ls` lists those of other packages too.", ""]
    for kind in KINDS:
        lines += [f"## {kind}", "", "| name | | module |", "|---|---|---|"]
        for plugin in sorted(plugins(kind), key=lambda one: one.name):
            if plugin.package == _PACKAGE:
                words = required(_words(plugin), f"{kind[:-1]} {plugin.name!r} ({plugin.value})")
                lines.append(f"| `{plugin.name}` | {cell(words)} | `{plugin.value.partition(':')[0]}` |")
        lines += ["", *_settings(kind)]
    write("reference/plugins.md", "\n".join(lines))


def _settings(kind: str) -> list[str]:
    """The settings of the plugins of a kind, and how they are given."""
    if kind not in GIVEN:
        return []
    lines = [f"Settings are given with {GIVEN[kind]}.", ""]
    if kind == "plots":
        lines = [*lines, "All plots have `theme`: `light` or `dark`.", ""]
    for plugin in sorted(plugins(kind), key=lambda one: one.name):
        table = plugin_settings(plugin) if plugin.package == _PACKAGE else ""
        if table and "\n| `theme`" not in "\n".join(table.splitlines()[:3]):
            lines += [f"### {kind_of_one(kind)} {plugin.name}", "", table, ""]
    return lines


def write_llms(shelves: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Write ``llms.txt`` into the site.

    Args:
        shelves: Name of each part of the menu -> its pages, as (title, Markdown file).
    """
    lines = [
        "# Social Sandbox",
        "",
        "> Agent-based simulation of societies of language-model agents, with pluggable trainers. Python package "
        "social-sandbox; command line sandbox.",
        "",
    ]
    for shelf, pages in shelves.items():
        lines += [f"## {shelf}", "", *(f"- [{title}]({page.removesuffix('.md')}.html)" for title, page in pages), ""]
    write("llms.txt", "\n".join(lines))


def _words(plugin: Plugin) -> str:
    """First sentence of the docstring of what a plugin names; of its module where that is an object without one."""
    module, _, name = plugin.value.partition(":")
    there = importlib.import_module(module)
    found = getattr(there, name)
    own = found.__doc__ if inspect.isclass(found) or inspect.isfunction(found) else None
    return first_line(inspect.cleandoc(own or there.__doc__ or "")).replace("``", "`")
