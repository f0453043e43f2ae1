"""The Typer application and the options that commands share. Imports no command."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
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

Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="A setting; repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and no progress.")]


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")] = False,
) -> None:
    """Simulate societies of language-model agents, collect their feedback, and train models on it."""


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``--set key=value`` options.

    Raises:
        SettingsError: an option has no ``=``.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise SettingsError(f"--set takes KEY=VALUE; found {', '.join(map(repr, wrong))}")
    return {key.strip().replace("-", "_"): value for key, _, value in (pair.partition("=") for pair in pairs)}


def setting_types(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the type hints of a function; empty if they cannot be resolved, so that settings stay text."""
    try:
        return typing.get_type_hints(function)
    except NameError:
        return {}
