"""What length and place have to say, against scipy, and with judges whose bias is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sandbox.models.base import Reply, Request
from trainers.evaluation.judge_bias import at_equal_length, length_bias, log2_words, position_bias


def answer(question: str, words: int, score: float | None, model: str = "m", text: str | None = None) -> dict[str, Any]:
    said = text if text is not None else " ".join(["w"] * words)
    shared = {"question": question, "seed": 0, "sample": 0, "pressure": None, "model": model, "answer": said}
    return {**shared, "scores": {"d": score}, "judges": {"j": {"d": score}}}


def some(n: int = 12) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    draw = np.random.default_rng(3)
    pair = []
    for model in ("a", "b"):
        words = draw.integers(1, 60, n)
        pair.append(
            [answer(f"q{i}", int(w), float(draw.normal(4 + np.log2(w + 1) / 3)), model) for i, w in enumerate(words)]
        )
    return pair[0], pair[1]


def test_slope_of_ratings_over_length_is_that_within_questions() -> None:
    ours, theirs = some()
    x = np.array([[log2_words(a), log2_words(b)] for a, b in zip(ours, theirs, strict=True)])
    y = np.array([[a["scores"]["d"], b["scores"]["d"]] for a, b in zip(ours, theirs, strict=True)])
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    fit = stats.linregress(x.ravel(), y.ravel())
    found = length_bias([*ours, *theirs], "d", "j")
    assert (found["slope"], found["correlation"]) == pytest.approx((fit.slope, fit.rvalue))
    assert found["low"] < fit.slope < found["high"]
    assert found["n"] == 24


def test_a_difference_at_equal_length_is_the_intercept_of_least_squares() -> None:
    ours, theirs = some()
    x = [log2_words(a) - log2_words(b) for a, b in zip(ours, theirs, strict=True)]
    y = [a["scores"]["d"] - b["scores"]["d"] for a, b in zip(ours, theirs, strict=True)]
    fit = stats.linregress(x, y)
    half = stats.t.ppf(0.975, 10) * fit.intercept_stderr
    found = at_equal_length(ours, theirs, "d")
    expected = (fit.intercept, fit.intercept - half, fit.intercept + half, 12)
    assert tuple(found[k] for k in ("mean", "low", "high", "n")) == pytest.approx(expected)


def test_a_model_that_is_only_longer_is_no_better_at_equal_length() -> None:
    """Every doubling is a point, whoever speaks."""
    ours = [answer(f"q{i}", 2 ** (3 + i % 3) - 1, 3.0 + i % 3) for i in range(9)]
    theirs = [answer(f"q{i}", 1, 1.0) for i in range(9)]
    assert at_equal_length(ours, theirs, "d")["mean"] == pytest.approx(0, abs=1e-9)


class Judge:
    """Chooses as a function of the two answers says."""

    uri, fingerprint = "judge", ""

    def __init__(self, chooses: Callable[[str, str], str]) -> None:
        self._chooses = chooses

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        found = []
        for request in requests:
            parts = request.messages[0].content.split("\n\n")
            found.append(Reply(self._chooses(parts[1], parts[2])))
        return found


def test_a_judge_that_takes_whatever_stands_first() -> None:
    ours, theirs = [answer("q", 0, 5, text="good")], [answer("q", 0, 1, "b", text="bad")]
    found = position_bias(Judge(lambda a, b: "A"), ours, theirs, "better")
    assert (found["first"]["mean"], found["wins"]["mean"], found["consistent"], found["unreadable"]) == (1, 0.5, 0, 0)


def test_a_judge_that_reads_is_consistent() -> None:
    ours, theirs = [answer("q", 0, 5, text="good")], [answer("q", 0, 1, "b", text="bad")]
    found = position_bias(Judge(lambda a, b: "(A)" if "good" in a else "B."), ours, theirs, "better")
    assert (found["first"]["mean"], found["wins"]["mean"], found["consistent"]) == (0.5, 1, 1)
    silent = position_bias(Judge(lambda a, b: "neither"), ours, theirs, "better")
    assert (silent["unreadable"], silent["first"]["n"]) == (1, 0)
