"""``sandbox compare``: which trainer learns most from the same record with the same budget?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import say, say_json, table


@app.command()
def compare(
    sources: Annotated[list[str], typer.Argument(help="Run folders, or files of ranked rows.", metavar="RUN|FILE...")],
    trainers: Annotated[str, typer.Option(help="Names, as sft,dpo; or all. See: sandbox ls trainers.")],
    base: Annotated[str, typer.Option(help="The model that all begin with.")] = "smollm2",
    out: Annotated[Path, typer.Option(help="Its folder; what is finished there is not done again.")] = Path(
        "comparison"
    ),
    seeds: Annotated[str, typer.Option(help="How many (3 is 0 to 2), or which (3,7).")] = "3",
    tokens: Annotated[int | None, typer.Option(help="Budget; by default 3 passes over the ranked rows.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in steps instead.")] = None,
    pairs: Annotated[str | None, typer.Option(help="A file of preferences, for preference accuracy.")] = None,
    n_pairs: Annotated[int | None, typer.Option(help="Only the first so many of them.")] = None,
    questions: Annotated[str | None, typer.Option(help="A file; by default the scenario's held-out ones.")] = None,
    n_questions: Annotated[int | None, typer.Option(help="Only the first so many of them.")] = None,
    scenario: Annotated[str, typer.Option(help="Brings the rubric and the held-out questions.")] = "value_alignment",
    judge: Annotated[str, typer.Option(help="values, reward:MODEL, or a model URI to be asked.")] = "values",
    embedder: Annotated[str, typer.Option(help="Of the values judge.")] = "minilm",
    samples: Annotated[int, typer.Option(help="Answers a question.")] = 1,
    workers: Annotated[
        str, typer.Option(help="Trainings side by side, each with its share of the cores; or ray.")
    ] = "1",
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Train several trainers on the same record with the same budget, and compare what they learnt.

    --set key=value is for all of the trainers, --set dpo.beta=0.2 for one.
    """
    from sandbox import registry
    from sandbox.parallel import parse_workers
    from sandbox.sweep.grid import parse_seeds

    names = [p.name for p in registry.plugins("trainers")] if trainers == "all" else _names(trainers)
    request: dict[str, Any] = {
        "base": base, "tokens": tokens, "steps": steps, "pairs": pairs, "n_pairs": n_pairs, "questions": questions,
        "n_questions": n_questions, "scenario": scenario, "judge": judge, "embedder": embedder,
        "samples": samples, "workers": parse_workers(workers),
    }  # fmt: skip
    result = _compared(
        sources, names, out=out, seeds=parse_seeds(seeds), settings=parse_settings(settings), quiet=as_json, **request
    )
    figure = out / "figures" / "trainers.png"
    figure.parent.mkdir(exist_ok=True)
    registry.load("plots", "trainers")(out).savefig(figure)
    if as_json:
        say_json({"comparison": str(out), "figure": str(figure), **result})
    else:
        _show(result)
        say(f"{out}: comparison.json, comparison.md and {figure.relative_to(out)}")
    if not any(entry["done"] for entry in result["trainers"]):
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


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
                say(f"{finished} of {jobs} trainings and evaluations are finished already")
            shown.append(stack.enter_context(progress("comparison", jobs - finished, quiet=quiet)))

        def show(name: str, record: Mapping[str, Any]) -> None:
            shown[0](1, f"{name} {record['status']}")

        result = run_comparison(sources, names, command=command_line(), on_start=start, on_job=show, **request)
    # NaN is not JSON: an interval of nothing is null.
    return dict(finite(result))


def _show(result: dict[str, Any]) -> None:
    from trainers.comparison.summary import cells, title

    table(title(result), *cells(result))
    for entry in result["trainers"]:
        for seed, error in entry["failed"].items():
            say(f"failed: {entry['name']}, seed {seed}: {error}")
