from __future__ import annotations

import pytest

from sandbox.models.local.choice_scoring import Scored, scored_rows, separator

END = 99


def test_single_tokens_are_scored_in_one_row() -> None:
    """Prompt 1 2; choices are the tokens 5 and 6."""
    assert scored_rows([[1, 2, 5], [1, 2, 6]], END) == [Scored((1, 2), ((5,), (6,)))]


def test_a_token_that_all_choices_begin_with_belongs_to_the_context() -> None:
    """A tokenizer that writes a space (7) before a digit: the digits are still single tokens."""
    assert scored_rows([[1, 2, 7, 5], [1, 2, 7, 6]], END) == [Scored((1, 2, 7), ((5,), (6,)))]


def test_choices_that_merge_with_the_prompt_differ_where_the_tokens_do() -> None:
    """The seam is merged in one (8) and not in the other (2, 5): the context ends before it."""
    assert scored_rows([[1, 8], [1, 2, 5]], END) == [Scored((1,), ((8,),)), Scored((1, 2), ((2, 5),))]


def test_a_choice_that_begins_another_is_scored_with_the_end() -> None:
    """1 is how 10 begins; without an end the first could never be less likely than the second."""
    assert scored_rows([[4, 1], [4, 1, 0]], END) == [Scored((4, 1), ((1, END),)), Scored((4, 1, 0), ((1, 0, END),))]


def test_equal_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="two of the choices are equal"):
        scored_rows([[1, 2], [1, 2]], END)


@pytest.mark.parametrize(
    ("prefix", "choice", "between"),
    [("Rating:", "5", " "), ("Rating: ", "5", ""), ("Rating:\n", "5", ""), ("", "5", ""), ("so (", "-x", "")],
)
def test_separator(prefix: str, choice: str, between: str) -> None:
    assert separator(prefix, choice) == between
