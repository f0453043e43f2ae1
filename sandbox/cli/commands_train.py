"""``sandbox dataset``, ``sandbox train`` and ``sandbox evaluate``: from a record to a trained model, and its worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings, say, say_json, table
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
    from trainers.rows import row_statistics, rows_from, write_rows
    from trainers.splitting import split_rows

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

    from sandbox.cli.commands_run import free_name

    given: dict[str, Any] = dict(parse_settings(settings))
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if out is None and (resume or several):
        raise SettingsError(
            f"{'--resume' if resume else 'a training in several processes'} needs --out DIR: the folder that "
            f"{'was being trained into' if resume else 'they all write'}"
        )
    target = out or free_name(Path("models"), trainer)
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
    from trainers.rows import rows_from

    made = load_trainer(trainer, **settings)
    more: dict[str, Any] = {"resume": True} if resume else {}
    if resume and "resume" not in inspect.signature(made.train).parameters:
        raise SettingsError(f"trainer {trainer!r} keeps no checkpoints to go on from; leave --resume out")
    return made.train(rows_from(sources, made.accepts), base=base, out=out, **more)


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="Model URIs; the first is what others are compared with.")],
    questions: Annotated[str | None, typer.Option(help="A file; by default the scenario's held-out ones.")] = None,
    pairs: Annotated[
        str | None, typer.Option(help="A file of preferences: are better answers likelier? Alone unless --questions.")
    ] = None,
    scenario: Annotated[str, typer.Option(help="Brings the rubric and the held-out questions.")] = "value_alignment",
    judge: Annotated[str, typer.Option(help="values, reward:MODEL, or a model URI to be asked.")] = "values",
    samples: Annotated[int, typer.Option(help="Answers a question.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Keys the answers' random streams.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The results' folder; by default evaluations/N.")] = None,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Compare models' answers to questions they never saw."""
    from sandbox.cli.commands_run import free_name
    from sandbox.scenario import read_questions

    given: dict[str, Any] = dict(parse_settings(settings))
    target = out or free_name(Path("evaluations"), "evaluation")
    if pairs is not None and questions is None:
        result = evaluate_pairs_to(target, models, pairs, quiet=as_json, **given)
        if as_json:
            say_json(result)
        else:
            show_pairs(result["pairs"])
        return
    result = evaluate_to(
        target,
        models,
        read_questions(questions) if questions else None,
        quiet=as_json,
        pairs=pairs,
        scenario=scenario,
        judge=judge,
        samples=samples,
        seed=seed,
        **given,
    )
    if as_json:
        say_json(result)
    else:
        show_evaluation(result)
        if pairs is not None:
            show_pairs(result["pairs"])


def evaluate_to(
    out: Path, models: list[str], questions: list[str] | None, *, quiet: bool, names: list[str] | None = None,
    pairs: str | None = None, **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate with a progress bar and write ``evaluation.json``; with ``pairs``, measure those too."""
    from sandbox.manifest import command_line
    from sandbox.progress import progress
    from trainers.evaluate import Evaluation, write_evaluation

    evaluation = Evaluation(models, questions, names=names, **settings)
    with progress("evaluation", evaluation.n_answers, quiet=quiet) as show:
        result = evaluation.run(on_answers=show)
    if pairs is not None:
        result["pairs"] = _measure_pairs(models, pairs, names=names, quiet=quiet)
    result["command"] = command_line()
    write_evaluation(result, out)
    return result


def evaluate_pairs_to(out: Path, models: list[str], pairs: str, *, quiet: bool, **settings: Any) -> dict[str, Any]:
    """Measure preference accuracy alone and write ``evaluation.json``."""
    from sandbox import registry
    from sandbox.manifest import command_line
    from trainers.evaluate import SCHEMA, write_evaluation

    known = {"max_length": int, "dtype": str}
    registry.check_settings("evaluation of pairs", settings, known)
    measured = _measure_pairs(
        models, pairs, names=None, quiet=quiet, **registry.typed("evaluation of pairs", settings, known)
    )
    result: dict[str, Any] = {
        "schema": SCHEMA, "dimensions": [], "questions": 0, "samples": 0, "models": [], "differences": [], "answers": [],
        "pairs": measured, "command": command_line(),
    }  # fmt: skip
    write_evaluation(result, out)
    return result


def _measure_pairs(
    models: list[str], file: str, *, names: list[str] | None, quiet: bool, **settings: Any
) -> dict[str, Any]:
    from sandbox.progress import progress
    from trainers.pairs import compare_pairs
    from trainers.rows import rows_from

    rows = rows_from(file, "preferences")
    with progress("pairs", len(models) * len(rows), quiet=quiet) as show:
        return {"file": file, **compare_pairs(models, rows, names=names, on_pairs=show, **settings)}


def show_pairs(measured: dict[str, Any]) -> None:
    """Print the table of preference accuracies."""
    differences = {d["model"]: d["accuracy"] for d in measured["differences"]}
    rows = []
    for model in measured["models"]:
        a, d = model["accuracy"], differences.get(model["name"])
        rows.append(
            [
                model["name"],
                f"{a['mean']:.3f} [{a['low']:.3f}, {a['high']:.3f}]",
                "" if d is None else f"{d['mean']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]",
                f"{model['margin']:+.3f}",
            ]
        )
    table(
        f"{measured['pairs']} pairs: share whose better answer is the likelier per token, with 95% interval",
        ["model", "accuracy", "less the first's, paired", "margin (nats/token)"],
        rows,
    )


def show_evaluation(result: dict[str, Any]) -> None:
    """Print the table of an evaluation."""

    def words(score: dict[str, float]) -> str:
        return f"{score['mean']:+.2f} [{score['low']:+.2f}, {score['high']:+.2f}]"

    dimensions = result["dimensions"]
    rows = [
        [m["name"], *(f"{m['scores'][d]['mean']:.2f}" for d in dimensions), f"{m['tokens_mean']:.0f}"]
        for m in result["models"]
    ]
    rows += [
        [f"{d['model']} - {d['against']}", *(words(d["scores"][n]) for n in dimensions), ""]
        for d in result["differences"]
    ]
    title = (
        f"{result['questions']} held-out questions, {result['samples']} answers each, rated 1-{result['scale']} by "
        f"{result['judge']}; paired difference with 95% interval"
    )
    table(title, ["model", *dimensions, "tokens"], rows)
