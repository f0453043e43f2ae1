"""Choice among candidates: an agent writes several answers and gives the one that it rates highest itself.

Both by its own values: what it was brought up to like decides what it says. All candidates are recorded with its rating
and the observer's scores, so that they make ranked rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.conversation.steps import CallFailed, Conversation, Rate
from sandbox.records import Rating, Score
from sandbox.society.reviewer import Reviewer

if TYPE_CHECKING:
    from sandbox.models.base import Reply
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates for one answer, and the choice among them.

    Attributes:
        texts: The candidates, in the order in which they were written.
        ratings: The agent's own rating of each; None where it has none.
        chosen: Index of the one that it gives.
    """

    texts: Sequence[str]
    ratings: Sequence[float | None]
    chosen: int

    @property
    def text(self) -> str:
        """The answer that the agent gives."""
        return self.texts[self.chosen]

    @property
    def rating(self) -> float | None:
        """The agent's own rating of the answer that it gives."""
        return self.ratings[self.chosen]

    def as_records(self, scores: Sequence[Score]) -> list[dict[str, Any]]:
        """The candidates for an interaction's ``extra``: of each ``answer``, ``rating`` and the observer's ``scores``."""
        return [
            {"answer": text, "rating": rating, "scores": {d: score.value(d) for d in score.ratings}}
            for text, rating, score in zip(self.texts, self.ratings, scores, strict=True)
        ]


def n_candidates(world: SocietyContext) -> int:
    """Number of candidates for each answer: the society's setting, else the neighbours' rater's default, else 1."""
    asked = world.society.candidates
    return int(getattr(world.rater, "default_candidates", 1)) if asked is None else asked


def keeps_drafts(world: SocietyContext) -> bool:
    """Whether an agent keeps its draft where it rates it above its revisions; by default with several candidates."""
    asked = world.society.keep_draft
    return n_candidates(world) > 1 if asked is None else asked


def choose_answer(
    agent: SocialAgent, question: str, attempts: Sequence[Conversation], world: SocietyContext, *, rate: bool = False
) -> Conversation:
    """Hold all attempts at an answer, and choose the one that the agent itself rates highest.

    Of equal ratings the first is chosen. Attempts whose call failed are left out; where all failed, the first failure is
    raised. Gives :class:`Candidates`.

    Args:
        agent: The agent.
        question: The question.
        attempts: Conversations that give a :class:`~sandbox.models.base.Reply` each.
        world: The world.
        rate: Rate a single attempt too.
    """
    replies = yield [_attempt(attempt) for attempt in attempts]
    failures = [reply for reply in replies if isinstance(reply, CallFailed)]
    texts = list(dict.fromkeys(reply.text for reply in replies if not isinstance(reply, CallFailed)))
    if not texts:
        raise failures[0]
    values: list[float | None] = [None] * len(texts)
    if len(texts) > 1 or rate:
        ratings: list[Rating] = yield [_own_rating(agent, question, text, world) for text in texts]
        values = [rating.value for rating in ratings]
    best = max(range(len(texts)), key=lambda i: (values[i] or 0.0, -i))
    return Candidates(texts, values, best)


def _attempt(attempt: Conversation) -> Conversation:
    try:
        reply: Reply = yield attempt
    except CallFailed as failure:
        return failure
    return reply


def _own_rating(agent: SocialAgent, question: str, text: str, world: SocietyContext) -> Conversation:
    try:
        rating: Rating = yield Rate(world.rater, Reviewer(agent, agent), question, text)
    except CallFailed as failure:
        return Rating(None, raw=str(failure))
    return rating
