"""Biases of judges: length bias and position bias.

Length: how a judge's ratings correlate with the number of words, between answers to the same question. A good judge may well
like longer answers; what matters is whether a difference between models remains at equal length
(``at_equal_length``, the intercept of the differences in ratings over those in length; after arXiv:2404.04475).

Position: judges that are language models are also asked which of two answers is better, in both orders. The share of wins of
the first answer measures the bias (arXiv:2306.05685). Other judges rate each answer by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sandbox.conversation.steps import CallLog
from sandbox.metrics.intervals import bounds, mean_interval, resampled_sums
from sandbox.models.base import LanguageModel, Message, Request
from trainers.evaluation.answering import generate_replies

Answer = Mapping[str, Any]
COMPARE = (
    "Question: {question}\n\nAnswer A: {a}\n\nAnswer B: {b}\n\nWhich of the two answers is better: {words}? Reply with "
    "the letter alone."
)


def log2_words(answer: Answer) -> float:
    """An answer's length as the base-2 logarithm of its words and one."""
    return math.log2(len(answer["answer"].split()) + 1)


def length_bias(answers: Sequence[Answer], dimension: str, judge: str, *, seed: int = 0) -> dict[str, Any]:
    """How a judge's ratings go with length, between answers to the same question.

    Args:
        answers: Of all models, rated.
        dimension: Of the rubric.
        judge: Whose ratings.
        seed: Of the bootstrap, which draws questions.

    Returns:
        ``slope`` (rating points for twice the words) with its 95% bounds ``low`` and ``high``, ``correlation``, and ``n``,
        how many answers. NaN where no question has two answers of different length.
    """
    by_question: dict[str, list[tuple[float, float]]] = {}
    for a in answers:
        if (value := a["judges"][judge][dimension]) is not None:
            by_question.setdefault(a["question"], []).append((log2_words(a), value))
    units = []
    for pairs in by_question.values():
        x, y = (np.array(column) - np.mean(column) for column in zip(*pairs, strict=True))
        units.append([float(x @ y), float(x @ x), float(y @ y)])
    sums = np.array(units).reshape(-1, 3)
    n = sum(map(len, by_question.values()))
    xy, xx, yy = sums.sum(axis=0)
    if xx < 1e-12:
        return {"slope": math.nan, "low": math.nan, "high": math.nan, "correlation": math.nan, "n": n}
    drawn = resampled_sums(sums, 2000, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = bounds(drawn[:, 0] / drawn[:, 1])
    correlation = float(xy / math.sqrt(xx * yy)) if yy > 1e-12 else math.nan
    return {"slope": float(xy / xx), "low": low, "high": high, "correlation": correlation, "n": n}


def at_equal_length(ours: Sequence[Answer], theirs: Sequence[Answer], dimension: str) -> dict[str, float]:
    """What a difference between two models would be if their answers were equally long.

    Questions' mean differences in score are regressed on those in length; the intercept is the answer.

    Args:
        ours: Answers of a model.
        theirs: Answers of the one it is compared with.
        dimension: Of the rubric.

    Returns:
        ``mean``, the intercept, with its 95% bounds ``low`` and ``high``, and ``n``, how many questions. Without a
        difference in length that varies, the bounds are NaN.
    """
    from scipy.special import stdtrit

    mine, other = _by_question(ours, dimension), _by_question(theirs, dimension)
    both = [q for q in mine if q in other]
    y = np.array([mine[q][0] - other[q][0] for q in both])
    x = np.array([mine[q][1] - other[q][1] for q in both])
    n = len(both)
    spread = float(((x - x.mean()) ** 2).sum()) if n else 0.0
    if n < 3 or spread < 1e-12:
        return {"mean": float(y.mean()) if n else math.nan, "low": math.nan, "high": math.nan, "n": n}
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    intercept = float(y.mean() - slope * x.mean())
    rest = y - intercept - slope * x
    error = math.sqrt(float(rest @ rest) / (n - 2) * (1 / n + float(x.mean()) ** 2 / spread))
    half = float(stdtrit(n - 2, 0.975)) * error
    return {"mean": intercept, "low": intercept - half, "high": intercept + half, "n": n}


def _by_question(answers: Sequence[Answer], dimension: str) -> dict[str, tuple[float, float]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for a in answers:
        if (value := a["scores"][dimension]) is not None:
            found.setdefault(a["question"], []).append((value, log2_words(a)))
    return {q: (float(np.mean([v for v, _ in of])), float(np.mean([x for _, x in of]))) for q, of in found.items()}


def position_bias(
    lm: LanguageModel, ours: Sequence[Answer], theirs: Sequence[Answer], words: str, log: CallLog | None = None
) -> dict[str, Any]:
    """Ask a judge which of two answers is better, each pair in both orders.

    Args:
        lm: The judge.
        ours: Answers of a model.
        theirs: Answers of the one it is compared with; those to the same question under the same seed make a pair.
        words: What better means, as the rubric has it.
        log: Store of finished calls, for resuming.

    Returns:
        ``first``: share of wins of whichever stands first (0.5 is fair); ``wins``: of ours, over both orders; both {mean,
        low, high, n}, 95% over pairs; ``consistent``: share of pairs that both orders decide alike; ``unreadable``.
    """

    def key(a: Answer) -> tuple[Any, ...]:
        return (a["question"], a["seed"], a["sample"], a["pressure"])

    other = {key(a): a for a in theirs}
    pairs = [(a, other[key(a)]) for a in ours if key(a) in other and a["answer"] != other[key(a)]["answer"]]
    requests = [
        Request(
            (Message("user", COMPARE.format(question=a["question"], a=one["answer"], b=two["answer"], words=words)),),
            4, temperature=0.0, choices=("A", "B"),
        )
        for a, b in pairs
        for one, two in ((a, b), (b, a))
    ]  # fmt: skip
    chose_first = [_first(reply) for reply in generate_replies(lm, requests, log=log)]
    forth, back = chose_first[::2], chose_first[1::2]
    known = [(f, b) for f, b in zip(forth, back, strict=True) if f is not None and b is not None]
    return {
        "first": mean_interval([(f + b) / 2 for f, b in known])._asdict(),
        "wins": mean_interval([(f + 1 - b) / 2 for f, b in known])._asdict(),
        "consistent": float(np.mean([(f > 0.5) != (b > 0.5) for f, b in known])) if known else math.nan,
        "unreadable": len(pairs) - len(known),
    }


def _first(reply: Any) -> float | None:
    """Probability that the first answer was chosen, in [0, 1]; None if unreadable."""
    if reply.error is not None:
        return None
    if reply.choice_probs is not None:
        a, b = reply.choice_probs["A"], reply.choice_probs["B"]
        return float(a / (a + b)) if a + b > 0 else None
    letter = reply.text.strip().lstrip("(*\"'")[:1].upper()
    return {"A": 1.0, "B": 0.0}.get(letter)
