"""``sandbox show-prompts``: prints every prompt of a scenario, filled in."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import say, say_json


@app.command("show-prompts")
def show_prompts(
    scenario: Annotated[str, typer.Argument(help="Name, ./path.py or module:object.")],
    protocol: Annotated[str | None, typer.Option(help="Name or ./path.py; default: the scenario's protocol.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Label of the agent in the centre; default: the first agent's.")
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT|FILE", help="An event that took place before, as of run; a sentence is told to all."
        ),
    ] = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Print each prompt of a scenario as a language model will see it, filled in from one placeholder conversation.

    Loads no model; replies are placeholder sentences. Override a prompt by its name:
    Scenario(prompts=Prompts(answer="...")).
    """
    from sandbox.preview.prompt_preview import render_prompts, unused_prompts
    from sandbox.scenario.loading import load_scenario
    from sandbox.scenario.settings import is_society_setting

    given = parse_settings(settings, show_prompts, ("scenario", "protocol", "label", "event", "embedder"))

    shown = render_prompts(scenario, protocol=protocol, label=label, event=event, **given)
    if as_json:
        say_json([one.as_dict() for one in shown])
        return
    for one in shown:
        say(f"── {' + '.join(one.templates) or 'of the protocol'}" + (f"   ({one.note})" if one.note else ""))
        for role, text in one.messages:
            say(f"[{role}] {text}")
        say(_ending(one))
        say()
    made = load_scenario(scenario, {name: value for name, value in given.items() if not is_society_setting(name)})
    for name in unused_prompts(made.prompts, shown):
        say(
            f"prompts.{name} of the scenario was not used above. Each kind of request has a prompt of its own: "
            "agent.answer uses answer, agent.choose choose, agent.number number, agent.structured structured"
        )


def _ending(one: Any) -> str:
    reply = f"[assistant] {one.prefix}"
    return f"{reply} ← one of {', '.join(one.choices)}" if one.choices else f"{reply} ← up to {one.max_tokens} tokens"
