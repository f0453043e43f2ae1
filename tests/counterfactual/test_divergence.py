"""Where two records begin to differ, and what is shown of it."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.counterfactual.divergence import find_divergences
from sandbox.records import Feedback, Heard, Interaction, Rating


def said(agent: int = 0, **fields: Any) -> Interaction:
    return Interaction(1, agent, "good", "Why?", **{"draft": "One. Two. Three.", "revision": "Four.", **fields})


def shown(first: list[Interaction], second: list[Interaction]) -> list[tuple[Any, ...]]:
    return [(one.agent, one.part, one.first, one.second) for one in find_divergences(first, second)]


def test_the_first_sentence_that_differs_is_shown() -> None:
    assert shown([said()], [said()]) == []
    assert shown([said()], [said(draft="One. Six. Three.")]) == [(0, "draft", "Two.", "Six.")]
    assert shown([said()], [said(draft="One. Two.")]) == [(0, "draft", "Three.", "")]
    assert shown([said()], [said(draft=None)]) == [(0, "draft", "One.", "")]


def test_parts_are_compared_in_the_order_in_which_they_are_said() -> None:
    kind = Feedback(3, Rating(6.0, reason="It is kind."))
    stern = Feedback(3, Rating(6.0, reason="It is stern."))
    higher = Feedback(3, Rating(6.5, reason="It is kind."))
    assert shown([said(feedback=(kind,))], [said(feedback=(stern,), revision="Five.")]) == [
        (0, "review by 3", "It is kind.", "It is stern.")
    ]
    assert shown([said(feedback=(kind,))], [said(feedback=(higher,))]) == [
        (0, "review by 3", "(rated 6.00)", "(rated 6.50)")
    ]
    assert shown([said()], [said(revision="Five.", extra={"gift": 3})]) == [(0, "revision", "Four.", "Five.")]
    assert shown([said(extra={"gift": 2})], [said(extra={"gift": 3})]) == [(0, "gift", "2", "3")]
    heard = [(Heard(4, None, "A herald", text),) for text in ("It rains.", "It snows.")]
    assert shown([said(heard=heard[0])], [said(heard=heard[1], revision="Five.")]) == [
        (0, "heard by 4, 1", "A herald: It rains.", "A herald: It snows.")
    ]
    assert shown([said()], [said(draft=None, error="No answer.")])[0][1] == "draft"


def test_causes_stand_before_what_follows_from_them() -> None:
    first = [said(agent) for agent in range(3)]
    second = [said(0, revision="Five."), said(1), said(2, draft="Six.")]
    assert [row[:2] for row in shown(first, second)] == [(2, "draft"), (0, "revision")]


@pytest.mark.parametrize("missing", [0, 1])
def test_an_interaction_that_one_record_lacks_differs(missing: int) -> None:
    sides = [[said(0), said(1)], [said(0), said(1)]]
    del sides[missing][1]
    [(agent, part, *texts)] = shown(*sides)
    assert (agent, part, texts[missing]) == (1, "question", "")


def test_stages_come_in_their_order() -> None:
    """The second stage asks by what was said in the first."""

    def whole(agent: int, gift: str, question: str) -> Interaction:
        return said(
            agent, extra={"stages": {"give": {"question": "How much?", "draft": gift}}, "gift": 1}, revision=question
        )

    first = [whole(0, "Two.", "a"), whole(1, "Two.", "a")]
    second = [whole(0, "Two.", "b"), whole(1, "Three.", "b")]
    found = find_divergences(first, second)
    assert [(one.agent, one.part, one.question) for one in found] == [
        (1, "draft in give", "How much?"), (0, "revision", "Why?"),
    ]  # fmt: skip
