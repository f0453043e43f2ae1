"""Who agents are, from a table: one row an agent, told to it in words of a template.

A persona knows nothing of grids or models; the world deals rows to agents, and agents tell their models.
"""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.data_files import read_table
from sandbox.errors import nearest

Persona = Mapping[str, Any]


@dataclass(frozen=True)
class Personas:
    """A table of people, and how each is told who it is.

    Attributes:
        rows: One for each person, with any columns, all with the same ones.
        template: ``str.format`` text whose fields are columns, as ``"You are {age} and work as a {job}."``; it goes
            where ``{persona}`` stands in the prompts.
        name: The column that agents are called by; without such a column they are ``Agent 1``, ``Agent 2``, ...
        source: Where the rows came from, for errors and the manifest.
    """

    rows: Sequence[Persona]
    template: str
    name: str = "name"
    source: str = field(default="personas", kw_only=True)

    @property
    def columns(self) -> list[str]:
        """Of the first row; the others must have the same."""
        return list(self.rows[0]) if self.rows else []

    def faults(self) -> list[tuple[str, str]]:
        """All that keeps the table from being used: (field, what is wrong)."""
        if not self.rows:
            return [("personas", f"{self.source} has no rows; give at least one")]
        found = []
        try:
            used = {name for _, name, _, _ in string.Formatter().parse(self.template) if name is not None}
        except ValueError as error:
            return [("personas.template", f"not a template: {error}; write {{{{ for a brace")]
        for column in sorted(used - set(self.columns)):
            found.append(
                (
                    "personas.template",
                    f"uses {{{column}}}; {self.source} has the columns {', '.join(self.columns)}."
                    f"{nearest(column, self.columns)}",
                )
            )
        wanted = [c for c in self.columns if c in used or c == self.name]
        for number, row in enumerate(self.rows, 1):
            empty = [c for c in wanted if not str(row.get(c) if row.get(c) is not None else "").strip()]
            if empty:
                found.append(("personas", f"{self.source}, row {number} has no {', '.join(empty)}"))
        return found

    def tell(self, row: Persona) -> str:
        """What an agent is told of itself."""
        return self.template.format(**row)

    def deal(self, n: int, draw: random.Random) -> list[Persona]:
        """A row for each of ``n`` agents: in order where they are as many, drawn without replacement where there are
        more rows than agents, and over again where there are fewer."""  # noqa: D205, D209
        if n < len(self.rows):
            return draw.sample(list(self.rows), n)
        return [self.rows[i % len(self.rows)] for i in range(n)]


def persona_text(role: str, personas: Personas | None, row: Persona) -> str:
    """What an agent is told of itself: the role of its label, then its persona; with a space after it, or empty."""
    told = [role, personas.tell(row) if personas is not None and row else ""]
    return "".join(f"{words.strip()} " for words in told if words.strip())


def read_personas(source: str | Path, template: str, *, name: str = "name") -> Personas:
    """Read personas from a .csv, .jsonl or .json file, or a dataset of the Hugging Face hub.

    Args:
        source: One row a person, with any columns.
        template: How each is told who it is, with columns as fields.
        name: The column that agents are called by, if there is one.

    Raises:
        DataFileError: the table cannot be read.
    """
    return Personas(read_table(source), template, name, source=str(source))
