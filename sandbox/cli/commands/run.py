"""``sandbox run``: simulate a society."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import figures, say, say_json


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="Name, ./path.py or module:object.")],
    model: Annotated[
        str,
        typer.Option(help="What agents speak through: a URI; one a label, good=URI,bad=URI; or shares, URI=0.5,..."),
    ] = "smollm2",
    observer: Annotated[str | None, typer.Option(help="What observers speak through; by default the same.")] = None,
    rater: Annotated[str | None, typer.Option(help="lm, values or reward:MODEL; by default what suits.")] = None,
    size: Annotated[int, typer.Option(help="Side of the grid.")] = 4,
    rounds: Annotated[int, typer.Option(help="Rounds in all.", min=1)] = 2,
    population: Annotated[
        str | None, typer.Option(help="all_good, all_bad, half_half, mixed_half_half, or shares as good=0.7,bad=0.3.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Name or ./path.py; by default the scenario's.")] = None,
    neighborhood: Annotated[
        str | None,
        typer.Option(
            help="euclidean, moore, von_neumann; small_world, scale_free, random; or a GraphML or edge-list file."
        ),
    ] = None,
    radius: Annotated[int | None, typer.Option(help="How far neighbours live, in cells or links.")] = None,
    seed: Annotated[int, typer.Option(help="Keys every random stream.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run's folder; by default runs/SCENARIO-N.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    branch: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN@ROUNDS", help="Begin where another run stood after these rounds."),
    ] = None,
    in_flight: Annotated[int | None, typer.Option(help="Conversations at once.", min=1)] = None,
    max_calls: Annotated[int | None, typer.Option(help="Stop before more calls than this, in all.", min=1)] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Stop before more tokens than about this, in all.", min=1)
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Stop before more US dollars than about this, by --set model.price_prompt=...")
    ] = None,
    replicas: Annotated[int, typer.Option(help="Copies of each local model, which share the work.", min=1)] = 1,
    engine: Annotated[
        str | None, typer.Option(help="Where copies live: processes of this machine, or ray (a cluster).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and run nothing.")] = False,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Simulate a society and keep the record of it."""
    from sandbox.folders import next_free_name

    given: dict[str, Any] = dict(parse_settings(settings))
    given |= {k: v for k, v in {"neighborhood": neighborhood, "radius": radius}.items() if v is not None}
    request: dict[str, Any] = {
        "model": model, "observer": observer, "rater": rater, "size": size, "population": population,
        "protocol": protocol, "seed": seed, "branch": branch, "replicas": replicas, "engine": engine, **given,
    }  # fmt: skip
    if dry_run:
        _foresee(scenario, rounds=rounds, as_json=as_json, out=out, resume=resume, **request)
        return
    done = simulate(
        scenario,
        rounds=rounds,
        quiet=as_json,
        out=out or next_free_name(Path("runs"), Path(scenario.rpartition(":")[2]).stem),
        resume=resume,
        in_flight=in_flight,
        max_calls=max_calls,
        max_tokens_total=max_tokens,
        max_cost=max_cost,
        **request,
    )
    if as_json:
        say_json(done)
        return
    if done["stopped"]:
        caps = {"--max-calls": max_calls, "--max-tokens": max_tokens, "--max-cost": max_cost}
        words = " and ".join(f"{name} {cap}" for name, cap in caps.items() if cap is not None)
        say(
            f"stopped by {words} in round {done['rounds'] + 1} of {rounds}; every interaction kept is whole. Go on with "
            f"--resume --out {done['run']} and a higher cap"
        )
    if done["ended"]:
        say(f"{scenario} came to its own end after round {done['rounds']}: its stop condition holds")
    say(
        f"{done['run']}: {done['interactions']} interactions in {done['rounds']} rounds, {done['failed']} failed, "
        f"{done['calls']} calls{f', ${usd:.4f}' if (usd := done.get('usd')) is not None else ''}. See it with: "
        f"sandbox plot {done['run']}"
    )


def _foresee(scenario: str, *, rounds: int, as_json: bool, **settings: Any) -> None:
    """Print what a run would take."""
    from sandbox.preview.dry_run import forecast

    found = forecast(scenario, rounds=rounds, **settings)
    usd = _foreseen_cost(found.prompt_tokens, found.completion_tokens, settings)
    if as_json:
        say_json(found.as_dict() | ({} if usd is None else {"usd": usd}))
        return
    say(
        f"{scenario}: {found.interactions:,} interactions in {rounds} rounds, about {found.calls:,} calls that read "
        f"{found.prompt_tokens:,} tokens and write {found.completion_tokens:,} at most. Nothing was run"
    )
    if usd is not None:
        say(f"at the prices of the agents' model that is ${usd:.2f} at most")
    if found.failed:
        say(
            f"note: {found.failed:.0%} of the interactions failed on the made-up replies of this rehearsal; on real ones "
            "their protocol may make more calls"
        )


def _foreseen_cost(read: int, written: int, settings: Mapping[str, Any]) -> float | None:
    """What so many tokens cost in US dollars, where the agents' model has prices."""
    from sandbox.store.budget import cost
    from sandbox.typed_settings import typed

    names = ("price_prompt", "price_completion")
    given = {name: settings[f"model.{name}"] for name in names if f"model.{name}" in settings}
    if not given:
        return None
    prices = typed("model", given, dict.fromkeys(names, float))
    return cost((prices.get(names[0], 0.0), prices.get(names[1], 0.0)), read, written)


def simulate(scenario: str, *, rounds: int, quiet: bool, **settings: Any) -> dict[str, Any]:
    """Run a world to its end with a progress bar, and sum it up as ``sandbox run --json`` prints it.

    The measures of the whole run are kept beside its record, in ``measures.json``.
    """
    from sandbox.progress import progress
    from sandbox.store.manifest import command_line
    from sandbox.store.run import open_run, write_measures
    from sandbox.world import World

    world = World(scenario, command=command_line(), **settings)
    try:
        if not quiet:
            for note in world.notes:
                say(f"note: {note}")
        shown = None if quiet or not sys.stderr.isatty() else _live_map(world)
        below = None if shown is None else shown.picture
        with progress("society", world.expected_calls(rounds - world.round), quiet=quiet, below=below) as show:
            world.on_calls = lambda calls: show(calls, f"round {world.round + 1} of {rounds}")
            if (mended := world.repair()) and not quiet:
                say(f"{mended} interactions that had failed, or lacked a rating, were completed")
            while world.round < rounds and world.running:
                world.step()
                if shown is not None:
                    shown.end(world.metrics, _places(world))
                    show(0.0, f"round {world.round} of {rounds} is over")
                if not quiet and world.running:
                    say(f"round {world.round} of {rounds}: {figures(world.metrics, world.scenario.measures)}")
        write_measures(open_run(world.path))
    finally:
        world.close()
    return open_run(world.path).summary() | {"stopped": world.capped}


def _live_map(world: Any) -> Any:
    """The map that a terminal shows while the world runs."""
    from visualize.terminal import LiveMap

    rubric = world.scenario.rubric
    shown = LiveMap(_places(world), dimension=rubric.dimensions[0].name, scale=rubric.scale)
    world.on_interactions = shown.add
    return shown


def _places(world: Any) -> dict[int, tuple[int, int]]:
    """Row and column of each agent."""
    return {agent.index: world.space.position(agent) for agent in world.members}
