"""An agent in its role as reviewer: its prompts for ratings and reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.conversation.steps import Call
from sandbox.models.base import Message
from sandbox.scenario.prompts import rating_word
from sandbox.scenario.rubric import Dimension, Example

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent


@dataclass(frozen=True, slots=True)
class Reviewer:
    """An agent in its role as reviewer; see :class:`~sandbox.raters.base.RatingRole`.

    Attributes:
        agent: The reviewer.
        author: The author of the answer.
    """

    agent: SocialAgent
    author: SocialAgent

    @property
    def dimension(self) -> Dimension:
        """The dimension that is rated."""
        return self.agent.dimension

    @property
    def scale(self) -> int:
        """The highest rating."""
        return self.agent.scale

    @property
    def examples(self) -> tuple[Example, ...]:
        """Labelled answers from which its values are learnt."""
        return self.agent.examples

    @property
    def known_answers(self) -> tuple[tuple[str, str], ...]:
        """Answers of people from which its rater learns what an answer is."""
        return self.agent.world.known_answers

    @property
    def values_key(self) -> tuple[str, int]:
        """Key of its learnt values."""
        return ("agent", self.agent.index)

    def rate(self, question: str, answer: str, choices: tuple[str, ...], max_tokens: int) -> Call:
        """Ask its language model for a rating."""
        prompts = self.agent.world.scenario.prompts
        text = prompts.rate.format(**self._fields(question, answer))
        return self._ask(text, "rate", max_tokens, prefix="Rating:", choices=choices)

    def reason(self, question: str, answer: str, rating: float) -> Call:
        """Ask its language model for the reason of a rating."""
        prompts = self.agent.world.scenario.prompts
        word = rating_word(rating, self.scale)
        text = prompts.reason.format(**self._fields(question, answer), rating=f"{rating:.0f}", verdict=word)
        prefix = self.reason_prefix(rating)
        return self._ask(text, "reason", self.agent.world.society.reason_tokens, prefix=prefix)

    def reason_prefix(self, rating: float) -> str:
        """The words that its reason begins with."""
        return self.agent.world.scenario.prompts.reason_prefix.format(
            rating=f"{rating:.0f}", verdict=rating_word(rating, self.scale), scale=self.scale
        )

    def _fields(self, question: str, answer: str) -> dict[str, Any]:
        return {
            "recalled": self.agent._recalled(question),
            "question": question,
            "author": self.author.name,
            "answer": answer,
            "words": self.dimension.words,
            "scale": self.scale,
            **self.agent._states(),
        }

    def _ask(self, text: str, purpose: str, max_tokens: int, **request: Any) -> Call:
        system = self.agent.world.scenario.prompts.review_system.format(
            name=self.agent.name, persona=self.agent.about, **self.agent._states()
        )
        messages = (Message("system", self.agent.with_told(system)), Message("user", text))
        return self.agent.ask(messages, f"{purpose} of {self.author.index}", max_tokens=max_tokens, **request)
