"""``sandbox evolve``: a society whose language model learns from its own record, generation after generation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import say, say_json, table


@app.command()
def evolve(
    scenario: Annotated[str, typer.Argument(help="Name, ./path.py or module:object.")],
    trainer: Annotated[
        str, typer.Option(help="See: sandbox ls trainers. Of several, as sft,dpo, the best goes on.")
    ] = "stable_alignment",
    generations: Annotated[int, typer.Option(help="How many are trained.", min=1)] = 3,
    base: Annotated[str, typer.Option(help="The model of generation 0.")] = "smollm2",
    size: Annotated[int, typer.Option(help="Side of the grid.")] = 4,
    rounds: Annotated[int, typer.Option(help="Rounds of each society.", min=1)] = 2,
    share: Annotated[float, typer.Option(help="Share of the agents that speak through the newest model.")] = 1.0,
    begin: Annotated[str, typer.Option(help="Train the last generation's model on, or the base anew.")] = "last",
    record: Annotated[str, typer.Option(help="Learn from all societies so far, or from the last.")] = "all",
    judge: Annotated[
        str, typer.Option(help="Has no part in the society: independent, reward:MODEL, or a model URI to be asked.")
    ] = "independent",
    questions: Annotated[str | None, typer.Option(help="A file; by default the scenario's held-out ones.")] = None,
    n_questions: Annotated[int | None, typer.Option(help="Only the first so many of them.", min=1)] = None,
    samples: Annotated[int, typer.Option(help="Answers a question.", min=1)] = 1,
    stop: Annotated[bool, typer.Option("--stop", help="Stop where the society fools its own raters.")] = False,
    seed: Annotated[int, typer.Option(help="Keys every random stream.")] = 0,
    out: Annotated[Path, typer.Option(help="Its folder; what is finished there is not done again.")] = Path(
        "evolution"
    ),
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Simulate, train on the record so far, put the trained model back, and again; each generation is judged.

    --set key=value is for the society, --set train.key=value for the trainers, --set dpo.beta=0.2 for one of them.
    """
    from sandbox import registry
    from sandbox.store.manifest import command_line
    from trainers.evolution.evolution import Evolution

    given = parse_settings(settings)
    training = {key.removeprefix("train."): value for key, value in given.items() if "." in key}
    society = {key: value for key, value in given.items() if "." not in key}
    evolution = Evolution(
        scenario, out=out, training=training, settings={"size": size, **society}, command=command_line(),
        trainers=tuple(name.strip() for name in trainer.split(",") if name.strip()), generations=generations, base=base,
        rounds=rounds, share=share, begin=begin, record=record, judge=judge, questions=questions,
        n_questions=n_questions, samples=samples, stop=stop, seed=seed,
    )  # fmt: skip
    result = evolution.run(on_stage=None if as_json else say)
    figure = out / "figures" / "evolution.png"
    figure.parent.mkdir(exist_ok=True)
    registry.load("plots", "evolution")(out).savefig(figure)
    if as_json:
        say_json({"evolution": str(out), "figure": str(figure), **result})
        return
    _show(result)
    say(f"{out}: evolve.json and {figure.relative_to(out)}")


def _show(result: dict[str, Any]) -> None:
    dimension = result["dimensions"][0]
    judges = [result["raters"], result["judge"]]
    rows = []
    for one in result["generations"]:
        since = one["since_first"]
        rows.append(
            [
                str(one["generation"]),
                one["trainer"] or "-",
                *(f"{one['heldout'][judge][dimension]['mean']:.2f}" for judge in judges),
                *(_difference(since[judge][dimension]) if since else "" for judge in judges),
                f"{one['tokens_mean']:.0f}",
                one["verdict"] or "",
            ]
        )
    title = (
        f"held-out {dimension}, {result['heldout_questions']} questions, rated 1-{result['scale']} by the society's raters "
        f"({result['raters']}) and by a judge it never met ({result['judge']}); difference to generation 0, paired, 95%"
    )
    columns = ["generation", "trainer", "raters", "judge", "raters' gain", "judge's gain", "tokens", ""]
    table(title, columns, rows)


def _difference(score: dict[str, float | None]) -> str:
    if score["mean"] is None or score["low"] is None:
        return "-"
    return f"{score['mean']:+.2f} [{score['low']:+.2f}, {score['high']:+.2f}]"
