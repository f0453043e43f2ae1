"""``sandbox plot``: pictures of a run, a trained model, an evaluation or a sweep, and the numbers behind them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings, setting_types
from sandbox.cli.output import say, say_json
from sandbox.errors import RunNotFound, SettingsError, nearest


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
        pictures[name] = (draw, typed(f"plot {name!r}", told, setting_types(draw)))
    return pictures


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
