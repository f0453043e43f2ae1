"""``sandbox dataset`` and ``sandbox train``: from a record to a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import say, say_json
from sandbox.errors import SettingsError

Sources = Annotated[list[str], typer.Argument(help="Run folders, or files of rows.", metavar="RUN|FILE...")]


@app.command()
def dataset(
    sources: Sources,
    kind: Annotated[str, typer.Option(help="demonstrations, preferences, unpaired, ranked or prompts.")],
    out: Annotated[Path, typer.Option(help=".jsonl, .parquet, or .json for the paper's released layout.")],
    split: Annotated[
        float | None, typer.Option(help="Hold out about this share of the questions, into NAME.heldout beside --out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the questions that are held out.")] = 0,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Turn records into rows to learn from."""
    from trainers.rows.build import rows_from
    from trainers.rows.files import write_rows
    from trainers.rows.format import row_statistics
    from trainers.rows.split import split_rows

    rows = rows_from(sources, kind, **parse_settings(settings))
    written = {"": rows} if split is None else dict(zip(("", ".heldout"), split_rows(rows, split, seed), strict=True))
    files = {out.with_name(f"{out.stem}{side}{out.suffix}"): part for side, part in written.items()}
    said = []
    for file, part in files.items():
        write_rows(part, file)
        statistics = row_statistics(part)
        said.append({"file": str(file), "kind": kind, "rows": len(part), "statistics": statistics})
        if not as_json:
            say(f"{file}: {len(part)} rows of {kind}")
            for line in statistics_lines(statistics):
                say(f"  {line}")
    if as_json:
        say_json(said[0] if split is None else {**said[0], "heldout": said[1]})


def statistics_lines(statistics: dict[str, Any]) -> list[str]:
    """Statistics of rows for a reader: counts in a line each, ratings as a histogram."""
    lines = [f"{name}: {value}" for name, value in statistics.items() if isinstance(value, int)]
    if "parts" in statistics:
        lines.append("parts: " + ", ".join(f"{part} {n}" for part, n in statistics["parts"].items()))
    most = max(statistics.get("ratings", {"": 1}).values())
    lines += [
        f"rated {rating:>3}: {n:5} {'#' * round(40 * n / most)}" for rating, n in statistics.get("ratings", {}).items()
    ]
    return lines + [f"left out: {n} {reason}" for reason, n in statistics.get("left_out", {}).items()]


@app.command()
def train(
    sources: Sources,
    trainer: Annotated[str, typer.Option(help="See: sandbox ls trainers.")] = "stable_alignment",
    base: Annotated[str, typer.Option(help="The model to begin with.")] = "smollm2",
    out: Annotated[Path | None, typer.Option(help="The model's folder; by default models/TRAINER-N.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoints (--set save_steps=N) of a stopped --out.")
    ] = False,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Train a model on records. For several processes: torchrun --nproc_per_node N -m sandbox train ... --out DIR."""
    import os

    from sandbox.folders import next_free_name

    given: dict[str, Any] = dict(parse_settings(settings))
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if out is None and (resume or several):
        raise SettingsError(
            f"{'--resume' if resume else 'a training in several processes'} needs --out DIR: the folder that "
            f"{'was being trained into' if resume else 'they all write'}"
        )
    target = out or next_free_name(Path("models"), trainer)
    trained = train_on(sources, trainer, base, target, given, resume=resume)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        say_json({"uri": trained.uri, "trainer": trainer, "metrics": trained.metrics})
        return
    say(f"{trained.uri}: " + ", ".join(f"{k} {v:.3f}" for k, v in trained.metrics.items() if isinstance(v, float)))


def train_on(
    sources: list[str], trainer: str, base: str, out: Path, settings: dict[str, Any], *, resume: bool = False
) -> Any:
    """Train on run folders or files of rows; returns a :class:`trainers.base.TrainedModel`."""
    import inspect

    from trainers import load_trainer
    from trainers.rows.build import rows_from

    made = load_trainer(trainer, **settings)
    more: dict[str, Any] = {"resume": True} if resume else {}
    if resume and "resume" not in inspect.signature(made.train).parameters:
        raise SettingsError(f"trainer {trainer!r} keeps no checkpoints to go on from; leave --resume out")
    return made.train(rows_from(sources, made.accepts), base=base, out=out, **more)
