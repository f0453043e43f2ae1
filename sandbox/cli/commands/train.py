"""``sandbox dataset`` and ``sandbox train``: converts records to rows, and trains a model on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import counted, say, say_json
from sandbox.errors import SettingsError, TrainingDataError

Sources = Annotated[
    list[str],
    typer.Argument(help="Run folders, files of rows, or hub datasets (OWNER/NAME).", metavar="RUN|FILE|DATASET..."),
]

RewardName = Annotated[
    str | None,
    typer.Option("--reward", help="Reward of the scenario that rates what agents said, instead of the rubric."),
]
DimensionName = Annotated[
    str | None, typer.Option("--dimension", help="Dimension of the rubric that rates answers.  [default: the first]")
]


@app.command()
def dataset(
    sources: Sources,
    kind: Annotated[str, typer.Option(help="demonstrations, preferences, unpaired, ranked or prompts.")],
    out: Annotated[
        Path, typer.Option(help="Output file: .jsonl, .parquet, or .json for the layout of the paper's released data.")
    ],
    split: Annotated[
        float | None, typer.Option(help="Share of the questions to hold out, written to NAME.heldout beside --out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    reward: RewardName = None,
    dimension: DimensionName = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Convert records to training rows."""
    from trainers.rows.build import rows_from
    from trainers.rows.files import write_rows
    from trainers.rows.format import row_statistics
    from trainers.rows.split import split_rows
    from trainers.sharing.sources import source_facts, write_about

    given = parse_settings(settings, dataset, ("sources", "kind"))
    rows = rows_from(sources, kind, **{**given, **rated_by(reward, dimension)})
    facts = source_facts(sources)
    written = {"": rows} if split is None else dict(zip(("", ".heldout"), split_rows(rows, split, seed), strict=True))
    files = {out.with_name(f"{out.stem}{side}{out.suffix}"): part for side, part in written.items()}
    said = []
    for file, part in files.items():
        write_rows(part, file)
        statistics = row_statistics(part)
        write_about(file, kind, facts, rated_by(reward, dimension), statistics)
        said.append({"file": str(file), "kind": kind, "rows": len(part), "statistics": statistics})
        if not as_json:
            say(f"{file}: {counted(len(part), 'row')} of {kind}")
            for line in statistics_lines(statistics):
                say(f"  {line}")
            if not len(rows) and not given.get("reward") and reward is None and (own := _rewards_of(sources)):
                say(f"  no answer has a rating; the run has rewards: --reward {own[0]}")
    if as_json:
        say_json(said[0] if split is None else {**said[0], "heldout": said[1]})


def _rewards_of(sources: list[str]) -> list[str]:
    """Names of the rewards of the runs among sources of rows."""
    from sandbox.store.run import is_run, open_run

    return [name for source in sources if is_run(Path(source)) for name in open_run(source).rewards]


def rated_by(reward: str | None, dimension: str | None) -> dict[str, str]:
    """What rates answers, as settings of rows; empty for the rubric's first dimension."""
    return {name: given for name, given in (("reward", reward), ("dimension", dimension)) if given is not None}


def statistics_lines(statistics: dict[str, Any]) -> list[str]:
    """Format statistics of rows: one line per count, ratings as a histogram."""
    lines = [f"{name}: {value}" for name, value in statistics.items() if isinstance(value, int)]
    if "parts" in statistics:
        lines.append("parts: " + ", ".join(f"{part} {n}" for part, n in statistics["parts"].items()))
    if (about := statistics.get("reward", {})).get("answers"):
        unit = f" {about['unit']}" if about["unit"] else ""
        lines.append(
            f"reward {about['name']}: {about['answers']} answers, {about['lowest']:g} to {about['highest']:g}{unit}, mean "
            f"{about['mean']:g} (rated 4); 1{unit} is {about['points_per_unit']:.3g} points of the ratings"
        )
    most = max(statistics.get("ratings", {"": 1}).values())
    lines += [
        f"rated {rating:>3}: {n:5} {'#' * round(40 * n / most)}" for rating, n in statistics.get("ratings", {}).items()
    ]
    return lines + [f"left out: {n} {reason}" for reason, n in statistics.get("left_out", {}).items()]


@app.command()
def train(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Run folders or files of rows; default: rows of --config.", metavar="[RUN|FILE...]"),
    ] = None,
    trainer: Annotated[
        str | None,
        typer.Option(help="Name of the trainer. See: sandbox ls trainers.  [default: stable_alignment]"),
    ] = None,
    base: Annotated[str | None, typer.Option(help="Base model.  [default: smollm2]")] = None,
    out: Annotated[Path | None, typer.Option(help="Model folder; default: models/TRAINER-N.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with trainer, base, rows, out and settings; options and --set override it. "
            "Every training writes one beside its model: train.yaml."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Resume an interrupted training in --out from its checkpoints (--set save_steps=N)."
        ),
    ] = False,
    reward: RewardName = None,
    dimension: DimensionName = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Train a model on records. Data-parallel: torchrun --nproc_per_node N -m sandbox train ... --out DIR."""
    import os

    from sandbox.folders import next_free_name
    from trainers.base import trainer_class
    from trainers.config_file import TrainingConfig, read_config

    file = TrainingConfig() if config is None else read_config(config)
    rows = sources or list(file.rows)
    name, start = trainer or file.trainer or "stable_alignment", base or file.base or "smollm2"
    if not rows and not hasattr(trainer_class(name), "make_rows"):
        where = "" if config is None else f", or rows in {config}"
        raise SettingsError(f"sandbox train needs run folders or files of rows{where}")
    given: dict[str, Any] = {**file.settings, **parse_settings(settings)}
    folder = out or (Path(file.out) if file.out else None)
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if folder is None and (resume or several):
        raise SettingsError(
            f"{'--resume' if resume else 'data-parallel training'} needs --out DIR: the folder "
            f"{'of the interrupted training' if resume else 'that all processes write to'}"
        )
    target = folder or next_free_name(Path("models"), name)
    rated = rated_by(reward or file.reward, dimension or file.dimension)
    trained = train_on(rows, name, start, target, given, resume=resume, rated=rated)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        say_json({"uri": trained.uri, "trainer": name, "metrics": trained.metrics, "notes": list(trained.notes)})
        return
    say(f"{trained.uri}: " + ", ".join(f"{k} {v:.3f}" for k, v in trained.metrics.items() if isinstance(v, float)))
    for note in trained.notes:
        say(f"  {note}")


def train_on(
    sources: list[str],
    trainer: str,
    base: str,
    out: Path,
    settings: dict[str, Any],
    *,
    resume: bool = False,
    rated: dict[str, str] | None = None,
) -> Any:
    """Train on run folders or files of rows, rated by a reward or dimension; return a :class:`trainers.base.TrainedModel`."""
    import dataclasses
    import inspect
    import os

    from trainers.base import check_trained, load_trainer
    from trainers.config_file import write_config
    from trainers.rows.build import rows_from

    made = load_trainer(trainer, **settings)
    more: dict[str, Any] = {"resume": True} if resume else {}
    if resume and "resume" not in inspect.signature(made.train).parameters:
        raise SettingsError(f"trainer {trainer!r} does not support --resume")
    make_rows = None if sources else getattr(made, "make_rows", None)
    rows = make_rows() if make_rows is not None else rows_from(sources, made.accepts, **(rated or {}))
    if make_rows is None and not len(rows) and "reward" not in (rated or {}) and (own := _rewards_of(sources)):
        raise TrainingDataError(
            f"trainer {trainer!r} was given no rows: no answer of the record has a rating. The scenario has "
            f"{'rewards' if len(own) > 1 else 'a reward'}: train on {'one of them' if len(own) > 1 else 'it'} with "
            f"{' or '.join(f'--reward {name}' for name in own)}"
        )
    trained = check_trained(trainer, made.train(rows, base=base, out=out, **more))
    if os.environ.get("RANK", "0") == "0":
        # Trainers know rows and not where they came from.
        values = {field.name: getattr(made.settings, field.name) for field in dataclasses.fields(made.settings)}
        write_config(out, trainer, base, values, sources, rated)
    return trained
