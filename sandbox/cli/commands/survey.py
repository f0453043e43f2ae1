"""``sandbox survey`` and ``sandbox validate``: questions to the agents of a run, and their answers against those of people."""

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
        str | None, typer.Option(help="Scenario of the run, if it is no longer where the run found it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .csv, .parquet or .jsonl file; default: RUN/survey/QUESTIONS.csv.")
    ] = None,
    in_flight: Annotated[int, typer.Option(help="Maximum number of concurrent questions.", min=1)] = 1024,
    settings: Settings = [],  # noqa: B006 (typer reads the default)
    as_json: Json = False,
) -> None:
    """Let every agent of a run answer a survey; the run and the agents' memories stay as they are."""
    from sandbox.folders import refuse_link
    from sandbox.progress import progress
    from sandbox.store.run import open_run
    from sandbox.survey.run_survey import survey_run
    from sandbox.survey.table import FOLDER
    from sandbox.typed_settings import parameters
    from sandbox.world import World

    given = parse_settings(settings, survey, {*parameters(survey_run), *parameters(World)})
    opened = open_run(run)
    path = out or refuse_link(run / FOLDER) / f"{Path(questions).stem}.csv"
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
            on_ended=lambda ended: show[0](ended), **given,
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
    say(
        f"{done['file']}: {done['answers']} answers of {done['agents']} agents. Compare them with people: sandbox validate "
        f"{done['file']} HUMAN.csv"
    )


@app.command()
def validate(
    source: Annotated[Path, typer.Argument(metavar="SURVEY", help="File of a survey, or a run folder that has one.")],
    people: Annotated[
        Path,
        typer.Argument(
            metavar="HUMAN", help="Table of people's answers: question_id, answer; respondent, weight, subgroups."
        ),
    ],
    by: Annotated[
        str | None, typer.Option(help="Column of both tables; also compare within each of its values.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the result: a .json, .csv, .parquet or .jsonl file.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.", min=1, max=100_000)] = 1000,
    splits: Annotated[int, typer.Option(help="Random halves of the people.", min=1, max=100_000)] = 200,
    seed: Annotated[int, typer.Option(help="Seed of resamples and halves.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Compare agents' answers to a survey with those of people: distances, scores, intervals, and a ceiling."""
    from sandbox.survey.table import check_format
    from sandbox.survey.validation import validate_survey, write_validation

    if out is not None and out.suffix != ".json":
        check_format(out)
    found = validate_survey(source, people, by=by, resamples=resamples, splits=splits, seed=seed)
    if out is not None:
        write_validation(found, out)
    if as_json:
        say_json(found)
        return
    _show_comparison(found)
    if out is not None:
        say(str(out))


def _show_comparison(found: dict[str, Any]) -> None:
    head = ["question", "at", *([found["by"]] if found["by"] else []), "agents", "people"]
    rows = []
    for one in [*found["questions"], *found["overall"]]:
        place = [one.get("question_id", f"mean of {one.get('n_questions')}"), str(one["at"])]
        group = [one["group"] or "all"] if found["by"] else []
        counts = [str(one.get(name, "")) for name in ("n_agents", "n_people")]
        rows.append([*place, *group, *counts, *_measures_of(one), *_measures_of(one, ceiling=True)])
    table(
        "agents against people: TV, total variation distance (0: equal); W, Wasserstein distance; KS; score, 100 for people's "
        "distribution and 0 for a uniform guess; 95% bootstrap intervals; ceiling: one half of the people against the other",
        [*head, "TV", "W", "KS", "score", "TV ceiling", "score ceiling"],
        rows,
    )
    for note in found["notes"]:
        say(f"note: {note}")


def _measures_of(one: dict[str, Any], *, ceiling: bool = False) -> list[str]:
    if ceiling:
        return [
            _number(one["ceiling"].get("tv"), 2, bounds=False),
            _number(one["ceiling"].get("score"), 0, bounds=False),
        ]
    return [
        _number(one.get("tv"), 2), _number(one.get("wasserstein"), 2, bounds=False), _number(one.get("ks"), 2, bounds=False),
        _number(one.get("score"), 0),
    ]  # fmt: skip


def _number(given: dict[str, float | None] | None, digits: int, *, bounds: bool = True) -> str:
    if given is None:
        return "-"
    low, high, value = given["low"], given["high"], given["value"]
    if not bounds or low is None or high is None:
        return f"{value:z.{digits}f}"
    return f"{value:z.{digits}f} [{low:z.{digits}f}, {high:z.{digits}f}]"
