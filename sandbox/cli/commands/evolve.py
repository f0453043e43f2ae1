"""``sandbox evolve``: repeats simulation, training on the record, and simulation with the trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.commands.train import DimensionName, RewardName
from sandbox.cli.output import say, say_json, table
from sandbox.errors import SettingsError


@app.command()
def evolve(
    scenario: Annotated[str, typer.Argument(help="Name, ./path.py or module:object.")],
    trainer: Annotated[
        str, typer.Option(help="Trainer, or several (sft,dpo), of which the best is kept. See: sandbox ls trainers.")
    ] = "stable_alignment",
    generations: Annotated[int, typer.Option(help="Generations to train.", min=1)] = 3,
    base: Annotated[str, typer.Option(help="Model of generation 0.")] = "smollm2",
    size: Annotated[int | None, typer.Option(help="Side of the grid; default: the scenario's, or 4.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of each simulation.", min=1)] = 2,
    share: Annotated[float, typer.Option(help="Share of the agents that use the newest model, in (0, 1].")] = 1.0,
    begin: Annotated[
        str, typer.Option(help="last: train the last generation's model further; base: train from the base.")
    ] = "last",
    record: Annotated[
        str, typer.Option(help="all: train on the records of all generations; last: on the newest.")
    ] = "all",
    reward: RewardName = None,
    dimension: DimensionName = None,
    heldout: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,...",
            help="With --reward: settings in which each generation is tried, not trained, such as growth=1.3,stock=6; "
            "repeatable. Default: those of the training.",
        ),
    ] = None,
    societies: Annotated[
        int, typer.Option(help="With --reward: societies, with their own seeds, for each of these settings.", min=1)
    ] = 3,
    judge: Annotated[
        str,
        typer.Option(help="Judge outside the society: independent, reward:MODEL, or the URI of a model that rates."),
    ] = "independent",
    questions: Annotated[
        str | None, typer.Option(help="File of questions; default: the scenario's held-out questions.")
    ] = None,
    n_questions: Annotated[int | None, typer.Option(help="Use at most N questions.", min=1)] = None,
    samples: Annotated[int, typer.Option(help="Answers per question.", min=1)] = 1,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop when the raters' score rises and the judge's falls.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 0,
    out: Annotated[Path, typer.Option(help="Output folder; finished parts are not repeated.")] = Path("evolution"),
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Repeat: simulate, train on the record so far, simulate with the trained model; judge each generation.

    --set key=value applies to the society, --set train.key=value to all trainers, --set dpo.beta=0.2 to one trainer.
    """
    from sandbox import registry
    from sandbox.folders import subfolder
    from sandbox.store.manifest import command_line
    from trainers.evolution.evolution import Evolution
    from visualize.drawing.saving import save

    given = parse_settings(settings)
    training = {key.removeprefix("train."): value for key, value in given.items() if "." in key}
    society: dict[str, Any] = {key: value for key, value in given.items() if "." not in key}
    society |= {} if size is None else {"size": size}
    trainers = tuple(name.strip() for name in trainer.split(",") if name.strip())
    try:
        evolution = Evolution(
            scenario, out=out, training=training, settings=society, command=command_line(),
            trainers=trainers, generations=generations, base=base,
            rounds=rounds, share=share, begin=begin, record=record, reward=reward, dimension=dimension,
            heldout=tuple(heldout or ()), societies=societies, judge=judge,
            questions=questions, n_questions=n_questions, samples=samples, stop=stop, seed=seed,
        )  # fmt: skip
    except SettingsError as error:
        raise SettingsError(f"{error}{_of_trainers(trainers, society)}") from error
    result = evolution.run(on_stage=None if as_json else say)
    figure = save(registry.load("plots", "evolution")(out), subfolder(out, "figures") / "evolution.png")
    if as_json:
        say_json({"evolution": str(out), "figure": str(figure), **result})
        return
    _show(result)
    say(f"{out}: evolve.json and {figure.relative_to(out)}")


def _of_trainers(trainers: Sequence[str], society: Mapping[str, Any]) -> str:
    """How to give those of the settings that trainers have, and no society; empty if there are none."""
    from sandbox.scenario.settings import SocietySettings
    from trainers.base import trainer_class

    kinds = [getattr(trainer_class(name), "Settings", None) for name in trainers]
    names = {field.name for kind in kinds if kind is not None for field in fields(kind)}
    names -= {field.name for field in fields(SocietySettings)}
    found = [f"--set train.{name}={value}" for name, value in society.items() if name in names]
    return f"\nSettings of trainers are given as {' '.join(found)}" if found else ""


def _show(result: dict[str, Any]) -> None:
    if result["reward"] is not None:
        _show_outcome(result)
    if result["heldout_questions"]:
        _show_heldout(result)


def _show_outcome(result: dict[str, Any]) -> None:
    rows = []
    measures = list(result["generations"][0]["outcome"]["societies"][0]["measures"])
    for one in result["generations"]:
        found, gain = one["outcome"], one["outcome_since_first"]
        means = [[s["measures"][name] for s in found["societies"] if name in s["measures"]] for name in measures]
        rows.append(
            [
                str(one["generation"]),
                f"{one['trainer'] or '-'}{' (nothing to learn)' if one['unchanged'] else ''}",
                f"{found['reward']['mean']:.2f}" if found["reward"]["mean"] is not None else "-",
                _difference(gain) if gain else "",
                *(f"{sum(values) / len(values):.2f}" if values else "-" for values in means),
            ]
        )
    n = len(result["generations"][0]["outcome"]["societies"])
    settings = "; ".join(result["heldout"]) or "the settings of the training, other seeds"
    title = (
        f"reward {result['reward']} in {n} held-out societ{'y' if n == 1 else 'ies'} ({settings}); difference to generation 0, "
        "paired by society, 95%; means of the scenario's measures"
    )
    table(title, ["generation", "trainer", result["reward"], "gain", *measures], rows)


def _show_heldout(result: dict[str, Any]) -> None:
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
        f"({result['raters']}) and by a judge outside it ({result['judge']}); difference to generation 0, paired, 95%"
    )
    columns = ["generation", "trainer", "raters", "judge", "raters' gain", "judge's gain", "tokens", ""]
    table(title, columns, rows)


def _difference(score: dict[str, float | None]) -> str:
    if score["mean"] is None:
        return "-"
    if score["low"] is None:
        return f"{score['mean']:+z.2f}"
    return f"{score['mean']:+z.2f} [{score['low']:+z.2f}, {score['high']:+z.2f}]"
