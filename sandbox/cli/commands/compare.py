"""``sandbox compare``: compares trainers on the same record with the same budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.commands.train import DimensionName, RewardName
from sandbox.cli.output import say, say_json, table


@app.command()
def compare(
    sources: Annotated[list[str], typer.Argument(help="Run folders or files of ranked rows.", metavar="RUN|FILE...")],
    trainers: Annotated[str, typer.Option(help="Names, for example sft,dpo; or all. See: sandbox ls trainers.")],
    base: Annotated[str, typer.Option(help="Base model of every training.")] = "smollm2",
    out: Annotated[Path, typer.Option(help="Output folder; finished parts are not repeated.")] = Path("comparison"),
    seeds: Annotated[str, typer.Option(help="Number of seeds (3 means 0 to 2), or a list (3,7).")] = "3",
    tokens: Annotated[
        int | None, typer.Option(help="Budget in tokens; default: 3 passes over the ranked rows.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in steps instead of tokens.")] = None,
    rates: Annotated[
        str, typer.Option(help="Learning rates to try with each trainer, for example 1e-5,3e-5,1e-4; the best is used.")
    ] = "",
    pairs: Annotated[str | None, typer.Option(help="File of preference pairs, for preference accuracy.")] = None,
    n_pairs: Annotated[int | None, typer.Option(help="Use at most N pairs.")] = None,
    questions: Annotated[
        str | None, typer.Option(help="File of questions; default: the scenario's held-out questions.")
    ] = None,
    n_questions: Annotated[int | None, typer.Option(help="Use at most N questions.")] = None,
    scenario: Annotated[
        str, typer.Option(help="Scenario that provides the rubric and the held-out questions.")
    ] = "value_alignment",
    judge: Annotated[
        str, typer.Option(help="independent, values, reward:MODEL, or the URI of a model that rates.")
    ] = "independent",
    embedder: Annotated[str, typer.Option(help="Embedder of the values judge.")] = "minilm",
    samples: Annotated[int, typer.Option(help="Answers per question.")] = 1,
    reward: RewardName = None,
    dimension: DimensionName = None,
    workers: Annotated[
        str, typer.Option(help="Trainings in parallel, each with an equal share of the cores; or ray.")
    ] = "1",
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Train with several trainers on the same record and budget, and compare the results.

    --set key=value applies to all trainers, --set dpo.beta=0.2 to one.
    """
    from sandbox import registry
    from sandbox.folders import subfolder
    from sandbox.parallel import parse_workers
    from sandbox.sweep.grid import parse_seeds
    from visualize.drawing.saving import save

    names = [p.name for p in registry.plugins("trainers")] if trainers == "all" else _names(trainers)
    request: dict[str, Any] = {
        "base": base, "tokens": tokens, "steps": steps, "pairs": pairs, "n_pairs": n_pairs, "questions": questions,
        "n_questions": n_questions, "scenario": scenario, "judge": judge, "embedder": embedder,
        "samples": samples, "reward": reward, "dimension": dimension, "rates": _rates(rates), "workers": parse_workers(workers),
    }  # fmt: skip
    result = _compared(
        sources, names, out=out, seeds=parse_seeds(seeds), settings=parse_settings(settings), quiet=as_json, **request
    )
    figure = save(registry.load("plots", "trainers")(out), subfolder(out, "figures") / "trainers.png")
    if as_json:
        say_json({"comparison": str(out), "figure": str(figure), **result})
    else:
        _show(result)
        say(f"{out}: comparison.json, comparison.md and {figure.relative_to(out)}")
    if not any(entry["done"] for entry in result["trainers"]):
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _rates(text: str) -> tuple[float, ...]:
    from sandbox.errors import SettingsError

    try:
        return tuple(float(word) for word in _names(text))
    except ValueError:
        raise SettingsError(f"--rates takes numbers, for example 1e-5,3e-5; found {text!r}") from None


def _compared(sources: list[str], names: list[str], *, quiet: bool, **request: Any) -> dict[str, Any]:
    """Compare with a progress bar."""
    from contextlib import ExitStack

    from sandbox.folders import finite
    from sandbox.progress import progress
    from sandbox.store.manifest import command_line
    from trainers.comparison.compare import compare as run_comparison

    with ExitStack() as stack:
        shown: list[Any] = []

        def start(jobs: int, finished: int) -> None:
            if finished and not quiet:
                say(f"{finished} of {jobs} trainings and evaluations are already finished")
            shown.append(stack.enter_context(progress("comparison", jobs - finished, quiet=quiet)))

        def show(name: str, record: Mapping[str, Any]) -> None:
            shown[0](1, f"{name} {record['status']}")

        result = run_comparison(sources, names, command=command_line(), on_start=start, on_job=show, **request)
    # NaN is not JSON: an empty interval is null.
    return dict(finite(result))


def _show(result: dict[str, Any]) -> None:
    from trainers.comparison.summary import between_cells, between_title, cells, title
    from trainers.rows.format import left_out_note

    for words in result.get("alarms", []):
        say(f"warning: {words}")
    table(title(result), *cells(result))
    columns, rows = between_cells(result)
    if rows:
        table(between_title(result), columns, rows)
    for kind, statistics in result["rows"].items():
        if note := left_out_note(statistics.get("left_out", {})):
            say(f"note: {kind} rows: {note}")
    for entry in result["trainers"]:
        for note in entry["notes"]:
            say(f"note: {entry['name']}: {note}")
        for seed, error in entry["failed"].items():
            say(f"failed: {entry['name']}, seed {seed}: {error}")
