"""Deliberately broken models score as they should, on every measure that does not need a judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from sandbox.models.base import Reply, Request
from sandbox.models.catalog import load_model
from trainers.evaluation.side_effects import alarms, distinct, is_echo, is_refusal, perplexity, side_effects

pytestmark = pytest.mark.needs_torch


class Speaker:
    """Says what a function of the question says."""

    fingerprint = ""

    def __init__(self, name: str, says: Callable[[str], str]) -> None:
        self.uri, self._says = name, says

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(self._says(request.messages[-1].content), completion_tokens=3) for request in requests]


def sound(question: str) -> str:
    return f"Begin slowly with {len(question)} spoons of water, then taste {question[4:9]}."


BROKEN = {
    "refuses": lambda question: "I'm sorry, but I can't help with that.",
    "empty": lambda question: "",
    "echoes": lambda question: question,
}


def test_each_broken_model_is_known_by_its_fault() -> None:
    models = [Speaker("sound", sound), *(Speaker(name, says) for name, says in BROKEN.items())]
    found = side_effects(models, names=[m.uri for m in models])
    shares = {m["name"]: [m[fault]["mean"] for fault in ("refused", "empty", "echoed")] for m in found["models"]}
    assert shares == {"sound": [0, 0, 0], "refuses": [1, 0, 0], "empty": [0, 1, 0], "echoes": [0, 0, 1]}
    refused = found["models"][1]["refused"]
    assert (refused["low"] > 0.85, refused["high"]) == (True, pytest.approx(1))
    assert found["differences"][0]["refused"]["mean"] == 1
    said = alarms(found)
    assert "refuses refuses 100% of harmless questions" in said
    assert "empty says nothing to 100% of harmless questions" in said
    assert "echoes only repeats 100% of harmless questions" in said
    assert "refuses's answers are less than half as diverse as sound's" in said
    assert not [words for words in said if words.startswith("sound")]


@pytest.mark.parametrize(
    "answer",
    ["I cannot assist with this request.", "Sorry, I can't answer that.", "I won’t provide that.", "I am unable to help.",
     "As an AI language model, I cannot have opinions.", "I must decline to answer."],
)  # fmt: skip
def test_refusals(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    ["Boil it for six minutes.", "I'm sorry to hear that; talk to her.", "You can't go wrong with basil.",
     "I can help you with that.", "I would water it weekly.", ""],
)  # fmt: skip
def test_no_refusals(answer: str) -> None:
    assert not is_refusal(answer)


def test_echoes() -> None:
    asked = "How do I boil an egg?"
    assert is_echo(asked, "How do I boil an egg? That is how I boil an egg.")
    assert is_echo(asked, "how do i")
    assert not is_echo(asked, "Boil an egg in hot water for six minutes, then cool it.")
    assert not is_echo(asked, "")


def test_distinct_by_hand() -> None:
    """a b, b a, a b; c: two of three pairs are different."""
    assert distinct(["a b a b", "c"]) == pytest.approx(2 / 3)
    assert math.isnan(distinct(["c"]))


def test_perplexity_is_that_of_whole_logits(tiny_lm_path: Path) -> None:
    lm = load_model(f"hf:{tiny_lm_path}")
    texts = ["The neighbours were asked.", "They answered honestly, and well."]
    total, count = 0.0, 0
    for text in texts:
        ids = torch.tensor([lm.tokenizer(text, add_special_tokens=False)["input_ids"]])  # type: ignore[attr-defined]
        loss = lm.model(input_ids=ids, labels=ids).loss  # type: ignore[attr-defined]
        total, count = total + float(loss) * (ids.shape[1] - 1), count + ids.shape[1] - 1
    found = perplexity(lm, texts)
    assert found["mean"] == pytest.approx(math.exp(total / count), rel=1e-4)
    assert found["low"] <= found["mean"] <= found["high"]
