"""A page for each built-in trainer, and one that compares them; made from docstrings and settings."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

from formulas import marked
from method_docstrings import metrics, sections
from tables import cell, first_line, settings_table, write

from sandbox.registry import plugins
from trainers.methods.trl_catalog import SPECS
from trainers.rows.kinds import COLUMNS, RowKind
from trainers.settings import TrainingSettings

_SYMBOLS = (
    "$x$: the prompt; $y$: an answer of $|y|$ tokens; $\\pi(y \\mid x)$: its likelihood by the model in training; $\\pi_0$: "
    "that by the base. What is minimised is the mean over a batch."
)


def write_trainers() -> list[tuple[str, str]]:
    """Write a page for each built-in trainer; those that lack a part of their docstring fail the build."""
    found = []
    for name, kind in built_in_trainers():
        page = f"trainers/{name}.md"
        write(page, _page(name, kind))
        found.append((name, page))
    write("trainers/index.md", _overview())
    return [("All trainers", "trainers/index.md"), *found]


def built_in_trainers() -> Iterator[tuple[str, Any]]:
    """Names and classes of the trainers of this repository."""
    for plugin in sorted(plugins("trainers"), key=lambda one: one.name):
        module, _, name = plugin.value.partition(":")
        if module.startswith("trainers."):
            yield plugin.name, getattr(importlib.import_module(module), name)


def _page(name: str, kind: Any) -> str:
    part = sections(kind)
    logged = [f"| `{metric}` | {cell(words)} |" for metric, words in metrics(kind).items()]
    return "\n\n".join(
        [
            f"# {name}",
            _code(part["About"]),
            _rows(name, kind),
            f"## Loss\n\n{_code(part['Loss'])}\n\n{marked(_SYMBOLS)}",
            f"## When it suits\n\n{_code(part['Suits'])}",
            f"## When it fails\n\n{_code(part['Fails'])}",
            _command(name, kind),
            "## What it logs\n\nIn `history` of `training.json`, on the progress bar and in plots (`sandbox plot MODEL`):\n\n"
            "| metric | |\n|---|---|\n" + "\n".join(_code(line) for line in logged),
            "## Settings\n\nIn addition to [those of all trainers](../reference/settings.md#training), or with another default:"
            "\n\n" + settings_table(kind.Settings, TrainingSettings),
        ]
    )


def _rows(name: str, kind: Any) -> str:
    columns = ", ".join(f"`{column}`" for column in COLUMNS[kind.accepts])
    if hasattr(kind, "make_rows"):
        return f"It needs no rows: `sandbox train --trainer {name}` makes them, of the kind `{kind.accepts.value}`."
    return (
        f"Rows: `{kind.accepts.value}` ({columns}; [files of rows](../formats.md#rows)). From a run, or rows of another kind "
        "that have what it takes, `sandbox train` makes them."
    )


def _command(name: str, kind: Any) -> str:
    alone = hasattr(kind, "make_rows")
    source = "" if alone else "runs/first "
    rows = "trainer.make_rows()" if alone else 'rows_from(open_run("runs/first"), trainer.accepts)'
    imports = (
        "from trainers import load_trainer"
        if alone
        else "from sandbox import open_run\nfrom trainers import load_trainer, rows_from"
    )
    return (
        f"## Command and Python\n\n```sh\nsandbox train {source}--trainer {name} --set epochs=1 --out models/{name}\n```\n\n"
        f'```python\n{imports}\n\ntrainer = load_trainer("{name}", epochs=1)\n'
        f'rows = {rows}\ntrained = trainer.train(rows, base="smollm2", out="models/{name}")\nprint(trained.metrics)\n```'
    )


def _overview() -> str:
    lines = ["# All trainers", "", "| trainer | learns from | method | suits |", "|---|---|---|---|"]
    for name, kind in built_in_trainers():
        part = sections(kind)
        about = first_line(part["About"])
        lines.append(
            f"| [{name}]({name}.md) | {kind.accepts.value} | {cell(_code(about))} | {cell(_code(part['Suits']))} |"
        )
    lines += [
        "",
        "Any other trainer of TRL is used by its name, for example `trl:CPO` "
        "([training](../training.md#trainers-of-trl)):",
        "",
        "| trainer | learns from |",
        "|---|---|",
    ]
    lines += [f"| `trl:{spec.name}` | {spec.accepts.value} |" for spec in SPECS.values()]
    lines += ["", "## Kinds of rows", "", "| kind | columns |", "|---|---|"]
    lines += [f"| {kind.value} | {', '.join(f'`{column}`' for column in COLUMNS[kind])} |" for kind in RowKind]
    return "\n".join([*lines, "", "How they are made and chosen: [training](../training.md)."])


def _code(text: str) -> str:
    """Markdown of a docstring: code in single backticks, papers as links."""
    text = marked(inspect.cleandoc(text).replace("``", "`"))
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
