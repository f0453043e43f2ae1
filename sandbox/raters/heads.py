"""Logistic heads on fixed features, and the calibration of their logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FOLDS = 5
_MIN_EXAMPLES = 20  # fewer are too few to hold any out
_EDGE = math.log(9.0)  # logit of a position of 0.9


@dataclass(frozen=True)
class Head:
    """A logistic head.

    Attributes:
        weights: Shape [features].
        bias: Added to the product of features and weights.
        held_out: Logits of the examples that it was fitted to, each by a head that has not seen its question. Shape
            [examples]. Where there are fewer than 20 examples or one question, logits of the head itself.
        accuracy: Share of the held-out logits that have the right sign; NaN where none were held out.
    """

    weights: NDArray[np.float64]
    bias: float
    held_out: NDArray[np.float64]
    accuracy: float

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logits of examples. Features of shape [examples, features] give shape [examples]."""
        return np.asarray(features @ self.weights + self.bias, dtype=np.float64)


def fit_head(features: NDArray[np.floating], labels: NDArray[np.bool_], groups: NDArray[np.int64], *, c: float) -> Head:
    """Fit a logistic head with balanced classes, and cross-validate it over groups.

    Args:
        features: Shape [examples, features].
        labels: Shape [examples].
        groups: The number of each example's question; a question is in one fold. Shape [examples].
        c: Inverse strength of the L2 penalty.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    head = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
    head.fit(features, labels)
    weights, bias = np.asarray(head.coef_[0], dtype=np.float64), float(head.intercept_[0])
    folds = min(_FOLDS, len(set(groups.tolist())))
    if folds < 2 or len(labels) < _MIN_EXAMPLES:
        return Head(weights, bias, np.asarray(features @ weights + bias, dtype=np.float64), math.nan)
    held_out = cross_val_predict(
        head, features, labels, groups=groups, cv=GroupKFold(folds), method="decision_function"
    )
    return Head(weights, bias, held_out, float(np.mean((held_out > 0) == labels)))


@dataclass(frozen=True)
class Span:
    """Turns logits into positions between 0 and 1.

    A logit at the lower bound has the position 0.1, one at the upper bound 0.9, by a logistic curve. Both bounds are
    linear in log2 of the words of a text, so that length alone moves no position.

    Attributes:
        low: Lower bound: value for a text without words, and what each doubling adds.
        high: Upper bound, alike.
    """

    low: tuple[float, float]
    high: tuple[float, float]

    def position(self, logits: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions in (0, 1). Logits and lengths (log2 words) have shape [examples]."""
        low = self.low[0] + self.low[1] * lengths
        width = np.maximum(self.high[0] + self.high[1] * lengths - low, 1e-6)
        scaled = np.clip(_EDGE * (2.0 * (logits - low) / width - 1.0), -30.0, 30.0)
        return np.asarray(1.0 / (1.0 + np.exp(-scaled)), dtype=np.float64)


def fit_span(
    logits: NDArray[np.float64],
    labels: NDArray[np.bool_],
    lengths: NDArray[np.float64],
    *,
    low: float,
    high: float,
) -> Span:
    """Fit the bounds to held-out logits.

    Args:
        logits: Of examples that the head has not seen. Shape [examples].
        labels: Shape [examples]; both kinds.
        lengths: log2 of words. Shape [examples].
        low: Percentile of the negative examples' logits that becomes the lower bound.
        high: Percentile of the positive examples' logits that becomes the upper bound.
    """
    lower = _bound(logits[~labels], lengths[~labels], low)
    upper = _bound(logits[labels], lengths[labels], high)
    middle = float(np.mean(lengths))
    if upper[0] + upper[1] * middle <= lower[0] + lower[1] * middle:
        # The head cannot tell them apart: the bounds become the range of all logits.
        everything = _bound(logits, lengths, 5.0), _bound(logits, lengths, 95.0)
        lower, upper = everything
    return Span(lower, upper)


def _bound(logits: NDArray[np.float64], lengths: NDArray[np.float64], percentile: float) -> tuple[float, float]:
    """The percentile of logits as a line over lengths: a least-squares slope, and the percentile of what is left."""
    spread = lengths - lengths.mean()
    slope = float(spread @ (logits - logits.mean()) / (spread @ spread)) if spread @ spread > 1e-9 else 0.0
    return float(np.percentile(logits - slope * lengths, percentile)), slope


def question_numbers(questions: Sequence[str]) -> NDArray[np.int64]:
    """Number every example's question, equal questions alike. Shape [examples]."""
    numbers = {question: i for i, question in enumerate(dict.fromkeys(questions))}
    return np.array([numbers[question] for question in questions], dtype=np.int64)
