"""Probabilities of choices, from the likeliest tokens at each position."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sandbox.models.remote.top_logprobs import choice_probs, positions

DIGITS = ("1", "2", "3")


def nats(**probs: float) -> dict[str, float]:
    return {token: math.log(p) for token, p in probs.items()}


def test_probabilities_are_renormalised_over_the_choices() -> None:
    """0.4 and 0.2 of a whole of which 0.4 went elsewhere: 0.4/0.6 and 0.2/0.6; what is not shown has none."""
    tops = {"3": math.log(0.4), "1": math.log(0.2), "I": math.log(0.3)}
    assert choice_probs([tops], DIGITS) == pytest.approx({"1": 1 / 3, "2": 0.0, "3": 2 / 3})


def test_tokens_count_without_the_space_around_them() -> None:
    """Of "2", " 2", a byte-level BPE's "Ġ2" and a sentencepiece "▁3": 0.1 + 0.2 + 0.3 against 0.4."""
    tops = {"2": math.log(0.1), " 2": math.log(0.2), "Ġ2": math.log(0.3), "▁3": math.log(0.4)}
    assert choice_probs([tops], DIGITS) == pytest.approx({"1": 0.0, "2": 0.6, "3": 0.4})


def test_the_first_position_where_choices_are_likelier_than_all_else_counts() -> None:
    """ "Rating: 3": at the first position a digit is possible (0.01), at the third it is certain."""
    reply = [nats(Rating=0.98, **{"1": 0.01}), {":": 0.0}, {" 3": math.log(0.9), " 1": math.log(0.1)}]
    assert choice_probs(reply, DIGITS) == pytest.approx({"1": 0.1, "2": 0.0, "3": 0.9})


def test_a_later_number_in_the_text_does_not_count() -> None:
    """ "3, as 1 would be unkind": the digit of the reply is the first."""
    assert choice_probs([{"3": 0.0}, {",": 0.0}, {" 1": 0.0}], DIGITS) == {"1": 0.0, "2": 0.0, "3": 1.0}


def test_failing_that_the_first_position_that_shows_a_choice_counts() -> None:
    reply = [nats(I=0.9), nats(**{"2": 0.03, "1": 0.01}, am=0.9), nats(**{"3": 0.1}, the=0.8)]
    assert choice_probs(reply, DIGITS) == pytest.approx({"1": 0.25, "2": 0.75, "3": 0.0})


def test_no_choice_gives_none() -> None:
    assert choice_probs([nats(good=0.5), {}], DIGITS) is None
    assert choice_probs([{"1": -math.inf}], DIGITS) is None
    assert choice_probs([], DIGITS) is None


def test_positions_of_the_chat_api() -> None:
    """A token that was sampled from beyond the likeliest is one of those shown, too."""
    said = {"content": [{"token": "x", "logprob": -9.0, "top_logprobs": [{"token": "5", "logprob": -0.1}]}]}
    assert list(positions(said)) == [{"x": -9.0, "5": -0.1}]


def test_positions_of_the_completion_api() -> None:
    said = {"tokens": [" 5", "."], "token_logprobs": [-0.1, -0.2], "top_logprobs": [{" 5": -0.1, " 6": -2.5}, None]}
    assert list(positions(said)) == [{" 5": -0.1, " 6": -2.5}]


@pytest.mark.parametrize(
    "said",
    [None, [], "logprobs", {}, {"content": None}, {"content": [None, 5]}, {"top_logprobs": [None, 5]}],
)
def test_what_is_in_neither_form_has_no_positions(said: Any) -> None:
    assert list(positions(said)) == []


def test_what_is_no_log_probability_is_passed_over() -> None:
    """A server's NaN must not make every rating NaN; a log-probability above 0 counts as 0."""
    tops = [{"token": "1", "logprob": float("nan")}, {"token": "2", "logprob": "high"}, {"token": None, "logprob": 0}]
    said = {"content": [{"token": "3", "logprob": 1e9, "top_logprobs": tops}]}
    assert choice_probs(positions(said), DIGITS) == {"1": 0.0, "2": 0.0, "3": 1.0}
