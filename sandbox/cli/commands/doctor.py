"""``sandbox doctor``: is a run worth training on?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json, table


@app.command()
def doctor(
    run: Annotated[Path, typer.Argument(help="A run.")],
    pairs: Annotated[
        str | None,
        typer.Option(help="Preferences to check ratings against; by default the scenario's labelled answers."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="What the run was about, if its name alone does not find it.")
    ] = None,
    quality: Annotated[bool, typer.Option(help="Check ratings against labelled answers.")] = True,
    as_json: Json = False,
) -> None:
    """Say whether a run is worth training on: how good its feedback is, and what may spoil it."""
    from sandbox.folders import finite
    from sandbox.store.run import open_run
    from trainers.diagnosis.doctor import diagnose

    found = diagnose(open_run(run), scenario=scenario, pairs=pairs, quality=quality)
    if as_json:
        say_json(finite(found))
        return
    for one in found["findings"]:
        say(f"{'ok  ' if one['ok'] else 'MIND'}  {one['words']}")
    if found["feedback"] and found["feedback"]["pairs"]:
        _show(found["feedback"])


def _show(quality: dict[str, Any]) -> None:
    rows = [
        ["one neighbour", *_cells(quality["one"])],
        *([f"  brought up {label}", *_cells(score)] for label, score in quality["by_label"].items()),
        [f"mean of {quality['k']:.1f} neighbours", *_cells(quality["mean_of_k"])],
        ["observer", *_cells(quality["observer"])],
    ]
    table(
        f"share of {quality['pairs']} pairs whose better answer is rated higher; chance is 0.50; {quality['source']}",
        ["rater", "accuracy", "95% over questions"],
        rows,
    )


def _cells(score: dict[str, float]) -> list[str]:
    if score["mean"] != score["mean"]:
        return ["-", "-"]
    return [
        f"{score['mean']:.2f}",
        "-" if score["low"] != score["low"] else f"{score['low']:.2f} to {score['high']:.2f}",
    ]
