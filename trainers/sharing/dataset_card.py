"""The card of a dataset: rows, or the tables of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.models.local.model_card import front_matter, key_table
from sandbox.store.table_words import column_words
from trainers.rows.kinds import COLUMN_WORDS, RowKind
from trainers.sharing.sources import source_lines

# A trainer that learns from rows of the kind.
_TRAINERS = {
    RowKind.RANKED: "stable_alignment",
    RowKind.PREFERENCES: "dpo",
    RowKind.UNPAIRED: "kto",
    RowKind.DEMONSTRATIONS: "sft",
    RowKind.PROMPTS: "grpo",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LIMITS = (
    "Agents are language models: what they say and how they rate is synthetic. It may be wrong, biased or offensive, "
    "for some agents are made to answer badly, and it says nothing about what people would answer."
)


def rows_card(
    repo: str,
    kind: RowKind,
    splits: Mapping[str, tuple[str, Mapping[str, Any]]],
    columns: Sequence[str],
    about: Mapping[str, Any] | None,
    licence: str | None,
) -> str:
    """Return the card of a file of rows.

    Args:
        repo: ``OWNER/NAME``.
        kind: Kind of the rows.
        splits: By split, the name of its file and what it holds, see :func:`trainers.rows.format.row_statistics`.
        columns: Columns of the file.
        about: What is kept beside the file, see :mod:`trainers.sharing.sources`; None if nothing is.
        licence: Identifier of the licence; None if unknown.
    """
    facts = about["sources"] if about else []
    total = sum(int(statistics["rows"]) for _, statistics in splits.values())
    scenarios = [one["scenario"] for one in facts if one["kind"] == "run"]
    meta = {
        **_head(licence, total),
        "tags": list(dict.fromkeys(["social-sandbox", "synthetic", "trl", str(kind), *scenarios])),
        "configs": [
            {"config_name": "default", "data_files": [{"split": s, "path": name} for s, (name, _) in splits.items()]}
        ],
    }
    rated = next(iter((about or {}).get("rated_by", {}).items()), None)
    lines = [*front_matter(meta), "", f"# {repo.partition('/')[2]}", ""]
    lines += [f"{total:,} rows of {kind} in the format of TRL, made by Social Sandbox.", ""]
    lines += ["## Columns", "", "| column | |", "|---|---|"]
    lines += [f"| `{name}` | {COLUMN_WORDS.get(name, 'Not used by the trainers.')} |" for name in columns]
    for split, (_, statistics) in splits.items():
        lines += ["", f"## Split {split}", "", *key_table(_counts(statistics))]
        if left := statistics.get("left_out"):
            lines += ["", "Left out when the rows were made:", "", *(f"* {n:,} {reason}" for reason, n in left.items())]
    lines += ["", "## Source", "", *(source_lines(facts) or ["It is not recorded what the rows were made of."])]
    if rated:
        lines += ["", f"Answers are rated by the {rated[0]} `{rated[1]}`."]
    if about:
        lines += ["", "Made by:", "", "```sh", about["command"], "```"]
    lines += [
        "", "## Use", "", "```python", "from datasets import load_dataset", "", f'rows = load_dataset("{repo}")', "```", "",
        "```sh", f"sandbox train {repo} --trainer {_TRAINERS[kind]}", "```", "", "## Limitations", "",
        *([_LIMITS, ""] if scenarios else []), _licence_words(licence),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def run_card(repo: str, facts: Mapping[str, Any], tables: Mapping[str, tuple[str, int, Sequence[str]]], licence: str | None,
             left_out: str, command: str) -> str:  # fmt: skip
    """Return the card of a run.

    Args:
        repo: ``OWNER/NAME``.
        facts: See :func:`trainers.sharing.sources.run_facts`.
        tables: By name, the file, the number of rows, and the columns.
        licence: Identifier of the licence; None if unknown.
        left_out: What of the run folder is not in the dataset.
        command: Command that repeats the run; empty if there is none.
    """
    meta = {
        **_head(licence, facts["interactions"]),
        "tags": ["social-sandbox", "synthetic", "agent-based-simulation", facts["scenario"]],
        "configs": [
            {"config_name": name, "data_files": path, **({"default": True} if number == 0 else {})}
            for number, (name, (path, _, _)) in enumerate(tables.items())
        ],
    }
    lines = [*front_matter(meta), "", f"# {repo.partition('/')[2]}", ""]
    lines += [
        "A run of a society of language-model agents, recorded by Social Sandbox.",
        "",
        *source_lines([facts]),
        "",
    ]
    lines += [
        "## Tables",
        "",
        "Rounds and agents are counted from 0.",
        "",
        "| table | rows | columns |",
        "|---|---:|---|",
    ]
    for name, (_, n, columns) in tables.items():
        lines.append(f"| `{name}` | {n:,} | {', '.join(f'`{column}`' for column in columns)} |")
    words = {c: w for c in tables["interactions"][2] if (w := _words(c))}
    lines += ["", "Columns of `interactions`:", "", *(f"* `{column}`: {said}" for column, said in words.items())]
    lines += ["", "`manifest.json` has all settings, models and versions of the run.", "", left_out]
    if command:
        lines += ["", "## Repeat", "", "```sh", command, "```"]
    lines += [
        "", "## Use", "", "```python", "from datasets import load_dataset", "",
        *(f'{name} = load_dataset("{repo}", "{name}")["train"]' for name in tables), "```", "", "## Limitations", "",
        _LIMITS, "", _licence_words(licence),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _words(column: str) -> str:
    try:
        return column_words("interactions", column)
    except KeyError:
        return ""


def _head(licence: str | None, n: int) -> dict[str, Any]:
    size = next((name for most, name in _SIZES if n < most), "n>1M")
    return {"license": licence or "unknown", "task_categories": ["text-generation"], "size_categories": [size]}


def _licence_words(licence: str | None) -> str:
    if licence is not None:
        return f"Licence: {licence}. The terms of the models that spoke may apply as well."
    return "The licence is unknown: its owner has given none, and the terms of the models that spoke may apply."


def _counts(statistics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Numbers of rows, as keys and values."""
    found = [(name, f"{n:,}") for name, n in statistics.items() if isinstance(n, int)]
    for name in ("parts", "ratings"):
        if statistics.get(name):
            found.append((name, ", ".join(f"{key}: {n:,}" for key, n in statistics[name].items())))
    if reward := statistics.get("reward"):
        found.append(("reward", ", ".join(f"{key} {value}" for key, value in reward.items())))
    return found
