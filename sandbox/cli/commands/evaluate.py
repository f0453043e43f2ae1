"""``sandbox evaluate``: what models are worth, in any mix of measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import say, say_json, table


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="Model URIs; the first is what others are compared with.")],
    questions: Annotated[
        str | None,
        typer.Option(help="A file, or a scenario: its held-out ones. The default if nothing else is asked for."),
    ] = None,
    adversarial: Annotated[
        bool, typer.Option("--adversarial", help="Ask them under six kinds of pressure too; see what is lost.")
    ] = False,
    pairs: Annotated[
        str | None, typer.Option(help="A file of preferences: are better answers likelier per token?")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="For --pairs: a model from which implicit rewards are seen too.")
    ] = None,
    choices: Annotated[
        str | None, typer.Option(help="A file of {question, choices, answer}: is the right choice the likeliest?")
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Names or folders, as a,b, for lm-evaluation-harness (an extra: tasks).")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Items of each of the tasks at most.", min=1)] = None,
    side_effects: Annotated[
        bool, typer.Option("--side-effects", help="Refusals of harmless questions, perplexity, length, diversity.")
    ] = False,
    scenario: Annotated[str, typer.Option(help="Brings the rubric and the held-out questions.")] = "value_alignment",
    judge: Annotated[
        list[str] | None,
        typer.Option(help="values, independent, reward:MODEL, or a model URI to be asked; may be repeated."),
    ] = None,
    samples: Annotated[int, typer.Option(help="Answers a question and seed.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Keys the answers' random streams.")] = 0,
    seeds: Annotated[str | None, typer.Option(help="Several instead: how many (3 is 0 to 2), or which (3,7).")] = None,
    out: Annotated[Path | None, typer.Option(help="The results' folder; by default evaluations/N.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with one that was broken off: no model is asked twice.")
    ] = False,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Compare models: judged answers to questions they never saw, likelihoods, benchmarks, side effects, in any mix."""
    from sandbox.errors import SettingsError
    from sandbox.folders import next_free_name
    from sandbox.sweep.grid import parse_seeds

    if resume and out is None:
        raise SettingsError("--resume needs --out: the folder of the evaluation that was broken off")
    target = out or next_free_name(Path("evaluations"), "evaluation")
    more: dict[str, Any] = dict(parse_settings(settings))
    result = evaluate_to(
        target, models, quiet=as_json, resume=resume, questions=questions, adversarial=adversarial, pairs=pairs,
        reference=reference, choices=choices, tasks=tuple(name.strip() for name in tasks.split(",")) if tasks else (),
        limit=limit, side_effects=side_effects, scenario=scenario, judge=judge or ["values"], samples=samples,
        seeds=parse_seeds(seeds) if seeds else [seed], **more,
    )  # fmt: skip
    if as_json:
        say_json(result)
        return
    show_evaluation(result)
    say(
        f"{target}: " + ", ".join(str(path.relative_to(target)) for path in sorted(target.rglob("*")) if path.is_file())
    )


def evaluate_to(
    out: Path, models: Sequence[str], *, quiet: bool, resume: bool = False, names: list[str] | None = None,
    questions: str | None = None, adversarial: bool = False, pairs: str | None = None, reference: str | None = None,
    choices: str | None = None, tasks: tuple[str, ...] = (), limit: int | None = None, side_effects: bool = False,
    **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate with progress, and write all results into a folder; settings are those of ``run_suite``.

    Replies are kept in the folder until it is done: ``resume`` goes on with one that was broken off.
    """
    from functools import partial

    from sandbox import registry
    from sandbox.errors import SandboxError
    from sandbox.folders import finite
    from sandbox.progress import progress
    from sandbox.store.manifest import command_line
    from trainers.evaluation.call_log import EvaluationCallLog
    from trainers.evaluation.suite import SuiteSettings, run_suite, write_suite

    calls, target = EvaluationCallLog(out, resume=resume), out / "evaluation.json"
    if target.exists() and not calls.path.exists():
        raise SandboxError(f"{target} exists; choose another --out")
    parts = SuiteSettings(
        questions=questions, adversarial=adversarial, pairs=pairs, reference=reference, choices=choices, tasks=tasks,
        limit=limit, side_effects=side_effects,
    )  # fmt: skip
    if len(calls) and not quiet:
        say(f"{out}: goes on; {len(calls):,} replies are kept")
    result = run_suite(models, parts, names=names, progress=partial(progress, quiet=quiet), log=calls, **settings)
    # NaN is not JSON: an interval of nothing is null.
    result = dict(finite({**result, "command": command_line()}))
    target.unlink(missing_ok=True)  # there is one only if its figures were still to be drawn
    write_suite(result, out)
    (out / "figures").mkdir(exist_ok=True)
    for name in ["comparison"] * bool(result["models"]) + ["scorecard"]:
        registry.load("plots", name)(out).savefig(out / "figures" / f"{name}.png")
    calls.remove()
    return result


def show_evaluation(result: dict[str, Any]) -> None:
    """Print the tables of an evaluation, after what its reader should know first."""
    from trainers.evaluation.tables import tables

    for words in result.get("alarms", []):
        say(f"mind: {words}")
    for title, columns, rows in tables(result):
        table(title, columns, rows)
