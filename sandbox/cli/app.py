"""The commands' common ground: the application, the options they share, and how they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

import typer

from sandbox.errors import SettingsError

app = typer.Typer(
    name="sandbox",
    help="Simulate societies of language-model agents, collect their feedback, and train models on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="A setting; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and no progress.")]


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Simulate societies of language-model agents, collect their feedback, and train models on it."""


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``--set key=value`` options.

    Raises:
        SettingsError: one of them has no ``=``.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise SettingsError(f"--set takes KEY=VALUE; found {', '.join(map(repr, wrong))}")
    return {key.strip().replace("-", "_"): value for key, _, value in (pair.partition("=") for pair in pairs)}


def say(text: str = "") -> None:
    """Print a line for the user."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(content: Any) -> None:
    """Print one JSON object, for scripts."""
    say(json.dumps(content, ensure_ascii=False))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        shown.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 110).print(shown)


def figures(metrics: Mapping[str, Any], own: Collection[str] = ()) -> str:
    """The measures of a round that one looks at while it runs, in a line; all are in the run's folder."""
    shown = []
    for name, value in metrics.items():
        draft = metrics.get(f"{name}_draft")
        if draft is not None and value is not None:
            shown.append(f"{name} {draft:.2f} -> {value:.2f}")
        elif (name in own or name in ("rating", "consensus", "polarisation")) and value is not None:
            shown.append(f"{name} {value:.2f}")
    if metrics.get("failed"):
        shown.append(f"{metrics['failed']} failed")
    return ", ".join(shown)


# Each module below adds its commands to the application.
from sandbox.cli.commands import (  # noqa: E402, F401
    compare,
    demo,
    doctor,
    evaluate,
    evolve,
    look,
    models,
    new,
    run,
    show_prompts,
    sweep,
    train,
)
