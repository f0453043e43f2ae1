"""``sandbox sweep``: runs a simulation for each point of a grid and each seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import counted, say, say_json, table
from sandbox.errors import SettingsError

Grid = Annotated[
    list[str],
    typer.Option("--grid", metavar="KEY=A,B,...", help="Values of a setting; repeatable, all combinations are run."),
]


@app.command()
def sweep(
    scenario: Annotated[str, typer.Argument(help="Name, ./path.py or module:object.")],
    grid: Annotated[
        list[str],
        typer.Option(
            "--grid", metavar="KEY=A,B,...", help="Values of a setting; repeatable, all combinations are run."
        ),
    ] = [],  # noqa: B006 (typer reads the default)
    seeds: Annotated[str, typer.Option(help="Number of seeds (5 means 0 to 4), or a list (3,7).")] = "5",
    rounds: Annotated[int, typer.Option(help="Rounds of each run.", min=1)] = 2,
    model: Annotated[str | None, typer.Option(help="Model of the agents; default: smollm2.")] = None,
    observer: Annotated[str | None, typer.Option(help="Model of the observers; default: the agents' model.")] = None,
    rater: Annotated[str | None, typer.Option(help="lm, values or reward:MODEL; default: chosen by the model.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the grid; default: the scenario's, or 4.")] = None,
    population: Annotated[str | None, typer.Option(help="Population; default: the scenario's.")] = None,
    workers: Annotated[
        str | None, typer.Option(help="Number of processes, or ray; default: 1 for local models, else one per core.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder; default: a folder in sweeps/ derived from the command.")
    ] = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Run a simulation for each point of a grid and each seed; finished runs in --out are not repeated."""
    from sandbox.parallel import parse_workers
    from sandbox.store.manifest import command_line
    from sandbox.sweep.grid import RESERVED_KEYS, parse_grid, parse_seeds

    given = parse_settings(settings)
    if taken := [f"--set {name} cannot be: {RESERVED_KEYS[name]}" for name in given if name in RESERVED_KEYS]:
        raise SettingsError("; ".join(taken))
    named = {"model": model, "observer": observer, "rater": rater, "size": size, "population": population}
    request: dict[str, Any] = {
        "grid": parse_grid(grid),
        "seeds": parse_seeds(seeds),
        "rounds": rounds,
        **given,
        **{name: value for name, value in named.items() if value is not None},
    }
    folder = out or _default_folder(scenario, request)
    processes = None if workers is None else parse_workers(workers)
    result = _swept(scenario, folder, as_json, workers=processes, command=command_line(), **request)
    figure = _figure(folder)
    failures = {run["name"]: run["error"] for run in result["runs"] if run["status"] == "failed"}
    if as_json:
        say_json(
            {
                "sweep": str(folder),
                "runs": len(result["runs"]),
                "failed": len(failures),
                "points": result["points"],
                "figure": str(figure),
            }
        )
    else:
        _show(result)
        for name, error in failures.items():
            say(f"failed: {name}: {error}")
        say(f"{folder}: sweep.json, sweep.csv and {figure.relative_to(folder)}")
    if len(failures) == len(result["runs"]):
        raise typer.Exit(1)


def _default_folder(scenario: str, request: dict[str, Any]) -> Path:
    """Return a folder derived from the request, so that repeating a command resumes its sweep."""
    import json

    from sandbox.store.manifest import short_hash

    return (
        Path("sweeps") / f"{Path(scenario.rpartition(':')[2]).stem}-{short_hash(json.dumps([scenario, request]))[:6]}"
    )


def _swept(scenario: str, folder: Path, quiet: bool, /, **request: Any) -> dict[str, Any]:
    """Sweep with a progress bar."""
    from contextlib import ExitStack

    from sandbox.progress import progress
    from sandbox.sweep.sweep import run_sweep

    with ExitStack() as stack:
        shown: list[Any] = []

        def start(runs: int, finished: int) -> None:
            if finished and not quiet:
                say(f"{finished} of {runs} runs are already finished")
            shown.append(stack.enter_context(progress("sweep", runs - finished, quiet=quiet)))

        def show(run: Mapping[str, Any]) -> None:
            shown[0](1, f"{run['name']} {run['status']}")

        return run_sweep(scenario, out=folder, on_start=start, on_run=show, **request)


def _figure(folder: Path) -> Path:
    from sandbox import registry
    from sandbox.folders import subfolder
    from visualize.drawing.saving import save

    return save(registry.load("plots", "sweep")(folder), subfolder(folder, "figures") / "sweep.png")


def _show(result: dict[str, Any]) -> None:
    """Print the table of a sweep, one row per point."""
    gain = f"{result['dimensions'][0]}_gain"
    shown = [*result["dimensions"], gain]

    def words(score: dict[str, Any], *, signed: bool) -> str:
        form = "{:+z.2f}" if signed else "{:.2f}"
        if score["mean"] is None:
            return "-"
        if score["low"] is None:
            return form.format(score["mean"])
        return f"{form} [{form}, {form}]".format(score["mean"], score["low"], score["high"])

    rows = [
        [
            " ".join(f"{key}={value}" for key, value in point["point"].items()) or "all",
            f"{point['n']}" + (f" ({point['failed']} failed)" if point["failed"] else ""),
            *(words(point["scores"][name], signed=name == gain) for name in shown),
        ]
        for point in result["points"]
    ]
    title = f"{result['scenario']}, {counted(result['rounds'], 'round')}: mean over runs, with 95% interval"
    table(title, ["point", "runs", *result["dimensions"], "gain"], rows)
