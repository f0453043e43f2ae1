"""Reasoning before an answer is removed; an answer without it is left as it is."""

from __future__ import annotations

import pytest

from sandbox.models.thoughts import has_thoughts_alone, without_thoughts


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Tell the truth.", "Tell the truth."),
        ("<think>Rating: 1?</think>\n\nTell the truth.", "Tell the truth."),
        ("<think>one</think> a <think>two</think> b", "a  b"),
        ("I wonder.\n</think>\n\nTell the truth.", "Tell the truth."),
        ("<thinking>I wonder.</thinking>Tell the truth.", "Tell the truth."),
        ("<think>I wonder and wonder", ""),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Tell it.<|return|>",
            "Tell it.",
        ),
        ("<|channel|>analysis<|message|>Hm.", ""),
        ("analysisThe user asks.assistantfinalTell the truth.", "Tell the truth."),
        ("a < b, and <b>bold</b>", "a < b, and <b>bold</b>"),
        (" indented", " indented"),
        ("", ""),
    ],
)
def test_the_answer_is_what_follows_the_reasoning(text: str, answer: str) -> None:
    assert without_thoughts(text) == answer
    assert has_thoughts_alone(text) == (bool(text.strip()) and not answer)
