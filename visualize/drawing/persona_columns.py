"""The columns of agents' personas as plots show them: numbers as they are, texts as a few groups."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from sandbox.store.run import Run
from visualize.drawing.style import LABEL_STYLES, one_line

PERSONA = "persona."  # before the name of a column
# What the table of agents holds beside their personas.
NO_COLUMNS = frozenset({"agent", "name", "x", "y", "model", "label"})


def persona_columns(run: Run) -> list[str]:
    """Names of the columns of the agents' personas, as ``persona.COLUMN``."""
    return [f"{PERSONA}{name}" for name in run.agents() if name not in NO_COLUMNS]


def persona_values(run: Run, column: str) -> pd.Series[Any]:
    """The values of ``persona.COLUMN`` by agent: numbers, or texts of at most eight groups, of which the last is the rest.

    Truth values are texts, as they are no quantities. An agent without a value is ``unknown``, or NaN among numbers.
    """
    values = run.agents().set_index("agent")[column.removeprefix(PERSONA)]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.astype("float64")
    texts = values.map(lambda one: "unknown" if pd.isna(one) else one_line(str(one)))
    counts = Counter(texts)
    if len(counts) > len(LABEL_STYLES):
        most = {name for name, _ in counts.most_common(len(LABEL_STYLES) - 1)}
        texts = texts.where(texts.isin(most), f"{len(counts) - len(most)} others")
    return texts.astype(object)
