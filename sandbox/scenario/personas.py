"""Personas of agents, from a table: one row per agent, put into its prompts by a template.

Knows no grids or models; the world assigns rows to agents.
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
    """A table of people, and the template that describes each in prompts.

    Attributes:
        rows: One mapping per person, all with the same columns.
        template: ``str.format`` text whose fields are columns, for example ``"You are {age} and work as a {job}."``; it
            replaces ``{persona}`` in the prompts.
        name: Column with the names of agents; without it they are ``Agent 1``, ``Agent 2``, ...
        source: Origin of the rows, for errors and the manifest.
    """

    rows: Sequence[Persona]
    template: str
    name: str = "name"
    source: str = field(default="personas", kw_only=True)

    @property
    def columns(self) -> list[str]:
        """Columns of the first row; the others must have the same."""
        return list(self.rows[0]) if self.rows else []

    def faults(self) -> list[tuple[str, str]]:
        """List the faults of the table: (field, what is wrong)."""
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
        """Fill in the template for one row."""
        return self.template.format(**row)

    def deal(self, n: int, draw: random.Random) -> list[Persona]:
        """Assign rows to ``n`` agents: in order, a sample if there are more rows than agents, repeated if there are fewer."""
        if n < len(self.rows):
            return draw.sample(list(self.rows), n)
        return [self.rows[i % len(self.rows)] for i in range(n)]


def persona_text(role: str, personas: Personas | None, row: Persona) -> str:
    """Text for ``{persona}`` in prompts: the role of the label, then the persona, and a space; or empty."""
    parts = [role, personas.tell(row) if personas is not None and row else ""]
    return "".join(f"{words.strip()} " for words in parts if words.strip())


def read_personas(source: str | Path, template: str, *, name: str = "name") -> Personas:
    """Read personas from a .csv, .jsonl or .json file, or a dataset of the Hugging Face hub.

    Args:
        source: Table with one row per person and any columns.
        template: Description of a person, with columns as fields.
        name: Column with the names of agents, if there is one.

    Raises:
        DataFileError: the table cannot be read.
    """
    return Personas(read_table(source), template, name, source=str(source))
