"""``sandbox demo``: a small run of the whole loop on the bundled model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json

# Sixteen agents, and few enough questions that each is answered by several agents.
SOCIETY: dict[str, Any] = {"size": 4, "population": "half_half", "n_questions": 24}
TRAINING: dict[str, Any] = {"epochs": 3}


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Output folder; an interrupted demo resumes in it.")] = Path("demo"),
    model: Annotated[str, typer.Option(help="Model of the agents, and base of the training.")] = "smollm2",
    rounds: Annotated[int, typer.Option(help="Rounds to simulate.", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 0,
    upbringing: Annotated[
        str | None,
        typer.Option(help="As for run: adapter, the default for the bundled model, or memory, which is faster."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate a 4x4 society, train on its record, evaluate, and write an HTML report."""
    result = whole_loop(out, model=model, rounds=rounds, seed=seed, quiet=as_json, upbringing=upbringing)
    if as_json:
        say_json(result)


def whole_loop(
    out: Path, *, model: str, rounds: int, seed: int, quiet: bool, samples: int = 1,
    upbringing: str | None = None, society: dict[str, Any] | None = None, training: dict[str, Any] | None = None,
    evaluation: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run, train, evaluate and report into one folder; finished parts are not repeated."""
    import json

    from sandbox.cli.commands.evaluate import evaluate_to, show_evaluation
    from sandbox.cli.commands.run import bring_up, simulate
    from sandbox.cli.commands.train import train_on
    from sandbox.society.kept import repeated_by_command
    from visualize.report import write_report

    def tell(text: str) -> None:
        if not quiet:
            say(text)

    tell(f"1. Simulating a society of {model} ({out / 'run'})")
    settings = {"model": model, "seed": seed, **(SOCIETY if society is None else society)}
    settings |= bring_up("value_alignment", upbringing, settings, out=out / "run", resume=True, quiet=quiet)
    with repeated_by_command():
        summary = simulate("value_alignment", rounds=rounds, quiet=quiet, out=out / "run", resume=True, **settings)
    tell(f"2. Training by stable alignment on its record ({out / 'model'})")
    if not (out / "model" / "training.json").exists():
        settings = {"seed": seed, **(TRAINING if training is None else training)}
        trained = train_on([str(out / "run")], "stable_alignment", model, out / "model", settings)
        for note in trained.notes:
            tell(f"note: {note}")
    tell(f"3. Evaluating base and trained model on held-out questions ({out / 'evaluation'})")
    kept = out / "evaluation" / "evaluation.json"
    if kept.exists():
        result = json.loads(kept.read_text(encoding="utf-8"))
    else:
        result = evaluate_to(
            kept.parent, [model, f"hf:{out / 'model'}"], names=["base", "trained"], samples=samples, seeds=[seed],
            quiet=quiet, resume=True, **(evaluation or {}),
        )  # fmt: skip
    if not quiet:
        show_evaluation(result)
    page = write_report(out)
    tell(f"Report: {page.resolve()}")
    return {"society": summary, "differences": result["differences"], "report": str(page)}
