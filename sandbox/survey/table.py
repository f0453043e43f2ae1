"""The table of a survey: one row per round, agent and question; written and read as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.data_files import read_table
from sandbox.errors import DataFileError, NothingToShow, SettingsError
from sandbox.folders import whole_file
from sandbox.store.run import Run, is_run
from sandbox.survey.answers import SurveyAnswer
from sandbox.text_cleaning import plain_cell

if TYPE_CHECKING:
    import pandas as pd

ABOUT = ("run", "at", "agent", "name", "label")
ANSWERED = (
    "question_id", "question", "kind", "options", "answer", "number", "probabilities", "low", "high", "raw", "error"
)  # fmt: skip
FOLDER = "survey"
FORMATS = (".csv", ".parquet", ".jsonl")


def survey_table(run: Run, answers: Sequence[tuple[int, SurveyAnswer]]) -> pd.DataFrame:
    """Make the table of a survey.

    Args:
        run: The run.
        answers: (number of complete rounds, answer).

    Returns:
        Columns ``run``, ``at`` (0 for before the first round), ``agent``, ``name``, ``label``; the columns of the personas,
        as ``persona.COLUMN`` where another column has the name; ``question_id``, ``question``, ``kind``, ``options``
        (separated by ``|``), ``answer``, ``number``, ``probabilities`` (JSON, in the order of the options), ``low``, ``high``,
        ``raw`` (a reply that could not be read) and ``error`` (why a call failed). What does not apply is missing.
    """
    import pandas as pd

    people, personas = run.agents(), run.personas()
    names, labels = people["name"].tolist(), people["label"].tolist()
    own = list(dict.fromkeys(column for row in personas for column in row if column != "name"))
    named = {column: f"persona.{column}" if column in (*ABOUT, *ANSWERED) else column for column in own}
    rows = []
    for at, given in answers:
        question, number = given.question, given.agent
        rows.append(
            {
                "run": str(run.path), "at": at, "agent": number, "name": names[number], "label": labels[number],
                **{named[column]: value for column, value in personas[number].items() if column in named},
                "question_id": question.id, "question": question.question, "kind": question.kind,
                "options": "|".join(question.options) or None, "answer": given.answer, "number": given.number,
                "probabilities": _as_json(given), "low": question.low, "high": question.high,
                "raw": given.raw or None, "error": given.error,
            }
        )  # fmt: skip
    columns = [*ABOUT, *named.values(), *ANSWERED]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(("number", "low", "high"), "float64"))


def _as_json(given: SurveyAnswer) -> str | None:
    if not given.probabilities:
        return None
    return json.dumps({option: round(p, 6) for option, p in given.probabilities.items()}, ensure_ascii=False)


def check_format(path: Path) -> None:
    """Refuse a file whose format is not known.

    Raises:
        SettingsError: names the formats.
    """
    if path.suffix not in FORMATS or path.is_dir():
        raise SettingsError(f"--out {path} is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file; name one")


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table to a CSV, Parquet or JSONL file, atomically; texts that spreadsheets would run get an apostrophe in CSV."""
    check_format(path)
    with whole_file(path) as fresh:
        if path.suffix == ".csv":
            frame.map(plain_cell).to_csv(fresh, index=False)
        elif path.suffix == ".parquet":
            frame.to_parquet(fresh, index=False)
        else:
            frame.to_json(fresh, orient="records", lines=True, force_ascii=False)


def find_survey(source: str | Path) -> Path:
    """The file of a survey, given it or the folder of its run.

    Raises:
        NothingToShow: no survey of the run is in its folder.
        SettingsError: there are several.
    """
    path = Path(source)
    if not is_run(path):
        return path
    found = sorted(one for one in (path / FOLDER).glob("*") if one.suffix in FORMATS and not one.name.startswith("."))
    if not found:
        raise NothingToShow(f"{path} has no survey; make one with: sandbox survey {path} QUESTIONS.csv")
    if len(found) > 1:
        raise SettingsError(f"{path} has several surveys; name one of {', '.join(map(str, found))}")
    return found[0]


def read_answers(source: str | Path) -> list[dict[str, Any]]:
    """Read the rows of a survey's file.

    Raises:
        DataFileError: the file cannot be read, or is not a survey.
    """
    rows = read_table(source)
    needed = ("at", "agent", "question_id", "question", "kind", "answer")
    missing = [name for name in needed if rows and name not in rows[0]]
    if missing or not rows:
        raise DataFileError(
            f"{source} has {'no column ' + ', '.join(missing) if rows else 'no rows'}; expected a table written by sandbox "
            "survey"
        )
    return [{name: _as_given(value) for name, value in row.items()} for row in rows]


def _as_given(value: Any) -> Any:
    """A cell as it was before :func:`~sandbox.text_cleaning.plain_cell`; None for an empty one."""
    if value == "" or value != value:
        return None
    if isinstance(value, str) and value.startswith("'") and plain_cell(value[1:]) == value:
        return value[1:]
    return value


def summaries(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Describe the answers to each question in each round.

    Args:
        frame: The table of a survey.

    Returns:
        ``question_id``, ``at``, ``question``, ``n`` (answers that could be read) and ``answers``: shares of the options, the
        mean and standard deviation of numbers, or the number of different texts.
    """
    found = []
    for key, group in frame.groupby(["at", "question_id"], sort=False):
        at, name = str(key[0]), str(key[1])
        kind, question = group["kind"].iloc[0], group["question"].iloc[0]
        good = group[group["answer"].notna()]
        about = {"question_id": name, "at": int(at), "question": str(question), "n": len(good)}
        found.append(about | {"answers": _described(kind, good)})
    return found


def _described(kind: str, good: pd.DataFrame) -> str:
    if good.empty:
        return "-"
    if kind == "number":
        spread = good["number"].std(ddof=0)
        return f"mean {good['number'].mean():.2f}, standard deviation {spread:.2f}"
    if kind == "text":
        return f"{good['answer'].nunique()} different texts"
    shares = [json.loads(text) for text in good["probabilities"]]
    return ", ".join(f"{option} {sum(one[option] for one in shares) / len(shares):.0%}" for option in shares[0])
