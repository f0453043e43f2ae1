"""``sandbox demo``: the whole loop, small, on the bundled model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json

# Sixteen agents and as many rounds as fit; few enough questions that each is answered by several agents.
SOCIETY: dict[str, Any] = {"size": 4, "population": "half_half", "n_questions": 40}
TRAINING: dict[str, Any] = {"epochs": 3}


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of everything; a stopped demo goes on in it.")] = Path("demo"),
    model: Annotated[str, typer.Option(help="What agents speak through and what is trained.")] = "smollm2",
    rounds: Annotated[int, typer.Option(help="Rounds of the society.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Keys every random stream.")] = 0,
    as_json: Json = False,
) -> None:
    """Simulate a 4x4 society, train on its record, compare, and write a report to open."""
    result = whole_loop(out, model=model, rounds=rounds, seed=seed, quiet=as_json)
    if as_json:
        say_json(result)


def whole_loop(
    out: Path, *, model: str, rounds: int, seed: int, quiet: bool, samples: int = 2,
    society: dict[str, Any] | None = None, training: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run, train, evaluate and report into one folder; parts that are done already are not done again."""
    import json

    from sandbox.cli.commands.evaluate import evaluate_to, show_evaluation
    from sandbox.cli.commands.run import simulate
    from sandbox.cli.commands.train import train_on
    from visualize.report import write_report

    def tell(text: str) -> None:
        if not quiet:
            say(text)

    tell(f"1. A society of {model} talks ({out / 'run'})")
    summary = simulate(
        "value_alignment", rounds=rounds, quiet=quiet, model=model, seed=seed, out=out / "run", resume=True,
        **(SOCIETY if society is None else society),
    )  # fmt: skip
    tell(f"2. Stable alignment on its record ({out / 'model'})")
    if not (out / "model" / "training.json").exists():
        settings = {"seed": seed, **(TRAINING if training is None else training)}
        train_on([str(out / "run")], "stable_alignment", model, out / "model", settings)
    tell(f"3. Base and trained answer questions that neither saw ({out / 'evaluation'})")
    kept = out / "evaluation" / "evaluation.json"
    if kept.exists():
        result = json.loads(kept.read_text(encoding="utf-8"))
    else:
        result = evaluate_to(
            kept.parent, [model, f"hf:{out / 'model'}"], names=["base", "trained"], samples=samples, seeds=[seed],
            quiet=quiet, resume=True,
        )  # fmt: skip
    if not quiet:
        show_evaluation(result)
    page = write_report(out)
    tell(f"Report: {page.resolve()}")
    return {"society": summary, "differences": result["differences"], "report": str(page)}
