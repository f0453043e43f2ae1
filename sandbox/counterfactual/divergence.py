"""Where two records of the same agents begin to say different things.

Knows no worlds and no files: it compares interactions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sandbox.records import Interaction

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
# In the order in which they are said.
_QUESTION, _DRAFT, _REVIEW, _REVISION, _REST = range(5)
_NO_PARTS = ("stages", "drafts", "revisions")  # of extra: compared by stage, or candidates


class Part(NamedTuple):
    """A part of what was said in an interaction, with the number and name of its stage."""

    stage: int
    kind: int
    name: str
    text: str
    question: str


@dataclass(frozen=True)
class Divergence:
    """The first part of an interaction that differs between two records.

    Attributes:
        round: The round.
        agent: Index of the agent that was asked.
        label: Its label.
        question: The question, of that stage, in the second record.
        part: What differs first: ``question``, ``draft``, ``review by N``, ``heard by N, K`` (the
            K-th thing that was said to agents), ``revision``, a key of ``extra``, ``error``, or one
            of these in an earlier stage (``draft in give``).
        first: The first sentence of it that differs, in the first record; empty where there is none.
        second: The same in the second record.
    """

    round: int
    agent: int
    label: str
    question: str
    part: str
    first: str
    second: str

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return asdict(self)


def find_divergences(first: Sequence[Interaction], second: Sequence[Interaction]) -> list[Divergence]:
    """Compare the interactions of one round, or of several.

    Returns:
        One for each interaction that differs, in the order of rounds; within a round drafts come before reviews, and these
        before revisions, so that what caused a difference stands before what followed from it.
    """
    sides = [{(it.round, it.agent): it for it in of} for of in (first, second)]
    found = []
    for key in sorted(set(sides[0]) | set(sides[1])):
        pair = [side.get(key) for side in sides]
        label = next(it.label for it in pair if it is not None)
        parts = [{p[:3]: p for p in _parts(it)} if it is not None else {} for it in pair]
        for place in sorted(
            {**parts[0], **parts[1]}, key=lambda place: place[:2]
        ):  # those of one kind keep their order
            one, other = (of.get(place) for of in parts)
            texts = "" if one is None else one.text, "" if other is None else other.text
            if texts[0] != texts[1]:
                question = (other or one or Part(0, 0, "", "", "")).question
                said = _first_sentences(*texts)
                found.append(((key[0], *place[:2], key[1]), Divergence(*key, label, question, place[2], *said)))
                break
    return [one for _, one in sorted(found, key=lambda row: row[0])]


def _parts(it: Interaction) -> Iterator[Part]:
    """What was said in an interaction, in the order of stages."""
    stages = it.extra.get("stages", {})
    for number, (stage, of) in enumerate(stages.items()):
        reviews = [(f["reviewer"], f["rating"]["value"], f["rating"]["reason"]) for f in of.get("feedback", ())]
        asked = str(of.get("question") or "")
        heard = [(h["agent"], h["name"], h["text"]) for h in of.get("heard", ())]
        for kind, name, text in _said(asked, of.get("draft"), reviews, heard, of.get("revision"), of.get("extra", {})):
            yield Part(number, kind, f"{name} in {stage}", text, asked)
    reviews = [(f.reviewer, f.rating.value, f.rating.reason) for f in it.feedback]
    heard = [(h.agent, h.name, h.text) for h in it.heard]
    for kind, name, text in _said(it.question, it.draft, reviews, heard, it.revision, it.extra):
        yield Part(len(stages), kind, name, text, it.question)
    if it.error is not None:
        yield Part(len(stages), _REST, "error", it.error, it.question)


def _said(
    question: str,
    draft: str | None,
    reviews: Sequence[tuple[int, float | None, str]],
    heard: Sequence[tuple[int, str, str]],
    revision: str | None,
    extra: Mapping[str, Any],
) -> Iterator[tuple[int, str, str]]:
    yield _QUESTION, "question", question
    if draft is not None:
        yield _DRAFT, "draft", draft
    for reviewer, rating, reason in reviews:
        rated = "no rating" if rating is None else f"rated {rating:.2f}"
        yield _REVIEW, f"review by {reviewer}", f"{reason} ({rated})".strip()
    for number, (agent, speaker, text) in enumerate(heard, 1):
        yield _REVIEW, f"heard by {agent}, {number}", f"{speaker}: {text}"
    if revision is not None:
        yield _REVISION, "revision", revision
    for key, value in extra.items():
        if key not in _NO_PARTS:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
            yield _REST, key, text


def _first_sentences(first: str, second: str) -> tuple[str, str]:
    """The first sentence at which two texts differ, of each."""
    sentences = [_SENTENCE_END.split(text.strip()) for text in (first, second)]
    for number in range(max(map(len, sentences))):
        pair = [of[number] if number < len(of) else "" for of in sentences]
        if pair[0] != pair[1]:
            return pair[0], pair[1]
    return first, second
