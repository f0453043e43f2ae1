"""``sandbox plot``: plots of a run, a trained model, an evaluation, a sweep, an evolution or a what-if, and their data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings, setting_types
from sandbox.cli.output import say, say_json
from sandbox.errors import NothingToShow, RunNotFound, SettingsError, nearest
from sandbox.folders import removed_if_refused, subfolder, whole_file
from sandbox.storage_errors import read_as_written
from sandbox.text_cleaning import plain_cell, printable


@app.command()
def plot(
    source: Annotated[
        Path,
        typer.Argument(help="Folder of a run, trained model, evaluation, comparison, sweep, evolution or what-if."),
    ],
    names: Annotated[list[str] | None, typer.Argument(help="Names of plots; default: every plot that applies.")] = None,
    fmt: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    out: Annotated[Path | None, typer.Option(help="Output folder; default: SOURCE/figures.")] = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    limits: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Lowest and highest value of the colours of maps and graphs.")
    ] = None,
    with_data: Annotated[bool, typer.Option("--data", help="Also write the data of each plot, as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Plot a society, a training, an evaluation, a comparison, a sweep, an evolution or a what-if."""
    from sandbox.store.run import Run
    from visualize.drawing.saving import FORMATS, save

    if fmt not in FORMATS:
        raise SettingsError(f"--format {fmt!r} is not one of {', '.join(FORMATS)}.{nearest(fmt, FORMATS)}")
    opened = open_source(source)
    if isinstance(opened, Run) and not opened.rounds and opened.frame().empty:
        raise NothingToShow(
            f"{source} has no interaction to plot yet: no round of it is complete. Continue it with: "
            f"sandbox run SCENARIO --out {source} --resume"
        )
    given = parse_settings(settings) | ({} if limits is None else {"limits": limits})
    pictures = load_pictures(names or suiting(source), given, named=bool(names))
    tables = {name: find_data(name, draw) for name, (draw, _) in pictures.items()} if with_data else {}
    figures: list[str] = []
    numbers: list[str] = []
    notes: dict[str, str] = {}
    with removed_if_refused(out or source / "figures", lambda: bool(figures)):
        target = out or subfolder(source, "figures")
        for name, (draw, given) in pictures.items():
            if note := note_of(draw, opened, given):
                notes[name] = note
            path = target / f"{file_stem(name)}.{fmt}"
            # What an outside plot raises is its own; the project's read result files as they were written.
            is_ours = isinstance(opened, Path) and draw.__module__.startswith("visualize.")
            with read_as_written(str(source)) if is_ours else nullcontext():
                figures.append(str(save(draw(opened, **given), path)))
                if with_data:
                    numbers.append(str(write_numbers(tables[name], opened, given, path.with_suffix(".csv"))))
            if not as_json:
                for written in (figures[-1], *numbers[-1:]):
                    say(written)
    empty = {} if names or isinstance(opened, Path) else {k: why for k, why in _select(opened).items() if why}
    if as_json:
        more = {"notes": notes, "left_out": empty}
        more = {key: value for key, value in more.items() if value}
        say_json({"figures": figures} | ({"data": numbers} if with_data else {}) | more)
        return
    for name, note in notes.items():
        typer.echo(printable(f"{name}: {note}"), err=True)
    if empty:
        from visualize.plots.selection import left_out

        words = f"left out, as they would be empty: {left_out(empty)}; name a plot to draw it all the same"
        typer.echo(printable(words), err=True)


def find_data(name: str, draw: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function ``data`` of the module that defines a plot's ``draw``.

    Raises:
        SettingsError: the module has none.
    """
    found = getattr(sys.modules[draw.__module__], "data", None)
    if found is None:
        raise SettingsError(f"plot {name!r} has no data: {draw.__module__} defines no data(source, **settings)")
    return found


def note_of(draw: Callable[..., Any], opened: Any, given: dict[str, Any]) -> str:
    """What the module of a plot has to say of it, by its function ``note``: how it chose what to draw; empty without one."""
    from sandbox.typed_settings import parameters

    note = getattr(sys.modules[draw.__module__], "note", None)
    if note is None:
        return ""
    known = parameters(note)
    return str(note(opened, **{key: value for key, value in given.items() if key in known}))


def write_numbers(data: Callable[..., Any], opened: Any, given: dict[str, Any], path: Path) -> Path:
    """Write the data of a plot as CSV, with those of its settings that ``data`` takes."""
    from sandbox.typed_settings import parameters

    known = parameters(data)
    table = data(opened, **{key: value for key, value in given.items() if key in known})
    with whole_file(path) as fresh:
        table.map(plain_cell).to_csv(fresh, index=False, encoding="utf-8", lineterminator="\n")
    return path


def load_pictures(
    names: Sequence[str], given: dict[str, str], *, named: bool
) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Load plots and the settings of each.

    Args:
        names: Names of the plots.
        given: Settings as text.
        named: Whether the user named the plots, so that each must accept every setting. Otherwise a setting goes to
            the plots that accept it.

    Raises:
        UnknownPlugin: a plot does not exist.
        SettingsError: no plot accepts a setting, or a value is invalid.
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
        accepted = {key: value for key, value in given.items() if key in known[name]}
        pictures[name] = (draw, typed(f"plot {name!r}", accepted, setting_types(draw)))
    return pictures


def file_stem(name: str) -> str:
    """Return the stem of a plot's file: ``mine-draw`` for ``./mine.py:draw`` and ``package.mine:draw``."""
    return Path(name).name.replace(".py", "").rpartition(".")[2].replace(":", "-")


def open_source(source: Path) -> Any:
    """Open a run folder as a :class:`~sandbox.store.run.Run`; return any other folder of results as its path.

    Raises:
        RunNotFound: the folder holds neither.
    """
    from sandbox.store.run import is_run, open_run

    if is_run(source):
        return open_run(source)
    if not suiting(source):
        what = "contains no run, trained model, evaluation, sweep or what-if" if source.exists() else "does not exist"
        raise RunNotFound(f"{source} {what}. Make a run with: sandbox run SCENARIO --out {source}")
    return source


def _select(run: Any) -> dict[str, str]:
    from visualize.plots.selection import select_plots

    return select_plots(run)


def suiting(source: Path) -> list[str]:
    """Return the names of the plots that apply to a folder."""
    from sandbox.store.run import is_run, open_run

    if is_run(source):
        return [name for name, reason in _select(open_run(source)).items() if not reason]
    held = {
        "training": "training.json",
        "comparison": "evaluation.json",
        "trainers": "comparison.json",
        "sweep": "sweep.json",
        "evolution": "evolve.json",
        "what_if": "what_if.json",
    }
    found = [name for name, file in held.items() if (source / file).is_file()]
    if not found and any(source.glob("*/what_if.json")):  # of several seeds
        return ["what_if"]
    return [*found, "scorecard"] if "comparison" in found else found
