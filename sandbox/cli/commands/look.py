"""``sandbox ls``, ``plot``, ``animate``, ``measure`` and ``report``: what there is, and what it looks like."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings, say, say_json, table
from sandbox.errors import RunNotFound, SettingsError, UnknownPlugin, nearest


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
    size, rounds = run.manifest.get("size"), run.rounds
    shape = "" if size is None else f"{size}x{size}, "
    summary = f"{run.manifest.get('scenario', 'a scenario')}, {shape}{rounds} round{'s' if rounds != 1 else ''}"
    return {"from": str(run.manifest.get("started", "")), "summary": summary}


@app.command()
def plot(
    source: Annotated[Path, typer.Argument(help="The folder of a run, a trained model, an evaluation or a sweep.")],
    names: Annotated[list[str] | None, typer.Argument(help="By default all that suit the folder.")] = None,
    fmt: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    out: Annotated[Path | None, typer.Option(help="Where to; by default SOURCE/figures.")] = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    with_data: Annotated[
        bool, typer.Option("--data", help="Write the numbers behind each picture too, as CSV.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draw pictures of a society, a training, an evaluation or a sweep."""
    from visualize.drawing.saving import FORMATS, save

    if fmt not in FORMATS:
        raise SettingsError(f"--format {fmt!r} is not one of {', '.join(FORMATS)}.{nearest(fmt, FORMATS)}")
    opened = open_source(source)
    pictures = load_pictures(names or suiting(source), parse_settings(settings), named=bool(names))
    target = out or source / "figures"
    tables = {name: find_data(name, draw) for name, (draw, _) in pictures.items()} if with_data else {}
    figures, numbers = [], []
    for name, (draw, given) in pictures.items():
        path = target / f"{file_stem(name)}.{fmt}"
        figures.append(str(save(draw(opened, **given), path)))
        if not as_json:
            say(figures[-1])
        if with_data:
            numbers.append(str(write_numbers(tables[name], opened, given, path.with_suffix(".csv"))))
            if not as_json:
                say(numbers[-1])
    if as_json:
        say_json({"figures": figures} | ({"data": numbers} if with_data else {}))


def find_data(name: str, draw: Callable[..., Any]) -> Callable[..., Any]:
    """The function ``data`` beside a picture's ``draw``.

    Raises:
        SettingsError: there is none.
    """
    found = getattr(sys.modules[draw.__module__], "data", None)
    if found is None:
        raise SettingsError(f"plot {name!r} keeps no numbers: {draw.__module__} has no data(source, **settings)")
    return found


def write_numbers(data: Callable[..., Any], opened: Any, given: dict[str, Any], path: Path) -> Path:
    """Write the numbers behind a picture as CSV, under those of its settings that concern them."""
    from sandbox.typed_settings import parameters

    known = parameters(data)
    table = data(opened, **{key: value for key, value in given.items() if key in known})
    table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    return path


def load_pictures(
    names: Sequence[str], given: dict[str, str], *, named: bool
) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Find pictures, and what each is told.

    Args:
        names: Of the pictures.
        given: Settings as text.
        named: The user named the pictures, so each must know every setting. Otherwise a setting goes to those that
            know it.

    Raises:
        UnknownPlugin: there is no picture of a name.
        SettingsError: no picture knows a setting, or a value is none that it can have.
    """
    from sandbox import registry
    from sandbox.typed_settings import check_settings, parameters, typed

    loaded = {name: registry.load("plots", name) for name in names}
    known = {name: list(parameters(draw))[1:] for name, draw in loaded.items()}
    if named:
        for name, theirs in known.items():
            check_settings(f"plot {name!r}", given, theirs)
    else:
        check_settings("sandbox plot", given, {one for theirs in known.values() for one in theirs})
    pictures = {}
    for name, draw in loaded.items():
        told = {key: value for key, value in given.items() if key in known[name]}
        pictures[name] = (draw, typed(f"plot {name!r}", told, _hints(draw)))
    return pictures


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:  # an annotation that only type checkers can read: settings stay text
        return {}


def file_stem(name: str) -> str:
    """What the file of a picture is called: ``./mine.py:draw`` and ``package.mine:draw`` become ``mine-draw``."""
    return Path(name).name.replace(".py", "").rpartition(".")[2].replace(":", "-")


def open_source(source: Path) -> Any:
    """A run folder as a :class:`~sandbox.store.run.Run`; a folder of a training, an evaluation or a sweep as its path.

    Raises:
        RunNotFound: it is none of them.
    """
    from sandbox.store.run import is_run, open_run

    if is_run(source):
        return open_run(source)
    if not suiting(source):
        what = "holds no run, trained model, evaluation or sweep" if source.exists() else "does not exist"
        raise RunNotFound(f"{source} {what}. Make a run with: sandbox run SCENARIO --out {source}")
    return source


def suiting(source: Path) -> list[str]:
    """The pictures that can be drawn of a folder."""
    from sandbox.store.run import is_run
    from sandbox.store.schema import read_manifest

    if is_run(source):
        own = ["measures"] if read_manifest(source).get("measures") else []
        return [*own, "grid", "social_graph", "ratings", "pareto", "consensus", "memory"]
    held = {
        "training": "training.json",
        "comparison": "evaluation.json",
        "trainers": "comparison.json",
        "sweep": "sweep.json",
        "evolution": "evolve.json",
    }
    return [name for name, file in held.items() if (source / file).is_file()]


@app.command()
def animate(
    source: Annotated[Path, typer.Argument(help="A run.")],
    out: Annotated[Path | None, typer.Option(help="A .gif or .mp4 file; by default RUN/figures/society.gif.")] = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Show a society as a film, its map round by round."""
    from sandbox.store.run import open_run
    from sandbox.typed_settings import check_settings, typed
    from visualize.animation import animate as write

    run = open_run(source)
    given = parse_settings(settings)
    check_settings("sandbox animate", given, ("by", "seconds", "theme"))
    told = typed("sandbox animate", given, _hints(write))
    path = write(run, out or source / "figures" / "society.gif", **told)
    if as_json:
        say_json({"film": str(path)})
    else:
        say(str(path))


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
    from sandbox.store.run import open_run, write_measures

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


@app.command()
def show(
    source: Annotated[Path | None, typer.Argument(help="A run.")] = None,
    against: Annotated[Path | None, typer.Option(help="A second run, to compare the first with.")] = None,
    live: Annotated[
        str | None, typer.Option(metavar="SCENARIO", help="Step a new world from the page instead.")
    ] = None,
    model: Annotated[str, typer.Option(help="With --live: what agents speak through.")] = "smollm2",
    size: Annotated[int, typer.Option(help="With --live: side of the grid.")] = 4,
    port: Annotated[int, typer.Option(help="Of this machine; 0 for any that is free.")] = 8765,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
) -> None:
    """Open a page on a society: its map, its graph, and all that was said."""
    from sandbox.store.run import open_run
    from visualize.page.serving import serve

    def tell(address: str) -> None:
        say(f"{address} (stop with Ctrl-C)")

    given = parse_settings(settings)
    if (source is None) == (live is None):
        raise SettingsError("sandbox show takes a RUN, or --live SCENARIO; give one of them")
    if live is not None:
        if against is not None:
            raise SettingsError("--against compares two runs that are on disk; leave it out with --live")
        told = {"scenario": live, "model": model, "size": size, "settings": given}
        serve("visualize.page.live", told, port=port, on_ready=tell)
        return
    if given:
        raise SettingsError(f"--set {next(iter(given))} is a setting of a new world; it goes with --live")
    shown = {"run": str(open_run(source or "").path.resolve())}
    if against is not None:
        shown["against"] = str(open_run(against).path.resolve())
    serve("visualize.page.dashboard", shown, port=port, on_ready=tell)
