"""Scores of a memory stream, worked out by hand on hand-made vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sandbox.errors import SettingsError, UnknownPlugin
from sandbox.memories.base import UPBRINGING, Item, Owner, load_memory
from sandbox.memories.stream import StreamMemory
from sandbox.memories.text_index import TextIndex
from sandbox.scenario.prompts import Prompts
from sandbox.scenario.settings import SocietySettings

PROMPTS = Prompts(remembered_answer="{answer}", remembered_heard="{text}")


class Angles:
    """Embeds a text that ends in a number as the unit vector at so many degrees."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        turns = [math.radians(float(text.rsplit(" ", 1)[1])) for text in texts]
        return np.array([(math.cos(turn), math.sin(turn)) for turn in turns], np.float32)


def stream(now: int = 3, **settings: Any) -> StreamMemory:
    owner = Owner("Ada", PROMPTS, SocietySettings(), TextIndex(Angles()), now=lambda: now)
    return StreamMemory(owner=owner, **settings)


ITEMS = (
    Item(UPBRINGING, "answer", "born 0", "q 0"),
    Item(1, "heard", "told 60", speaker="Bo", importance=1.0),
    Item(2, "answer", "said 90", "q 90", importance=0.0),
)


def test_a_score_is_the_weighted_sum_of_three_scaled_parts() -> None:
    """In round 3 the items are 4, 2 and 1 rounds old: with decay 1/2 their recency is 1/16, 1/4, 1/2, scaled 0, 3/7, 1.

    Importance 0.5 (unrated), 1, 0 is its own scale. Seen from 0 degrees the cosines are 1, 1/2, 0, which is theirs too.
    """
    memory = stream(decay=0.5)
    memory.remember(ITEMS)
    assert memory.scores("asked 0") == pytest.approx([0.5 + 1, 3 / 7 + 1 + 0.5, 1 + 0 + 0], abs=1e-6)
    only = stream(decay=0.5, importance=0.0, relevance=2.0, recency=0.0)
    only.remember(ITEMS)
    assert only.scores("asked 0") == pytest.approx([2, 1, 0], abs=1e-6)


def test_the_best_are_recalled_in_the_order_in_which_they_happened() -> None:
    memory = stream(decay=0.5, items=2)
    memory.remember(ITEMS[:1])
    memory.remember(ITEMS[1:])
    found = memory.recall("asked 0")
    assert found is not None
    assert (found.text, found.question) == ("- born 0\n- told 60", "")
    assert found.prompt == "You remember:\n- born 0\n- told 60\n\n"


def test_of_equal_scores_the_newer_is_recalled() -> None:
    memory = stream(items=1)
    memory.remember([Item(2, "heard", "first 0", speaker="Bo"), Item(2, "heard", "second 0", speaker="Bo")])
    found = memory.recall("asked 0")
    assert found is not None
    assert found.text == "- second 0"


def test_nothing_is_recalled_of_nothing() -> None:
    assert stream().recall("asked 0") is None


@pytest.mark.parametrize(
    ("name", "settings", "error", "words"),
    [
        ("strem", {}, UnknownPlugin, "no memory named 'strem'. Did you mean 'stream'?"),
        ("stream", {"item": 2}, SettingsError, "memory 'stream' has no setting 'item'. Did you mean 'items'?"),
        ("stream", {"items": "many"}, SettingsError, "memory 'stream': items='many' is not a whole number"),
        (
            "stream",
            {"items": "0", "decay": 2.0},
            SettingsError,
            "items=0 must be at least 1\n  decay=2.0 must be in (0, 1]",
        ),
        ("nearest", {"items": 2}, SettingsError, "memory 'nearest' has no setting 'items'. Settings: none"),
    ],
)
def test_what_cannot_be_set(name: str, settings: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        load_memory(name, settings)
    assert words in str(raised.value)
