"""``sandbox evaluate``: evaluates and compares models, with any combination of measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import say, say_json, table


@app.command()
def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Model URIs; the others are compared with the first. May be empty with --controls."),
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(help="File, or scenario whose held-out questions are used; default if nothing else is selected."),
    ] = None,
    adversarial: Annotated[
        bool, typer.Option("--adversarial", help="Also ask each question under six kinds of adversarial pressure.")
    ] = False,
    pairs: Annotated[
        str | None, typer.Option(help="File of preference pairs: preference accuracy by mean log-probability.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="With --pairs: reference model for implicit rewards.")] = None,
    choices: Annotated[
        str | None, typer.Option(help="File of {question, choices, answer}: multiple-choice accuracy.")
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Names or folders, for example a,b, for lm-evaluation-harness (extra: tasks).")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use at most N items of each task.", min=1)] = None,
    side_effects: Annotated[
        bool,
        typer.Option(
            "--side-effects", help="Measure refusals of harmless questions, perplexity, length and diversity."
        ),
    ] = False,
    scenario: Annotated[
        str, typer.Option(help="Scenario that provides the rubric and the held-out questions.")
    ] = "value_alignment",
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="independent, values, reward:MODEL, or the URI of a model that rates; repeatable. Default: independent."
        ),
    ] = None,
    controls: Annotated[
        bool | None,
        typer.Option(
            "--controls/--no-controls",
            help="Check judges with speakers of known worth, made from labelled answers or --pairs. "
            "Default: a short check of judges that learn from labelled answers.",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Answers per question and seed.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the answers.")] = 0,
    seeds: Annotated[
        str | None, typer.Option(help="Several seeds: their number (3 means 0 to 2), or a list (3,7).")
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            help="Approximate cap in US dollars on calls to models on servers, at list prices or those of "
            "--set model.price_prompt=... and model.price_completion=..., for all of them."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: evaluations/evaluation-N.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted evaluation in --out; no call is repeated.")
    ] = False,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Compare models by judged answers to held-out questions, likelihoods, benchmarks and side effects, in any combination."""
    from sandbox.errors import SettingsError
    from sandbox.folders import next_free_name
    from sandbox.sweep.grid import parse_seeds
    from sandbox.typed_settings import parameters

    if resume and out is None:
        raise SettingsError("--resume needs --out: the folder of the interrupted evaluation")
    target = out or next_free_name(Path("evaluations"), "evaluation")
    taken = {*parameters(evaluate_to), "judge", "samples", "scenario", "seeds", "parts", "log", "progress"} - {"names"}
    more: dict[str, Any] = dict(parse_settings(settings, evaluate, taken))
    result = evaluate_to(
        target, models or [], quiet=as_json, resume=resume, questions=questions, adversarial=adversarial, pairs=pairs,
        reference=reference, choices=choices, tasks=tuple(name.strip() for name in tasks.split(",")) if tasks else (),
        limit=limit, side_effects=side_effects, scenario=scenario, judge=judge or None, controls=controls, samples=samples,
        seeds=parse_seeds(seeds) if seeds else [seed], max_cost=max_cost, **more,
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
    controls: bool | None = None, max_cost: float | None = None,
    **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate with progress and write all results into a folder; settings are those of ``run_suite``.

    Replies are kept in the folder until the evaluation has finished; ``resume`` continues an interrupted one.
    """
    from functools import partial

    from sandbox import registry
    from sandbox.errors import SandboxError
    from sandbox.folders import finite, locked, removed_if_refused, subfolder
    from sandbox.progress import progress
    from sandbox.store.manifest import command_line
    from trainers.evaluation.call_log import FILE, EvaluationCallLog
    from trainers.evaluation.suite import SuiteSettings, run_suite, write_suite
    from visualize.drawing.saving import save

    target = out / "evaluation.json"
    prices = None if max_cost is None else _prices(max_cost, models, settings)
    with removed_if_refused(out, (out / FILE).is_file), locked(out / "evaluation.lock", keep=False):
        calls = EvaluationCallLog(out, resume=resume, max_cost=max_cost, prices=prices)
        if target.exists() and not calls.path.exists():
            raise SandboxError(f"{target} exists; choose another --out")
        parts = SuiteSettings(
            questions=questions, adversarial=adversarial, pairs=pairs, reference=reference, choices=choices, tasks=tasks,
            limit=limit, side_effects=side_effects, controls=controls,
        )  # fmt: skip
        if len(calls) and not quiet:
            say(f"{out}: resuming; {len(calls):,} replies are kept")
        result = run_suite(models, parts, names=names, progress=partial(progress, quiet=quiet), log=calls, **settings)
        # NaN is not JSON: an empty interval is null.
        result = dict(finite({**result, "command": command_line()}))
        target.unlink(missing_ok=True)  # it exists only if the figures had not been drawn yet
        write_suite(result, out)
        has_scores = result["models"] or any(part in result for part in ("pairs", "choices", "side_effects", "tasks"))
        for name in ["comparison"] * bool(result["models"]) + ["scorecard"] * bool(has_scores):
            save(registry.load("plots", name)(out), subfolder(out, "figures") / f"{name}.png")
        calls.remove()
        return result


def _prices(max_cost: float, models: Sequence[str], settings: dict[str, Any]) -> tuple[float, float] | None:
    """Take the prices of the models on servers out of the settings, or from their vendors' lists; None where none is known.

    Raises:
        SettingsError: they are no prices, or no model and no judge is on a server.
    """
    from sandbox.errors import SettingsError
    from sandbox.models.remote.prices import is_served
    from sandbox.typed_settings import typed

    names = ("model.price_prompt", "model.price_completion")
    given = typed("sandbox evaluate", {n: settings.pop(n) for n in names if n in settings}, dict.fromkeys(names, float))
    if wrong := [f"{name}={price}" for name, price in given.items() if not 0 <= price < float("inf")]:
        raise SettingsError(f"{', '.join(wrong)}: prices must be 0 or more, in US dollars per million tokens")
    served = [uri for uri in map(str, (*models, *(settings.get("judge") or ()))) if is_served(uri)]
    if not served:
        raise SettingsError(
            f"--max-cost {max_cost:g} has nothing to cap: no model and no judge is on a server (openai:...)"
        )
    if given:
        return given.get(names[0], 0.0), given.get(names[1], 0.0)
    return _listed(served)


def _listed(uris: Iterable[str]) -> tuple[float, float] | None:
    """The highest list prices among models on servers; None if one of them is not listed."""
    from sandbox.models.remote.prices import uri_prices

    found = [uri_prices(uri) for uri in uris]
    known = [one for one in found if one is not None]
    return (max(p[0] for p in known), max(p[1] for p in known)) if len(known) == len(found) else None


def show_evaluation(result: dict[str, Any]) -> None:
    """Print the warnings and the tables of an evaluation."""
    from trainers.evaluation.tables import tables

    for words in result.get("alarms", []):
        say(f"warning: {words}")
    for words in result.get("notes", []):
        say(f"note: {words}")
    for title, columns, rows in tables(result):
        table(title, columns, rows)
