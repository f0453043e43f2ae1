"""``sandbox doctor``: checks a run before training on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json, table


@app.command()
def doctor(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    pairs: Annotated[
        str | None,
        typer.Option(help="Preference pairs to check ratings against; default: the scenario's labelled answers."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Scenario of the run, if it is no longer where the run found it.")
    ] = None,
    quality: Annotated[bool, typer.Option(help="Check ratings against labelled answers.")] = True,
    as_json: Json = False,
) -> None:
    """Check the quality of the feedback of a run before training, and report likely problems."""
    from sandbox.folders import finite
    from sandbox.store.run import open_run
    from trainers.diagnosis.doctor import diagnose

    found = diagnose(open_run(run), scenario=scenario, pairs=pairs, quality=quality)
    if as_json:
        say_json(finite(found))
        return
    for one in found["findings"]:
        say(f"{'ok  ' if one['ok'] else 'WARN'}  {one['words']}")
    if found["feedback"] and found["feedback"]["pairs"]:
        _show(found["feedback"])
        if card := found["feedback"].get("controls"):
            _show_card(card)


def _show(quality: dict[str, Any]) -> None:
    rows = [
        ["one neighbour", *_cells(quality["one"])],
        *([f"  upbringing {label}", *_cells(score)] for label, score in quality["by_label"].items()),
        [f"mean of {quality['k']:.1f} neighbours", *_cells(quality["mean_of_k"])],
        ["observer", *_cells(quality["observer"])],
    ]
    table(
        f"share of {quality['pairs']} pairs whose better answer is rated higher; chance is 0.50; {quality['source']}",
        ["rater", "accuracy", "95% over questions"],
        rows,
    )


def _show_card(card: dict[str, Any]) -> None:
    rows = [
        [who, f"{s['mean']:.2f}", "" if s["auc"] is None else f"{s['auc']:.2f}"] for who, s in card["speakers"].items()
    ]
    table(
        "observer on speakers of known worth: mean rating; AUC of people's good answers against the speaker",
        ["speaker", "mean", "AUC"],
        rows,
    )


def _cells(score: dict[str, float]) -> list[str]:
    if score["mean"] != score["mean"]:
        return ["-", "-"]
    return [
        f"{score['mean']:.2f}",
        "-" if score["low"] != score["low"] else f"{score['low']:.2f} to {score['high']:.2f}",
    ]
