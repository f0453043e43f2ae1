"""``sandbox animate``, ``report``, ``measure`` and ``show``: a run as an animation, a page, metrics or a dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings, setting_types
from sandbox.cli.output import extent, say, say_json, table
from sandbox.errors import SettingsError
from sandbox.text_cleaning import printable


@app.command()
def animate(
    source: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path | None, typer.Option(help="A .gif or .mp4 file; default: RUN/figures/society.gif.")] = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    limits: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Lowest and highest value of the colours.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Animate the map of a society, round by round."""
    from sandbox.folders import subfolder
    from sandbox.store.run import open_run
    from sandbox.typed_settings import check_settings, typed
    from visualize.animation import animate as write
    from visualize.animation import note

    run = open_run(source)
    given = parse_settings(settings) | ({} if limits is None else {"limits": limits})
    check_settings("sandbox animate", given, ("by", "limits", "seconds", "theme"))
    options = typed("sandbox animate", given, setting_types(write))
    path = write(run, out or subfolder(source, "figures") / "society.gif", **options)
    words = note(run, **{key: value for key, value in options.items() if key == "by"})
    if as_json:
        say_json({"film": str(path)} | ({"note": words} if words else {}))
        return
    say(str(path))
    if words:
        typer.echo(printable(words), err=True)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Run folder, or a folder that contains runs, models and evaluations.")],
    by: Annotated[str, typer.Option(help="Colour of agents: see sandbox plot RUN grid --set by=...")] = "rating",
    as_json: Json = False,
) -> None:
    """Write a self-contained HTML report of the contents of a folder."""
    from visualize.report import write_report

    path = write_report(folder, by=by)
    if as_json:
        say_json({"report": str(path)})
    else:
        say(str(path))


@app.command()
def measure(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    by: Annotated[str, typer.Option(help="Unit of the bootstrap: agent or question.")] = "agent",
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.", min=1, max=100_000)] = 2000,
    as_json: Json = False,
) -> None:
    """Compute the measures of the complete rounds of a run, with bootstrap intervals, and write measures.json."""
    from sandbox.store.run import open_run, write_measures

    if by not in ("agent", "question"):
        raise SettingsError(f"--by {by!r} is not one of agent, question")
    found = write_measures(open_run(run), by=by, resamples=resamples)
    if as_json:
        say_json(found)
        return
    title = f"{run}: {extent(found['interactions'], found['rounds'])}, {found['failed']} failed"
    measures = {name: value for name, value in found.items() if isinstance(value, dict) and "value" in value}
    rows = [
        [name, *(_rounded(m[part]) for part in ("value", "low", "high")), str(m["n"])] for name, m in measures.items()
    ]
    table(title, ["measure", "value", "from", "to (95%)", "of"], rows)


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@app.command()
def show(
    source: Annotated[Path | None, typer.Argument(help="Run folder, or that of a what-if: both futures.")] = None,
    against: Annotated[Path | None, typer.Option(help="Second run to compare with.")] = None,
    live: Annotated[
        str | None, typer.Option(metavar="SCENARIO", help="Step a new world of this scenario from the page instead.")
    ] = None,
    model: Annotated[str, typer.Option(help="With --live: model of the agents.")] = "smollm2",
    size: Annotated[int, typer.Option(help="With --live: side of the grid.")] = 4,
    port: Annotated[int, typer.Option(help="Local port; 0 for any free port.")] = 8765,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
) -> None:
    """Open a dashboard of a run: its map, its social graph, and every message."""
    from sandbox.models.scripted import ScriptedModel
    from sandbox.preview.dry_run import dry_run_world
    from sandbox.store.run import is_run, open_run
    from visualize.page.serving import serve
    from visualize.page.what_if_summary import summarize_what_if

    def tell(address: str) -> None:
        say(f"{address} (stop with Ctrl-C)")

    given = parse_settings(settings)
    if (source is None) == (live is None):
        raise SettingsError("sandbox show takes a RUN, or --live SCENARIO; give one of them")
    if live is not None:
        if against is not None:
            raise SettingsError("--against compares two recorded runs; it cannot be combined with --live")
        dry_run_world(
            live, {"model": model, "size": size, **given}, model=ScriptedModel()
        ).close()  # checked before it is served
        world = {"scenario": live, "model": model, "size": size, "settings": given}
        serve("visualize.page.live", world, port=port, on_ready=tell)
        return
    if given:
        raise SettingsError(f"--set {next(iter(given))} is a setting of a new world; use it with --live")
    futures = [(source or Path()) / name for name in ("with", "without")]
    event = ""
    if against is None and not is_run(source or "") and all(map(is_run, futures)):
        is_whole = ((source or Path()) / "what_if.json").is_file()
        event = summarize_what_if(source or Path())["event"] if is_whole else ""
        source, against = futures
    shown = {"run": str(open_run(source or "").path.resolve())} | ({"event": event} if event else {})
    if against is not None:
        shown["against"] = str(open_run(against).path.resolve())
    serve("visualize.page.dashboard", shown, port=port, on_ready=tell)
