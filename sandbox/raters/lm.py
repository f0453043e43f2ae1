"""Ratings by a language model: asked in words, or read from the probabilities of the numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import Conversation
from sandbox.records import Rating

if TYPE_CHECKING:
    pass


_RATING = re.compile(r"rating\s*[:=]?\s*\**\s*(\d+(?:\.\d+)?)\s*(?:/\s*(\d+(?:\.\d+)?))?(?![\d.]*\w)", re.IGNORECASE)
_REASON = re.compile(r"reason\s*[:=]\s*\**\s*(.+)", re.IGNORECASE | re.DOTALL)


def parse_rating(text: str, scale: int) -> Rating:
    """Read ``Rating: n ### Reason: ...`` from what a language model wrote.

    Accepts ``6/7``, ``6.5`` and any case; refuses what lies outside 1..scale or is over another scale. What cannot
    be read gives None, with the text kept.

    Args:
        text: The reply, with or without the word ``Rating``.
        scale: The highest rating.
    """
    if not re.search("rating", text, re.IGNORECASE):
        text = "Rating: " + text.lstrip()
    found, why = _RATING.search(text), _REASON.search(text)
    reason = why.group(1).strip() if why else ""
    if found is None or not found.group(1).isascii():
        return Rating(None, reason=reason, raw=text)
    value, over = float(found.group(1)), found.group(2)
    if not 1 <= value <= scale or (over is not None and float(over) != scale):
        return Rating(None, reason=reason, raw=text)
    return Rating(value, reason=reason, raw=text)


class LMRater:
    """Ask the language model, as the paper does.

    Where the model gives probabilities of the answers "1".."7" the rating is their mean, from one forward pass and
    without parsing; else its words are read by :func:`parse_rating`.
    """

    name = "lm"

    def __init__(self, rest: str = "", *, embedder: Any = None) -> None:
        del rest, embedder  # every rater is made alike

    def steps(self, question: str, answer: str, *, rater_of: Any) -> Conversation:
        """Rate one answer; a generator for the scheduler."""
        choices = tuple(str(n) for n in range(1, rater_of.scale + 1))
        reply = yield rater_of.rate(question, answer, choices, 48)
        if reply.choice_probs is None:
            return parse_rating(reply.text, rater_of.scale)
        distribution = tuple(round(float(reply.choice_probs[c]), 6) for c in choices)
        value = sum(p * n for n, p in enumerate(distribution, 1)) / sum(distribution)
        return Rating(round(value, 6), distribution)

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Rate (question, answer) pairs, in order."""
        return run_conversations([self.steps(q, a, rater_of=rater_of) for q, a in items])
