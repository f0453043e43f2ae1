"""``sandbox export`` and ``sandbox import``: runs for other programs, and from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json


@app.command("export")
def export(
    run: Annotated[Path, typer.Argument(help="A run.")],
    out: Annotated[Path, typer.Option(help="The file, or the folder that it goes to.")],
    fmt: Annotated[str, typer.Option("--format", help="jsonl, parquet, graphml or sample_world.")] = "jsonl",
    as_json: Json = False,
) -> None:
    """Write a run's record for other programs: its interactions, its social graph, or the paper's own layout."""
    from sandbox.store.export import export_run

    written = export_run(run, fmt, out)
    if as_json:
        say_json({"run": str(run), "format": fmt, "file": str(written)})
    else:
        say(str(written))


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="A sample world of the paper: external_memory/agent_*.jsonl.")],
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    as_json: Json = False,
) -> None:
    """Make a run of a world that the paper's authors' program simulated."""
    from sandbox.store.import_sample_world import import_sample_world
    from sandbox.store.manifest import command_line

    run = import_sample_world(folder, out, command=command_line())
    summary = run.summary()
    if as_json:
        say_json(summary)
        return
    for note in run.manifest["notes"]:
        say(f"note: {note}")
    say(f"{out}: {summary['interactions']} interactions in {summary['rounds']} rounds. See it with: sandbox plot {out}")
