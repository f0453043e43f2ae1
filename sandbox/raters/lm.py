"""Ratings by a language model: parsed from its reply, or read from the probabilities of the numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import Conversation
from sandbox.models.thoughts import without_thoughts
from sandbox.records import Rating

if TYPE_CHECKING:
    from sandbox.raters.base import RatingRole


_RATING = re.compile(r"rating\s*[:=]?\s*\**\s*(\d+(?:\.\d+)?)\s*(?:/\s*(\d+(?:\.\d+)?))?(?![\d.]*\w)", re.IGNORECASE)
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_REASON = re.compile(r"reason\s*[:=]\s*\**\s*(.+)", re.IGNORECASE | re.DOTALL)


def parse_rating(text: str, scale: int) -> Rating:
    """Parse ``Rating: n ### Reason: ...`` in the reply of a language model.

    Accepts ``6/7``, ``6.5`` and any case, and sentences that name one number, in digits or as a word; rejects numbers
    outside 1..scale and fractions of another scale. A rating that cannot be parsed is None, with the text as ``raw``.

    Args:
        text: The reply, with or without the word ``Rating``.
        scale: The highest rating.
    """
    if not re.search("rating", text, re.IGNORECASE):
        text = "Rating: " + text.lstrip()
    said = without_thoughts(text)
    found, why = _RATING.search(said), _REASON.search(said)
    reason = why.group(1).strip() if why else ""
    if found is None or not found.group(1).isascii():
        return Rating(_number_in_words(said[: why.start()] if why else said, scale), reason=reason, raw=text)
    value, over = float(found.group(1)), found.group(2)
    if not 1 <= value <= scale or (over is not None and float(over) != scale):
        return Rating(None, reason=reason, raw=text)
    return Rating(value, reason=reason, raw=text)


def _number_in_words(text: str, scale: int) -> float | None:
    """The number that a sentence names, as "I would give this a 6 out of 7"; None unless it names exactly one."""
    highest = f"{scale}|{_WORDS[scale - 1]}" if scale <= len(_WORDS) else str(scale)
    text = re.sub(rf"\b(?:1|one)\s*(?:to|through|-|–|\.\.)\s*(?:{highest})\b", " ", text, flags=re.IGNORECASE)
    text = re.sub(rf"(?:/|\bout\s+of|\bof)\s*{scale}(?![\d.]*\w)", " ", text, flags=re.IGNORECASE)
    numbers = [float(n) for n in re.findall(r"(?<![\w.,/+\-])(\d+(?:\.\d+)?)(?![\d.]*\w|/|%)", text, re.ASCII)]
    words = re.findall(rf"\b({'|'.join(_WORDS)})\b(\s+and\s+a\s+half\b)?", text, re.IGNORECASE)
    # "One" is a pronoun more often than a rating.
    named = [
        _WORDS.index(word.lower()) + (1.5 if half else 1.0)
        for word, half in words
        if not (numbers and word.lower() == "one")
    ]
    found = {*numbers, *named}
    [value] = found if len(found) == 1 else [0.0]
    return value if 1 <= value <= scale else None


class LMRater:
    """Asks the language model of the agent or observer, as in the paper.

    Where the model gives probabilities of the answers "1".."7", the rating is their mean, from one forward pass and
    without parsing; else its reply is parsed by :func:`parse_rating`.
    """

    name = "lm"

    def __init__(self, rest: str = "", *, embedder: Any = None) -> None:
        del rest, embedder  # all raters are made with the same arguments

    def steps(self, question: str, answer: str, *, rater_of: RatingRole) -> Conversation:
        """Rate one answer; a generator for the scheduler."""
        choices = tuple(str(n) for n in range(1, rater_of.scale + 1))
        reply = yield rater_of.rate(question, answer, choices, 48)
        if reply.choice_probs is None:
            return parse_rating(reply.text, rater_of.scale)
        distribution = tuple(round(float(reply.choice_probs[c]), 6) for c in choices)
        value = sum(p * n for n, p in enumerate(distribution, 1)) / sum(distribution)
        return Rating(round(value, 6), distribution)

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: RatingRole) -> list[Rating]:
        """Rate (question, answer) pairs, in order."""
        return run_conversations([self.steps(q, a, rater_of=rater_of) for q, a in items])
