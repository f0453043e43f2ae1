"""Numbers and words of the scenario's own, by agent: those in the agents' states, and in ``Interaction.extra``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from sandbox.records import names_agent
from sandbox.store.run import Run
from visualize.drawing.style import LABEL_STYLES, LabelStyle, label_order, label_styles
from visualize.drawing.words import as_words, is_words, word_groups

STATE, EXTRA = "state.", "extra."  # before the key of a state, and of a value in ``Interaction.extra``
# Groups of words that have a style of their own beside the one of agents without a word.
_GROUPS = len(LABEL_STYLES) - 1


def state_values(run: Run) -> pd.DataFrame:
    """The numbers and words in the agents' states: columns state.KEY, by number of complete rounds and agent.

    Keys that name agents, and texts of more kinds than colours can show, are left out; truth values are words.
    """
    return _coloured(run.states().set_index(["rounds", "agent"]).add_prefix(STATE), is_truth_number=False)


def extra_values(run: Run) -> pd.DataFrame:
    """The numbers and words in ``Interaction.extra``: columns extra.KEY, by round and agent; truth values are 0 and 1.

    Keys that name agents, and texts of more kinds than colours can show, are left out.
    """
    frame = run.extra().set_index(["round", "agent"])
    return _coloured(frame[[name for name in frame if str(name).startswith(EXTRA)]], is_truth_number=True)


def _coloured(frame: pd.DataFrame, *, is_truth_number: bool) -> pd.DataFrame:
    """The columns that colours can show: numbers as float64, words as texts; missing values are NaN."""
    found = {}
    for name in frame:
        if names_agent(str(name)):
            continue
        values = frame[name].convert_dtypes() if is_truth_number else frame[name]
        is_truth = pd.api.types.is_bool_dtype(values)
        if (is_truth and is_truth_number) or (pd.api.types.is_numeric_dtype(values) and not is_truth):
            found[str(name)] = values.astype("float64")
        elif is_words(frame[name]):
            found[str(name)] = as_words(frame[name])
    return pd.DataFrame(found, index=frame.index)


def is_number(values: pd.Series[Any]) -> bool:
    """Whether values are numbers, rather than words."""
    return pd.api.types.is_numeric_dtype(values)


def grouped_words(values: pd.Series[Any]) -> pd.Series[Any]:
    """Words with the rare ones as one group; numbers as they are.

    Args:
        values: A column of :func:`state_values` or :func:`extra_values`.
    """
    return values if is_number(values) else values.map(word_groups(values.dropna(), _GROUPS))


def word_styles(by: str, run: Run, shown: Iterable[str]) -> dict[str, LabelStyle]:
    """The styles of the shown groups of words, in their order; a word has one style in all pictures of a run.

    Args:
        by: What is shown.
        run: The run.
        shown: The shown words, or labels.
    """
    known: list[str] = []
    if by.startswith((STATE, EXTRA)):
        known = _known_words(by, run)
    present = label_order(shown)
    return {name: style for name, style in label_styles([*known, *present]).items() if name in present}


def _known_words(by: str, run: Run) -> list[str]:
    """The groups of the words of a run, in the order of their styles."""
    column = (state_values(run) if by.startswith(STATE) else extra_values(run))[by]
    return [] if is_number(column) else label_order(grouped_words(column).dropna())


def own_values(run: Run) -> list[str]:
    """Names of the numbers, then of the words, in the agents' states (``state.KEY``) and in ``extra`` (``extra.KEY``)."""
    tables = [state_values(run), extra_values(run)]
    numbers, words = (
        [str(name) for table in tables for name in table if is_number(table[name]) == wanted]
        for wanted in (True, False)
    )
    return [*numbers, *words]


def most_frequent(words: pd.Series[Any]) -> Any:
    """The most frequent word, of equal ones the first in the alphabet; NaN where there is none."""
    found = words.dropna().mode()
    return found.iloc[0] if len(found) else float("nan")


def mean_or_most_frequent(values: pd.Series[Any], by: Any) -> pd.Series[Any]:
    """Of each group of values the mean, or the most frequent word.

    Args:
        values: Numbers or words.
        by: What groups them, as of :meth:`pandas.Series.groupby`.
    """
    grouped = values.groupby(by)
    return grouped.mean() if is_number(values) else grouped.agg(most_frequent).astype(object)
