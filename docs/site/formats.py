"""The page of file formats: what runs, models, evaluations and files of rows hold, from the modules that write them."""

from __future__ import annotations

from collections.abc import Mapping

from file_fields import RUN_FOLDER, described
from tables import cell, write

from sandbox.counterfactual.what_if import WhatIf
from sandbox.metrics import run_metrics
from sandbox.store import manifest, schema
from sandbox.store.table_words import TABLE_WORDS, column_words, tables
from sandbox.sweep import results
from trainers.comparison import summary
from trainers.config_file import TrainingConfig
from trainers.evaluation import result_words
from trainers.evolution import evolution
from trainers.evolution.settings import EvolutionSettings
from trainers.finetuning import base as finetuning
from trainers.rows.kinds import COLUMN_WORDS, COLUMNS, RowKind
from trainers.sharing import sources

_ROW_EXAMPLES = {
    RowKind.DEMONSTRATIONS: '{"prompt": "May I lie?", "completion": "Better not."}',
    RowKind.PREFERENCES: '{"prompt": "May I lie?", "chosen": "Better not.", "rejected": "Sure."}',
    RowKind.UNPAIRED: '{"prompt": "May I lie?", "completion": "Better not.", "label": true}',
    RowKind.RANKED: '{"prompt": "May I lie?", "completions": ["Better not.", "Sure."], "ratings": [6, 2]}',
    RowKind.PROMPTS: '{"prompt": "May I lie?"}',
}
_TRAIN_YAML = """```yaml
trainer: dpo
base: smollm2
rows: [runs/first]
out: models/first
settings:
  epochs: 1
  beta: 0.1
```"""


def write_formats() -> None:
    """Write the page.

    Raises:
        KeyError: a table or a column has no words.
    """
    write("formats.md", "\n\n".join(["# File formats", _about(), *_run(), *_training(), *_results(), *_rows()]) + "\n")


def _about() -> str:
    return (
        "JSON is written in one step, so that a file is whole or not there; a number that is unknown is `null`. `schema` "
        "counts versions of a format: a version that a program does not know is refused. This page is made from the modules "
        "that write the files."
    )


def _run() -> list[str]:
    found = [
        "## Run",
        _table(RUN_FOLDER, "file"),
        "### manifest.json",
        _table(manifest.FIELDS, "key"),
        "### measures.json",
        _table(run_metrics.FIELDS, "key"),
        f"### run.sqlite\n\nSchema {schema.SCHEMA}. Read it with `open_run` ([functions](reference/sandbox.md)) or any program "
        "for SQLite. `sandbox export` writes JSONL, Parquet and GraphML.",
    ]
    for name, columns in tables().items():
        lines = ["| column | type | |", "|---|---|---|"]
        lines += [f"| `{column}` | {kind} | {cell(column_words(name, column))} |" for column, kind in columns.items()]
        found += [f"#### {name}", TABLE_WORDS[name], "\n".join(lines)]
    return found


def _training() -> list[str]:
    return [
        "## Trained model",
        "The folder has the weights (an adapter of PEFT, or all), the tokenizer with its chat template, a model card "
        "`README.md`, `training.json` and `train.yaml`.",
        "### training.json",
        _table(finetuning.FIELDS, "key"),
        "### train.yaml",
        f"Repeats a training: `sandbox train --config FILE`. Options of the command take precedence.\n\n{_TRAIN_YAML}",
        _table(described(TrainingConfig), "key"),
    ]


def _results() -> list[str]:
    evolve = {**evolution.FIELDS, **described(EvolutionSettings)}
    what_if = {"schema": "Version of the format.", **described(WhatIf)}
    return [
        "## Evaluation, comparison, sweep, evolution",
        "A dot leads into an object, or into the objects of a list. Beside each file stands the same as a table to read "
        "(`.md`, `.csv`), and figures.",
        "### evaluation.json",
        _table(result_words.FIELDS, "key"),
        "### comparison.json",
        _table(summary.FIELDS, "key"),
        "### sweep.json",
        _table(results.FIELDS, "key"),
        "### evolve.json",
        _table(evolve, "key"),
        "### what_if.json",
        _table(what_if, "key"),
    ]


def _rows() -> list[str]:
    found = [
        "## Rows",
        "JSONL with one row a line, Parquet, JSON, CSV, or a data set of the hub. Prompts and answers are texts or lists of "
        'messages (`{"role": "user", "content": "..."}`).',
    ]
    for kind, columns in COLUMNS.items():
        found += [f"### {kind.value}", f"```json\n{_ROW_EXAMPLES[kind]}\n```"]
        found.append(_table({name: COLUMN_WORDS[name] for name in columns}, "column"))
    needed = {name for columns in COLUMNS.values() for name in columns}
    others = {name: words for name, words in COLUMN_WORDS.items() if name not in needed}
    return [
        *found,
        "### Further columns",
        "Rows of any kind may have:",
        _table(others, "column"),
        "### FILE.about.json",
        "What rows were made of: written beside them by `sandbox dataset`, for the card of `sandbox push`. A dot leads into "
        "the objects of a list.",
        _table(sources.FIELDS, "key"),
    ]


def _table(words: Mapping[str, str], first: str) -> str:
    lines = [f"| {first} | |", "|---|---|"]
    lines += [f"| `{name}` | {cell(text.replace('``', '`'))} |" for name, text in words.items()]
    return "\n".join(lines)
