"""``sandbox models`` and ``sandbox chat``: lists available language models, and chats with one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import say, say_json, table
from sandbox.errors import SettingsError


@app.command("models")
def list_models(
    under: Annotated[Path, typer.Option(help="Folder that contains model folders.")] = Path("models"),
    server: Annotated[
        list[str] | None,
        typer.Option(help="Base URL of a server to query, for example http://host:8000/v1; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List available language models: bundled, in folders, in the hub cache, on servers that answer.

    Queries the servers given, the one in OPENAI_BASE_URL, and the usual ports of this machine.
    """
    from sandbox.models.inventory import inventory

    found = inventory(under, server or [])
    if as_json:
        say_json([one.as_dict() for one in found])
        return
    rows = [
        [
            one.uri,
            one.kind,
            "" if one.bytes is None else f"{one.bytes / 1e6:,.0f} MB",
            one.licence or "?",
            "" if one.context is None else f"{one.context:,}",
            one.source + (f" ({one.note})" if one.note else ""),
        ]
        for one in found
    ]
    table("", ["uri", "kind", "size", "licence", "context", "from"], rows)


@app.command()
def chat(
    uri: Annotated[str, typer.Argument(help="Model URI: smollm2, hf:models/first, openai:NAME@URL, ...")],
    question: Annotated[
        str | None, typer.Argument(help="Send this message and exit; without it, read lines interactively.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Chat with an agent of this run, with its memory.")] = None,
    agent: Annotated[str, typer.Option(metavar="AGENT", help="Number of the agent, from 0, or its name.")] = "0",
    scenario: Annotated[
        str | None, typer.Option(help="Scenario of the run, if it is no longer where the run found it: ./path.py.")
    ] = None,
    system: Annotated[str, typer.Option(help="System prompt.")] = "",
    max_tokens: Annotated[int, typer.Option(help="Maximum length of a reply.", min=1)] = 256,
    temperature: Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy decoding.", min=0)] = 0.7,
    seed: Annotated[int, typer.Option(help="Seed of the replies.")] = 0,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Chat with a language model, alone or as an agent of a run with its memory. --set gives model settings."""
    from sandbox.chat import ChatSession, agent_role, plain_role
    from sandbox.models.catalog import load_model
    from sandbox.store.run import open_run

    if run is None and scenario is not None:
        raise SettingsError("--scenario names the scenario of a run; give the run as well: --run FOLDER --agent N")
    role = plain_role(system) if run is None else agent_role(open_run(run), agent, scenario=scenario, system=system)
    given = {name.removeprefix("model."): value for name, value in parse_settings(settings).items()}
    talk = ChatSession(load_model(uri, **given), role, max_tokens=max_tokens, temperature=temperature, seed=seed)
    if question is not None:
        if not _turn(talk, question, as_json):
            raise typer.Exit(1)
        return
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        sys.stderr.write(f"{role.name or uri}; an empty line ends the chat\n")
    while True:
        if is_terminal:
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line.strip():
            if is_terminal or not line:
                return
            continue
        _turn(talk, line.strip(), as_json)


def _turn(talk: object, text: str, as_json: bool) -> bool:
    from sandbox.chat import ChatSession

    assert isinstance(talk, ChatSession)
    reply = talk.say(text)
    if as_json:
        say_json({**reply.as_dict(), "recalled": talk.recalled})
    elif reply.error is not None:
        sys.stderr.write(f"no answer: {reply.error}\n")
    else:
        say(reply.text)
    return reply.error is None
