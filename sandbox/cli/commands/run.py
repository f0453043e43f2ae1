"""``sandbox run``: simulate a society."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import by_rounds, dollars, extent, figures, say, say_json, say_losses
from sandbox.errors import SettingsError

_RECALLING = ("back_scatter", "debate", "gossip", "vote")  # protocols whose agents recall remembered answers


# Arguments of a world that are options of the command.
_OPTIONS = {
    name: f"--{name.replace('_', '-')}"
    for name in ("model", "observer", "rater", "size", "rows", "columns", "rounds", "population", "protocol", "seed", "out",
                 "resume", "in_flight", "max_calls", "max_cost", "replicas", "engine", "upbringing")
} | {"max_tokens_total": "--max-tokens", "branch": "--from", "event": "--event", "event_to": "--event-to"}  # fmt: skip
_NO_SETTINGS = ("self", "scenario", "command", "quiet", "as_json")  # the program's own arguments


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="Name, ./path.py or module:object.")],
    model: Annotated[
        str,
        typer.Option(help="Model of the agents: a URI; one per label, good=URI,bad=URI; or shares, URI=0.5,URI=0.5."),
    ] = "smollm2",
    observer: Annotated[str | None, typer.Option(help="Model of the observers; default: the agents' model.")] = None,
    rater: Annotated[str | None, typer.Option(help="lm, values or reward:MODEL; default: chosen by the model.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the grid; default: the scenario's, or 4.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows of a grid that is not square; with --columns.")] = None,
    columns: Annotated[int | None, typer.Option(help="Columns of such a grid.")] = None,
    rounds: Annotated[int, typer.Option(help="Total number of rounds.", min=1)] = 2,
    population: Annotated[
        str | None, typer.Option(help="all_good, all_bad, half_half, mixed_half_half, or shares: good=0.7,bad=0.3.")
    ] = None,
    upbringing: Annotated[
        str | None,
        typer.Option(
            help="How labels reach answers: memory (remembered answers), or adapter (also an adapter for each label, "
            "trained on its upbringing). Default: adapter for the bundled model, memory for others."
        ),
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Name or ./path.py; default: the scenario's protocol.")] = None,
    neighborhood: Annotated[
        str | None,
        typer.Option(
            help="euclidean, moore, von_neumann; small_world, scale_free, random; or a file: GraphML, GEXF, GML, edge list."
        ),
    ] = None,
    hears: Annotated[
        str | None,
        typer.Option(
            help="In a directed network of a file, whom an agent hears: both ends of its links (default), successors or "
            "predecessors."
        ),
    ] = None,
    radius: Annotated[int | None, typer.Option(help="Radius of the neighbourhood, in cells or links.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/SCENARIO-N.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    branch: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN@ROUNDS", help="Start from the state of another run after this many rounds."
        ),
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT|FILE",
            help="What happens before the first new round: a sentence that agents are told, or a Python file with a function "
            "event(world).",
        ),
    ] = None,
    event_to: Annotated[
        str | None,
        typer.Option(
            metavar="AGENTS",
            help="Who is told the sentence: indices from 0 (5 is Agent 6), names or a label; default: all.",
        ),
    ] = None,
    in_flight: Annotated[int | None, typer.Option(help="Maximum number of concurrent conversations.", min=1)] = None,
    max_calls: Annotated[int | None, typer.Option(help="Cap on calls: stop before the total exceeds N.", min=1)] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Approximate cap on tokens: stop before the total exceeds N.", min=1)
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Approximate cap in US dollars, at list prices or --set model.price_prompt=...")
    ] = None,
    replicas: Annotated[int, typer.Option(help="Load-balanced copies of each local model.", min=1)] = 1,
    engine: Annotated[
        str | None, typer.Option(help="Where the copies run: processes (this machine) or ray (a cluster).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate calls and tokens; run nothing.")] = False,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Simulate a society and record it in a run folder."""
    from sandbox.folders import next_free_name
    from sandbox.scenario.settings import SOCIETY_SETTINGS
    from sandbox.typed_settings import check_settings

    given: dict[str, Any] = dict(parse_settings(settings))
    if taken := [f"--set {name} cannot be: use the option {_OPTIONS[name]}" for name in given if name in _OPTIONS]:
        raise SettingsError("; ".join(taken))
    check_settings("sandbox run", [name for name in given if name in _NO_SETTINGS], SOCIETY_SETTINGS)
    space = {"rows": rows, "columns": columns, "neighborhood": neighborhood, "hears": hears, "radius": radius}
    given |= {name: value for name, value in space.items() if value is not None}
    request: dict[str, Any] = {
        "model": model, "observer": observer, "rater": rater, "size": size, "population": population,
        "protocol": protocol, "seed": seed, "branch": branch, "event": event, "event_to": event_to, "replicas": replicas,
        "engine": engine, **given,
    }  # fmt: skip
    if dry_run:
        _show_forecast(scenario, rounds=rounds, as_json=as_json, out=out, resume=resume, **request)
        return
    out = out or next_free_name(Path("runs"), Path(scenario.rpartition(":")[2]).stem)
    request |= bring_up(scenario, upbringing, request, out=out, resume=resume, quiet=as_json)
    done = simulate(
        scenario,
        rounds=rounds,
        quiet=as_json,
        out=out,
        resume=resume,
        in_flight=in_flight,
        max_calls=max_calls,
        max_tokens_total=max_tokens,
        max_cost=max_cost,
        **request,
    )
    all_failed = bool(done["interactions"]) and done["failed"] == done["interactions"]
    if as_json:
        say_json(done)
        raise typer.Exit(1 if all_failed else 0)
    if done["stopped"]:
        caps = {"--max-calls": max_calls, "--max-tokens": max_tokens, "--max-cost": max_cost}
        words = " and ".join(f"{name} {cap}" for name, cap in caps.items() if cap is not None)
        say(
            f"stopped by {words} in round {done['rounds'] + 1} of {rounds}; all recorded interactions are complete. Resume "
            f"with --resume --out {done['run']} and a higher cap"
        )
    if done["ended"]:
        say(f"{scenario} ended after round {done['rounds']}: its stop condition holds")
    reused = f", {done['reused']} taken from the record" if done.get("reused") else ""
    reused += f", {done['cached_tokens']:,} tokens from the server's prefix cache" if done.get("cached_tokens") else ""
    say(
        f"{done['run']}: {extent(done['interactions'], done['rounds'])}, {done['failed']} failed, "
        f"{done['calls']} calls{reused}{f', ${usd:.4f}' if (usd := done.get('usd')) is not None else ''}. Plot it with: "
        f"sandbox plot {done['run']}"
    )
    say_losses(done)
    _say_recall(done)
    if all_failed:
        raise typer.Exit(1)


def bring_up(
    scenario: str, upbringing: str | None, settings: Mapping[str, Any], *, out: Path, resume: bool, quiet: bool
) -> dict[str, Any]:
    """Train an adapter for each label of a society, if that is asked for or is the default.

    Args:
        scenario: As for ``World``.
        upbringing: ``memory``, ``adapter``, or None for the default.
        settings: Settings of the world that is going to run.
        out: Its folder; adapters are written to ``upbringing/LABEL`` in it.
        resume: Whether a run in the folder is resumed, with the settings it began with.
        quiet: Print nothing.

    Returns:
        The settings ``model`` and ``observer`` that the world takes instead; empty for ``memory``.

    Raises:
        SettingsError: ``upbringing`` is unknown, or adapters cannot be trained on the model.
    """
    from sandbox.errors import nearest
    from sandbox.models.catalog import full_uri
    from sandbox.models.local.bundled import BUNDLED
    from sandbox.scenario.population import labels, read_population
    from sandbox.seeding import keyed_rng
    from sandbox.society.network_files import read_network
    from sandbox.society.people import column_in, label_in
    from sandbox.society.setup import resolve_settings
    from sandbox.store.run import is_run

    known = ("memory", "adapter")
    if upbringing not in (None, *known):
        raise SettingsError(
            f"--upbringing {upbringing!r} is unknown.{nearest(str(upbringing), known)} Known: memory, adapter"
        )
    model, folder = str(settings.get("model") or "smollm2"), out / "upbringing"
    if resume and is_run(out) and upbringing is None:
        upbringing = "adapter" if folder.is_dir() else "memory"
    if upbringing == "memory" or (upbringing is None and model not in (BUNDLED, f"hf:{BUNDLED}")):
        return {}
    if resume is False and is_run(out):
        return {}  # refused by the world, with the way out
    names = {"model", "observer", "rater", "size", "population", "protocol", "seed", "branch", "event", "event_to", "replicas",
             "engine"}  # fmt: skip
    own = {k: v for k, v in settings.items() if k not in names and "." not in k}
    society, made, size = resolve_settings(scenario, settings.get("size"), own)
    population = read_population(settings.get("population") or made.population)
    if isinstance(population, str) and population.startswith("column:"):
        nodes = (
            [dict(of) for _, of in read_network(society.neighborhood)[0].nodes(data=True)] if society.in_file else []
        )
        column = column_in(population, made.personas, nodes)
        there = {
            label_in(row, column) for row in (*nodes, *(made.personas.rows if made.personas else ())) if column in row
        }
    else:
        there = set(labels(population, max(society.count(size), 100), society.shape(size), keyed_rng(0, "labels")))
    if not any(made.upbringing.get(label) for label in there) or (
        upbringing is None and settings.get("branch") is not None
    ):
        return {}
    if "=" in model or not full_uri(model).startswith("hf:"):
        raise SettingsError(f"--upbringing adapter needs one local model, such as smollm2 or hf:PATH; found {model}")
    from trainers.upbringing import train_upbringing

    models = train_upbringing(
        made, model, folder, labels=sorted(there), progress=not quiet,
        on_label=None if quiet else lambda label: say(f"training an adapter on the upbringing of {label} ({folder / label})"),
    )  # fmt: skip
    return {"model": {**models}, "observer": settings.get("observer") or model}


def _say_recall(done: Mapping[str, Any]) -> None:
    """Say so where agents with memories recalled none of them in several rounds."""
    from sandbox.store.run import open_run

    manifest = open_run(done["run"]).manifest
    if manifest["settings"].get("memory", "nearest") != "nearest":
        return
    within = manifest["settings"]["recall_distance"]
    if done["rounds"] > 1 and not done["recalled"] and within > 0 and manifest["protocol"] in _RECALLING:
        say(
            f"note: no agent recalled a remembered answer: none lies within recall_distance={within:g} of its question. "
            "Set the distance by a share of the questions: --set recall_share=0.5"
        )


def _show_forecast(scenario: str, *, rounds: int, as_json: bool, **settings: Any) -> None:
    """Print the estimated calls and tokens of a run."""
    from sandbox.models.remote.prices import is_served
    from sandbox.preview.dry_run import forecast

    found = forecast(scenario, rounds=rounds, **settings)
    usd = forecast_cost(found.prompt_tokens, found.completion_tokens, settings)
    if as_json:
        say_json(found.as_dict() | ({} if usd is None else {"usd": usd}))
        return
    say(
        f"{scenario}: {extent(found.interactions, rounds)}, about {found.calls:,} calls that read "
        f"{found.prompt_tokens:,} tokens and write at most {found.completion_tokens:,}. Nothing was run"
    )
    if usd is not None:
        say(f"at the prices of the agents' model: at most {dollars(usd)}")
    elif is_served(str(settings.get("model") or "")):
        say("no prices of the agents' model are known: --set model.price_prompt=... --set model.price_completion=...")
    if found.failed:
        say(
            f"note: {found.failed:.0%} of the interactions failed on the placeholder replies of the dry run; with real "
            "replies the protocol may make more calls"
        )


def forecast_cost(read: int, written: int, settings: Mapping[str, Any]) -> float | None:
    """Return the cost of tokens in US dollars; None if the agents' model has no prices."""
    from sandbox.models.remote.prices import uri_prices
    from sandbox.store.budget import cost
    from sandbox.typed_settings import typed

    names = ("price_prompt", "price_completion")
    given = {name: settings[f"model.{name}"] for name in names if f"model.{name}" in settings}
    if given:
        prices = typed("model", given, dict.fromkeys(names, float))
        return cost((prices.get(names[0], 0.0), prices.get(names[1], 0.0)), read, written)
    listed = uri_prices(str(settings.get("model") or ""))
    return None if listed is None else cost(listed, read, written)


def simulate(scenario: str, *, rounds: int, quiet: bool, **settings: Any) -> dict[str, Any]:
    """Run a world to its end with a progress bar, and return the summary that ``sandbox run --json`` prints.

    The measures of the whole run are written to ``measures.json`` in the run folder.
    """
    from sandbox.progress import on_terminal, progress
    from sandbox.society.event import late_events
    from sandbox.society.prior_run import read_branch
    from sandbox.store.manifest import command_line
    from sandbox.store.run import open_run, write_measures
    from sandbox.world import World

    if settings.get("branch") is not None:
        _, start = read_branch(settings["branch"])
        if rounds <= start:
            raise SettingsError(
                f"--rounds {rounds} leaves no new round: it is the total, of which {settings['branch']} has {start}; give at "
                f"least --rounds {start + 1}"
            )
    world = World(scenario, command=command_line(), **settings)
    try:
        if not quiet:
            for note in (*world.notes, *late_events(world, rounds)):
                say(f"note: {note}")
        shown = None if quiet or not on_terminal() else _live_map(world)
        below = None if shown is None else shown.picture
        with progress("simulating", rounds - world.round, quiet=quiet, below=below) as show:
            world.on_calls = by_rounds(show, world, rounds)
            if (repaired := world.repair()) and not quiet:
                say(f"repaired {repaired} interactions that had failed or lacked a rating")
            while world.round < rounds and world.running:
                world.step()
                if shown is not None:
                    shown.end(
                        world.metrics, _places(world), world.members.removed, {a.index: a.state for a in world.members}
                    )
                    show(0.0, f"round {world.round} of {rounds} finished")
                if not quiet and not world.capped:
                    shown_metrics = figures(world.metrics, world.scenario.measures)
                    say(f"round {world.round} of {rounds}{shown_metrics and f': {shown_metrics}'}")
        write_measures(open_run(world.path))
    finally:
        world.close()
    speakers = (*(agent.lm for agent in world.members), world.observer_lm, world.rater)
    notes = dict.fromkeys(note for speaker in speakers for note in getattr(speaker, "notes", ()))
    remarks = [*world.notes, *late_events(world, rounds), *notes]
    return open_run(world.path).summary() | {"stopped": world.capped, "notes": remarks}


def _live_map(world: Any) -> Any:
    """Create the map that the terminal shows during a run."""
    from visualize.terminal import LiveMap

    rubric = world.scenario.rubric
    shown = LiveMap(
        _places(world), dimension=rubric.dimensions[0].name, scale=rubric.scale, measures=world.scenario.measures
    )
    world.on_interactions = shown.add
    return shown


def _places(world: Any) -> dict[int, tuple[int, int]]:
    """Return the row and column of each agent: in a network those of its node on the drawn map."""
    places = {agent.index: world.space.position(agent) for agent in world.members}
    if world.society.on_grid:
        return places
    cells = _network_cells(world.path, len(world.space.links))
    return {agent: cells.get(place, place) for agent, place in places.items()}


@cache
def _network_cells(path: Path, n_nodes: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Return where the terminal shows each position of a network; again when nodes were added. Empty for large networks."""
    from sandbox.store.run import open_run
    from visualize.drawing.network import MAX_IN_CELLS, cells_of_network, drawn_network, network_side

    if n_nodes > MAX_IN_CELLS or (graph := drawn_network(open_run(path))) is None:
        return {}
    side = network_side(graph)
    return {divmod(node, side): cell for node, cell in cells_of_network(graph).items()}
