"""``sandbox survey``: questions to the agents of a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sandbox.cli.app import Json, Settings, app, parse_settings
from sandbox.cli.output import say, say_json, table

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def survey(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    questions: Annotated[
        str,
        typer.Argument(
            help="Table of questions: columns question, and if needed id, kind, options (a|b|c), low, high."
        ),
    ],
    at: Annotated[
        str, typer.Option(help="Rounds after which to ask: 0 (before the first), 2, last, or 0,2,last.")
    ] = "last",
    model: Annotated[str | None, typer.Option(help="Model that answers; default: the model of the run.")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Scenario of the run, if its name alone does not find it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .csv, .parquet or .jsonl file; default: RUN/survey/QUESTIONS.csv.")
    ] = None,
    in_flight: Annotated[int, typer.Option(help="Maximum number of concurrent questions.", min=1)] = 1024,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Let every agent of a run answer a survey; the run and the agents' memories stay as they are."""
    from sandbox.folders import subfolder
    from sandbox.progress import progress
    from sandbox.store.run import open_run
    from sandbox.survey.run_survey import survey_run
    from sandbox.survey.table import FOLDER

    opened = open_run(run)
    path = out or subfolder(run, FOLDER) / f"{Path(questions).stem}.csv"
    notes: list[str] = []
    with ExitStack() as stack:
        show: list[Any] = []

        def begin(answers: int, said: Sequence[str]) -> None:
            notes.extend(said)
            for note in [] if as_json else said:
                say(f"note: {note}")
            show.append(stack.enter_context(progress("asking", answers, quiet=as_json)))

        frame = survey_run(
            opened, questions, at=at, model=model, scenario=scenario, out=path, in_flight=in_flight, on_begin=begin,
            on_ended=lambda ended: show[0](ended), **parse_settings(settings),
        )  # fmt: skip
    done = _summary(frame) | {"run": str(run), "file": str(path), "notes": notes}
    if as_json:
        say_json(done)
    else:
        _show_answers(done)
    if done["answers"] and done["failed"] == done["answers"]:
        raise typer.Exit(1)


def _summary(frame: pd.DataFrame) -> dict[str, Any]:
    """Count the answers, and describe those to each question in each round."""
    from sandbox.survey.table import summaries

    failed, unreadable = frame[frame["error"].notna()], frame[frame["raw"].notna()]
    return {
        "answers": len(frame),
        "agents": int(frame["agent"].nunique()),
        "at": [int(at) for at in frame["at"].unique()],
        "failed": len(failed),
        "first_error": None if failed.empty else str(failed["error"].iloc[0]),
        "unreadable": len(unreadable),
        "first_unreadable": None if unreadable.empty else str(unreadable["raw"].iloc[0]),
        "questions": summaries(frame),
    }


def _show_answers(done: dict[str, Any]) -> None:
    rows = [
        [one["question_id"], str(one["at"]), one["question"][:60], str(one["n"]), one["answers"]]
        for one in done["questions"]
    ]
    table("answers by question and number of rounds", ["id", "at", "question", "n", "answers"], rows)
    if done["failed"]:
        say(f"failed: {done['failed']} of {done['answers']} answers, the first: {done['first_error']}")
    if done["unreadable"]:
        say(
            f"answers that could not be read: {done['unreadable']} of {done['answers']}, the first: "
            f"{done['first_unreadable']!r}"
        )
    say(f"{done['file']}: {done['answers']} answers of {done['agents']} agents")
