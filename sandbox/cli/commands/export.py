"""``sandbox export`` and ``sandbox import``: converts runs to and from formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import extent, say, say_json


@app.command("export")
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Output file or folder.")],
    fmt: Annotated[str, typer.Option("--format", help="jsonl, parquet, graphml or sample_world.")] = "jsonl",
    as_json: Json = False,
) -> None:
    """Export a run: its interactions, its social graph, or the layout of the paper's released data."""
    from sandbox.store.export import export_run

    written = export_run(run, fmt, out)
    if as_json:
        say_json({"run": str(run), "format": fmt, "file": str(written)})
    else:
        say(str(written))


@app.command("import")
def import_(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a world of the paper's released data: external_memory/agent_*.jsonl.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    as_json: Json = False,
) -> None:
    """Import a world simulated by the paper's released code as a run."""
    from sandbox.store.import_sample_world import import_sample_world
    from sandbox.store.manifest import command_line

    run = import_sample_world(folder, out, command=command_line())
    summary = run.summary()
    if as_json:
        say_json(summary)
        return
    for note in run.manifest["notes"]:
        say(f"note: {note}")
    say(f"{out}: {extent(summary['interactions'], summary['rounds'])}. Plot it with: sandbox plot {out}")
