"""``sandbox ls``, ``sandbox plot``, ``sandbox measure`` and ``sandbox report``: what there is, and how it looks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings, say, say_json, table
from sandbox.errors import SettingsError, UnknownPlugin, nearest


@app.command("ls")
def list_plugins(
    kind: Annotated[str | None, typer.Argument(help="scenarios, models, raters, trainers, ..., or runs.")] = None,
    as_json: Json = False,
) -> None:
    """List what is installed, or the runs in runs/."""
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

    return [
        {"name": p.name, "kind": kind, "from": p.package, "summary": registry.summary(p)}
        for p in registry.plugins(kind)
    ]


def _runs() -> list[dict[str, str]]:
    from sandbox.store import is_run, open_run

    found = []
    for path in sorted(Path("runs").glob("*")):
        if is_run(path):
            run = open_run(path)
            summary = f"{run.manifest['scenario']}, {run.manifest['size']}x{run.manifest['size']}, {run.rounds} rounds"
            found.append({"name": str(path), "kind": "runs", "from": run.manifest["started"], "summary": summary})
    return found


@app.command()
def plot(
    source: Annotated[Path, typer.Argument(help="A run, a trained model's folder, or an evaluation's.")],
    names: Annotated[list[str] | None, typer.Argument(help="By default all that suit the folder.")] = None,
    fmt: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    out: Annotated[Path | None, typer.Option(help="Where to; by default SOURCE/figures.")] = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Draw pictures of a society, a training or an evaluation."""
    from sandbox import registry

    if fmt not in ("png", "svg", "pdf"):
        raise SettingsError(f"--format {fmt!r} is not one of png, svg, pdf")
    given: dict[str, Any] = dict(parse_settings(settings))
    target = out or source / "figures"
    opened = open_source(source)
    written = []
    for name in names or suiting(source):
        draw = registry.load("plots", name)
        registry.check_settings(f"plot {name!r}", given, list(registry.parameters(draw))[1:])
        figure = draw(opened, **given)
        target.mkdir(parents=True, exist_ok=True)
        path = target / f"{name}.{fmt}"
        figure.savefig(path)
        written.append(str(path))
    if as_json:
        say_json({"figures": written})
    else:
        for path_text in written:
            say(path_text)


def open_source(source: Path) -> Any:
    """A run folder as a :class:`~sandbox.store.Run`; a folder of a training or an evaluation as its path."""
    from sandbox.store import is_run, open_run

    if is_run(source) or not suiting(source):
        return open_run(source)  # says what is wrong with a folder that is none of them
    return source


def suiting(source: Path) -> list[str]:
    """The pictures that can be drawn of a folder."""
    from sandbox.store import is_run

    if is_run(source):
        return ["grid", "social_graph", "ratings", "pareto"]
    names = []
    if (source / "training.json").exists():
        names.append("training")
    if (source / "evaluation.json").exists():
        names.append("comparison")
    if (source / "comparison.json").exists():
        names.append("trainers")
    return names


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A run, or a folder of runs, models and evaluations.")],
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page on all that a folder holds."""
    from visualize.report import write_report

    path = write_report(folder)
    if as_json:
        say_json({"report": str(path)})
    else:
        say(str(path))


@app.command()
def measure(
    run: Annotated[Path, typer.Argument(help="A run.")],
    by: Annotated[str, typer.Option(help="What is drawn again for the intervals: agent or question.")] = "agent",
    resamples: Annotated[int, typer.Option(help="How often.", min=1)] = 2000,
    as_json: Json = False,
) -> None:
    """Measure the complete rounds of a run, with bootstrap intervals, and keep that as measures.json in its folder."""
    from sandbox.measures import write_measures
    from sandbox.store import open_run

    if by not in ("agent", "question"):
        raise SettingsError(f"--by {by!r} is not one of agent, question")
    found = write_measures(open_run(run), by=by, resamples=resamples)
    if as_json:
        say_json(found)
        return
    title = f"{run}: {found['interactions']} interactions in {found['rounds']} rounds, {found['failed']} failed"
    measures = {name: value for name, value in found.items() if isinstance(value, dict) and "value" in value}
    rows = [
        [name, *(_rounded(m[part]) for part in ("value", "low", "high")), str(m["n"])] for name, m in measures.items()
    ]
    table(title, ["measure", "value", "from", "to (95%)", "of"], rows)


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
