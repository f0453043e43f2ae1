"""The columns of agents' personas as plots show them: numbers as they are, texts as a few groups."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sandbox.store.run import Run
from visualize.drawing.style import UNKNOWN
from visualize.drawing.words import as_words, word_groups

PERSONA = "persona."  # before the name of a column
# What the table of agents holds beside their personas.
NO_COLUMNS = frozenset({"agent", "name", "x", "y", "model", "label"})


def persona_columns(run: Run) -> list[str]:
    """Names of the columns of the agents' personas, as ``persona.COLUMN``."""
    return [f"{PERSONA}{name}" for name in run.agents() if name not in NO_COLUMNS]


def persona_values(run: Run, column: str, *, is_merged: bool = True) -> pd.Series[Any]:
    """The values of ``persona.COLUMN`` by agent: numbers, or texts of at most eight groups, of which the last is the rest.

    Truth values are texts, as they are no quantities. An agent without a value is ``unknown``, or NaN among numbers.

    Args:
        run: The run.
        column: The column.
        is_merged: Whether rare texts become one group.
    """
    values = run.agents().set_index("agent")[column.removeprefix(PERSONA)]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.astype("float64")
    texts = as_words(values).fillna(UNKNOWN)
    return texts.map(word_groups(texts)) if is_merged else texts
