"""Words as groups of agents: the frequent ones have a colour each, the rest share one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from visualize.drawing.style import LABEL_STYLES, one_line

# Columns of more different texts, or of longer ones (in characters), are what was said, and no groups.
MAX_WORDS, MAX_LETTERS = 40, 40


def is_words(values: pd.Series[Any]) -> bool:
    """Whether a column consists of short texts of few kinds, or of truth values; missing ones do not count."""
    known = values.dropna()
    is_short = all(isinstance(one, bool) or (isinstance(one, str) and len(one) <= MAX_LETTERS) for one in known)
    return bool(len(known)) and is_short and known.nunique() <= MAX_WORDS


def as_words(values: pd.Series[Any]) -> pd.Series[Any]:
    """Texts on one line; missing values are NaN."""
    return values.map(lambda one: np.nan if pd.isna(one) else one_line(str(one))).astype(object)


def word_groups(words: pd.Series[Any], limit: int = len(LABEL_STYLES)) -> dict[str, str]:
    """The group of each word: itself, or ``N others`` for the least frequent ones, where there are more than ``limit``.

    Args:
        words: Texts of :func:`as_words`, of the whole run, so that a word has one group in all its pictures.
        limit: Maximum number of groups.
    """
    counts = Counter(words)
    if len(counts) <= limit:
        return {word: word for word in counts}
    kept = {word for word, _ in counts.most_common(limit - 1)}
    return {word: word if word in kept else f"{len(counts) - len(kept)} others" for word in counts}
