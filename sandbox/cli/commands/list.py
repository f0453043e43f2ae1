"""``sandbox ls``: lists installed plugins and runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say_json, table
from sandbox.errors import UnknownPlugin, nearest

_FAMILY = {
    "name": "trl:NAME", "kind": "trainers", "from": "trl",
    "summary": "Any trainer of TRL that learns from such rows: trl:CPO, trl:TPO, trl:Reward, trl:OnlineDPO, ...",
}  # fmt: skip


@app.command("ls")
def list_plugins(
    kind: Annotated[
        str | None,
        typer.Argument(help="scenarios, models, raters, trainers, protocols, embedders, memories, plots or runs."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List installed plugins, or the runs in runs/."""
    from sandbox import registry

    kinds = (*registry.KINDS, "runs")
    if kind is not None and kind not in kinds:
        raise UnknownPlugin(f"no kind of plugin named {kind!r}.{nearest(kind, kinds)} Kinds: {', '.join(kinds)}")
    found = [] if kind is None else _runs() if kind == "runs" else _plugins(kind)
    if kind is None:
        found = [row for one in registry.KINDS for row in _plugins(one)]
    if as_json:
        say_json(found)
        return
    table("", ["name", "kind", "from", "summary"], [list(row.values()) for row in found])


def _plugins(kind: str) -> list[dict[str, str]]:
    from sandbox import registry

    found = [
        {"name": p.name, "kind": kind, "from": p.package, "summary": registry.summary(p)}
        for p in registry.plugins(kind)
    ]
    return [*found, _FAMILY] if kind == "trainers" else found


def _runs() -> list[dict[str, str]]:
    from sandbox.store.run import is_run

    found = [path for path in sorted(Path("runs").glob("*")) if is_run(path)]
    return [{"name": str(path), "kind": "runs", **_about(path)} for path in found]


def _about(path: Path) -> dict[str, str]:
    from sandbox.errors import SandboxError
    from sandbox.store.run import open_run

    try:
        run = open_run(path)
    except SandboxError as error:
        return {"from": "", "summary": f"cannot be read: {error}"}
    size, rounds, settings = run.manifest.get("size"), run.rounds, run.manifest.get("settings", {})
    shape = "" if size is None else f"{settings.get('rows') or size}x{settings.get('columns') or size}, "
    summary = f"{run.manifest.get('scenario', 'a scenario')}, {shape}{rounds} round{'s' if rounds != 1 else ''}"
    return {"from": str(run.manifest.get("started", "")), "summary": summary}
