"""The Typer application and the options that commands share. Imports no command."""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Sequence
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


def parse_settings(
    pairs: Sequence[str], command: Callable[..., None] | None = None, taken: Collection[str] = ()
) -> dict[str, str]:
    """Read ``--set key=value`` options.

    Args:
        pairs: The options.
        command: The command that has them.
        taken: Names that are no settings: the command has options or arguments for them, or sets them itself.

    Raises:
        SettingsError: an option has no ``=``, or its name is taken.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise SettingsError(f"--set takes KEY=VALUE; found {', '.join(map(repr, wrong))}")
    given = {key.strip().replace("-", "_"): value for key, _, value in (pair.partition("=") for pair in pairs)}
    if faults := [f"--set {name} cannot be: {_place(name, command)}" for name in given if name in taken]:
        raise SettingsError("; ".join(faults))
    return given


def _place(name: str, command: Callable[..., None] | None) -> str:
    """Where a command is told something that is no setting."""
    hints = {} if command is None else typing.get_type_hints(command, include_extras=True)
    if name not in hints:
        return "the command sets it itself"
    option = next((one for one in hints[name].__metadata__ if isinstance(one, typer.models.OptionInfo)), None)
    if option is None:
        return "it is an argument of the command"
    return f"use the option {[*(option.param_decls or ()), '--' + name.replace('_', '-')][0]}"


def setting_types(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the type hints of a function; empty if they cannot be resolved, so that settings stay text."""
    try:
        return typing.get_type_hints(function)
    except NameError:
        return {}
