"""``sandbox push``: shares a model, rows or a run on a hub, with a card."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json


@app.command()
def push(
    source: Annotated[
        Path, typer.Argument(help="A trained model's folder, a file of rows (.jsonl, .parquet), or a run folder.")
    ],
    repo: Annotated[str, typer.Argument(help="Name on the hub.", metavar="OWNER/NAME")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; created if it does not exist.  [default: main]")] = None,
    message: Annotated[str | None, typer.Option(help="Message of the commit.")] = None,
    licence: Annotated[
        str | None,
        typer.Option("--license", help="Identifier of the licence for the card, such as apache-2.0 or cc-by-4.0."),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Name on the hub of an adapter's base that is a local folder.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files and print the card; push nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Push a model, rows or a run to a hub in one commit, with a card; no paths of this machine, no keys."""
    from trainers.sharing.hub import push as push_upload
    from trainers.sharing.prepare import prepare_upload

    with TemporaryDirectory(prefix="sandbox-push-") as work:
        upload = prepare_upload(source, repo, Path(work), licence=licence, base=base)
        sizes = {file.name: file.size for file in upload.files}
        found: dict[str, Any] = {"repo": repo, "kind": upload.kind, "files": sizes, "notes": list(upload.notes)}
        if dry_run:
            found |= {"pushed": False, "card": upload.card}
        else:
            words = message or f"Push {upload.kind} with Social Sandbox"
            made = push_upload(upload, repo, private=private, revision=revision, message=words)
            found |= {"pushed": True, **made}
    if as_json:
        say_json(found)
        return
    for name, size in sizes.items():
        say(f"{_size(size):>10}  {name}")
    for note in upload.notes:
        say(f"note: {note}")
    if dry_run:
        say(f"\n{upload.card}\nNothing was pushed: --dry-run")
    else:
        say(f"{found['url']}: {upload.kind}, {len(sizes)} files in commit {found['commit'][:8]}")


def _size(n: int) -> str:
    """A number of bytes: ``14.8 kB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"
