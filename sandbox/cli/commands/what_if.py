"""``sandbox what-if``: two futures of a run, without and with an event, and how they differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import by_rounds, counted, dollars, say, say_json, table
from sandbox.text_cleaning import printable

_SENTENCES = 10


@app.command("what-if")
def what_if(
    branch: Annotated[str, typer.Argument(metavar="RUN@ROUNDS", help="The run, and after which of its rounds.")],
    event: Annotated[
        str,
        typer.Option(
            metavar="TEXT|FILE",
            help="A sentence that agents are told, or a Python file with a function event(world).",
        ),
    ],
    event_to: Annotated[
        str | None,
        typer.Option(
            metavar="AGENTS",
            help="Who is told the sentence: indices from 0 (5 is Agent 6), names or a label; default: all.",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(help="Total number of rounds of each future; default: those of the run, at least one new.", min=1),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Scenario of the run, if its manifest does not say where it is.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of both futures; default: that of the run.")] = None,
    out: Annotated[Path, typer.Option(help="Output folder; finished parts are not repeated.")] = Path("what-if"),
    in_flight: Annotated[int | None, typer.Option(help="Maximum number of concurrent conversations.", min=1)] = None,
    max_calls: Annotated[
        int | None, typer.Option(help="Cap on the calls of both futures; replies from the record do not count.", min=1)
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Approximate cap on the tokens of these calls.", min=1)] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Approximate cap in US dollars, at list prices or --set model.price_prompt=...")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate calls and tokens; run nothing.")] = False,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Run two futures of a run, without and with an event, and compare them.

    Both draw the same random numbers, and only calls that the event changes are made: the replies to others are taken from
    the record.
    """
    from sandbox.counterfactual.what_if import what_if as run_what_if
    from sandbox.typed_settings import parameters
    from sandbox.world import World

    # Both futures have what a world is told besides its settings as the run has it.
    taken = {*parameters(run_what_if), *parameters(World), "rounds", "upbringing"}
    given: dict[str, Any] = dict(parse_settings(settings, what_if, taken))
    given |= {name: value for name, value in (("seed", seed), ("in_flight", in_flight)) if value is not None}

    if dry_run:
        _show_forecast(branch, rounds, scenario, {"event": event, "event_to": event_to}, given, as_json=as_json)
        return

    @contextmanager
    def watch(name: str, world: Any, total: int) -> Iterator[None]:
        from sandbox.progress import progress

        with progress(f"{name} the event", total - world.round, quiet=as_json) as show:
            world.on_calls = by_rounds(show, world, total)
            yield

    found = run_what_if(
        branch, event, to=event_to, rounds=rounds, out=out, scenario=scenario, watch=watch, max_calls=max_calls,
        max_tokens_total=max_tokens, max_cost=max_cost, **given,
    ).as_dict()  # fmt: skip
    failed = all(run["failed"] == run["interactions"] > 0 for run in found["futures"].values())
    if as_json:
        say_json(found)
    else:
        _show(found)
    if failed:
        raise typer.Exit(1)


def _show_forecast(
    branch: str,
    rounds: int | None,
    scenario: str | None,
    event: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print the most calls and tokens that both futures take."""
    from sandbox.cli.commands.run import forecast_cost
    from sandbox.counterfactual.what_if import plan
    from sandbox.preview.dry_run import forecast

    run, start, end, arguments = plan(branch, rounds, scenario, given)
    is_recorded = end <= run.rounds and not set(given) - {"in_flight"}
    one = forecast(rounds=end, branch=branch, **event, **arguments)
    n = 1 if is_recorded else 2
    usd = forecast_cost(n * one.prompt_tokens, n * one.completion_tokens, arguments)
    if as_json:
        most = {
            "calls": n * one.calls,
            "prompt_tokens": n * one.prompt_tokens,
            "completion_tokens": n * one.completion_tokens,
        }
        found = {"rounds": [start, end], "future": one.as_dict(), "without_is_recorded": is_recorded, "at_most": most}
        say_json(found | ({} if usd is None else {"usd": usd}))
        return
    say(
        f"{branch}: {one.interactions:,} interactions of each future to round {end}, about {one.calls:,} calls that read "
        f"{one.prompt_tokens:,} tokens and write at most {one.completion_tokens:,}. Nothing was run"
    )
    recorded = "; the future without the event is in the record" if is_recorded else ""
    say(f"at most {n * one.calls:,} calls are made, for replies in the record are used again{recorded}")
    if usd is not None:
        say(f"at the prices of the agents' model: at most {dollars(usd)}")


def _show(found: Mapping[str, Any]) -> None:
    for note in found["notes"]:
        say(f"note: {note}")
    start, end = found["rounds"]
    if end <= start:
        say("nothing is compared yet: no round after the branch is complete in both futures")
        say(f"{found['out']}: what_if.json, and the runs without and with")
        return
    which = f"round {start + 1}" if end - start == 1 else f"rounds {start + 1} to {end}"
    rows = {**found["metrics"], **found["measures"]}
    rows |= {
        f"{of}.{key}": row for of, name in (("extra", "extra"), ("state", "states")) for key, row in found[name].items()
    }
    table(
        f"{found['branch']}, {which}: with the event less without it, with 95% intervals",
        ["", "of", "without", "with", "difference", "over"],
        [[name, row["when"], f"{row['first']:.2f}", f"{row['second']:.2f}", _interval(row), _over(row)]
         for name, row in rows.items()],
    )  # fmt: skip
    names = _names(found) if found["divergences"] else {}
    for one in found["divergences"][:_SENTENCES]:
        part = re.sub(r"(?<= by )\d+", lambda number: names.get(int(number[0]), number[0]), one["part"])
        say(f"round {one['round'] + 1}, {names.get(one['agent'], 'an agent')}, {part}, asked {one['question']!r}:")
        say(f"  without: {one['first'] or '(nothing)'}")
        say(f"  with:    {one['second'] or '(nothing)'}")
    if not found["divergences"]:
        say(f"the two futures are the same in {which}, word for word")
    elif len(found["divergences"]) > _SENTENCES:
        say(f"... and {len(found['divergences']) - _SENTENCES} more interactions that differ, in what_if.json")
    for reached in found["reach"]:
        say(f"round {reached['round'] + 1}: {reached['differs']} of {reached['agents']} interactions differ")
    say(
        f"{found['saved']} of {found['needed']} calls were taken from the record, {found['needed'] - found['saved']} were made"
    )
    say(f"{found['out']}: what_if.json, and the runs without and with")


def _names(found: Mapping[str, Any]) -> dict[int, str]:
    """The names of the agents of both futures, by index."""
    from sandbox.store.run import open_run

    return {
        int(row["agent"]): printable(str(row["name"]))
        for future in ("without", "with")
        for row in open_run(Path(found["out"]) / future).agents().to_dict("records")
    }


def _over(row: Mapping[str, Any]) -> str:
    """Of how many agents, questions or rounds a difference is the mean; ``over`` is a plural."""
    return counted(row["n"], row["over"].removesuffix("s"))


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["low"] != row["low"]:
        return f"{row['difference']:+z.2f}"
    return f"{row['difference']:+z.2f} [{row['low']:+z.2f}, {row['high']:+z.2f}]"
