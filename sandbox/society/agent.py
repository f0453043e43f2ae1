"""What agents say to their language models.

An agent's methods return what a protocol yields: a call, or a generator of calls. They know nothing of batches,
files or other agents' minds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from mesa.discrete_space import CellAgent

from sandbox.conversation.steps import Call, CallFailed, Conversation, Rate
from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.records import Choice, Feedback, Rating
from sandbox.scenario.personas import Persona, persona_text
from sandbox.scenario.prompts import rating_word, whole_sentences
from sandbox.scenario.rubric import Dimension, Example, Upbringing
from sandbox.seeding import keyed_rng, keyed_seed
from sandbox.society.memory import Memory

if TYPE_CHECKING:
    from sandbox.society.context import SocietyContext

Heard: TypeAlias = Sequence[tuple[str, str]]


class SocialAgent(CellAgent):
    """One member of a society.

    Attributes:
        index: From 0, in row-major order of the grid; it keys the agent's random streams and records.
        name: What others call it.
        label: Decides what it was brought up to say, and its role.
        lm: The language model it speaks through.
        persona: Its row of the scenario's personas; empty where there are none.
    """

    def __init__(
        self, world: SocietyContext, index: int, label: str, lm: LanguageModel, persona: Persona | None = None
    ) -> None:
        super().__init__(world)
        self.world = world
        self.index = index
        self.label = label
        self.lm = lm
        self.persona: Persona = persona or {}
        personas = world.scenario.personas
        self.name = str(self.persona.get(personas.name if personas else "name") or f"Agent {index + 1}")
        self._memory: Memory | None = None

    @property
    def about(self) -> str:
        """What it is told of itself: the role of its label, then its persona; with a space after it, or empty."""
        scenario = self.world.scenario
        return persona_text(scenario.roles.get(self.label, ""), scenario.personas, self.persona)

    @property
    def dimension(self) -> Dimension:
        """What it rates others' answers for: the first dimension of the rubric."""
        return self.world.scenario.rubric.dimensions[0]

    @property
    def scale(self) -> int:
        """The highest rating it can give."""
        return self.world.scenario.rubric.scale

    @property
    def upbringing(self) -> list[Upbringing]:
        """What it was born with, drawn from all that agents of its label may be brought up to say."""
        return self._draw(self.world.upbringing.get(self.label, ()))

    @property
    def examples(self) -> tuple[Example, ...]:
        """Labelled answers its values come from: what it was brought up to say, against what it was not."""
        lessons = self.world.lessons
        if not lessons:
            return self.dimension.examples
        # A label that brings no lessons of its own shares those of the good.
        pairs = self._draw(lessons.get(self.label, lessons.get("good", ())))
        kept = [Example(p.question, p.answer, True) for p in pairs if p.instead]
        return tuple(kept + [Example(p.question, p.instead, False) for p in pairs if p.instead])

    def _draw(self, source: Sequence[Upbringing]) -> list[Upbringing]:
        n = min(self.world.society.prior_memories, len(source))
        return keyed_rng(self.world.birth_seed, "upbringing", self.index).sample(source, n)

    @property
    def memory(self) -> Memory:
        """Its own answers, as they stood when the round began."""
        if self._memory is None:
            self._memory = Memory(self.world.questions, [(p.question, p.answer) for p in self.upbringing])
        return self._memory

    def forget(self) -> None:
        """Remember only what it was born with."""
        self._memory = None

    def recall(self, question: str) -> tuple[str, str] | None:
        """The remembered (question, answer) nearest to ``question``, if near enough to be told to it."""
        return self.memory.recall(question, within=self.world.society.recall_distance)

    def answer(self, question: str, *, turn: int = 0, heard: Heard = ()) -> Conversation:
        """Answer a question. Gives a :class:`Reply`.

        Args:
            question: What it is asked.
            turn: Tells repeated answers in one round apart.
            heard: What others said, as (name, text), that it is told first.
        """
        text = self.world.scenario.prompts.answer.format(
            recalled=self._recalled(question), heard=self._heard(heard), question=question
        )
        return _whole(self.ask((Message("system", self._system()), Message("user", text)), f"answer {turn}"))

    def choose(
        self, question: str, options: Sequence[str] | None = None, *, turn: int = 0, heard: Heard = ()
    ) -> Conversation:
        """Pick one of a few options. Gives a :class:`~sandbox.records.Choice`.

        One forward pass where the model gives probabilities; else its words are searched for the options.

        Args:
            question: What it is asked.
            options: By default the scenario's.
            turn: Tells repeated choices in one round apart.
            heard: What others said, as (name, text), that it is told first.
        """
        given = tuple(self.world.scenario.options if options is None else options)
        text = self.world.scenario.prompts.choose.format(
            recalled=self._recalled(question), heard=self._heard(heard), question=question, options=", ".join(given)
        )
        messages = (Message("system", self._system()), Message("user", text))
        return _chosen(self.ask(messages, f"choose {turn}", max_tokens=24, prefix="Answer:", choices=given), given)

    def argue(self, author: SocialAgent, question: str, answer: Reply | str, *, turn: int = 0) -> Conversation:
        """Speak against another agent's answer. Gives a :class:`Reply`; ``turn`` tells repeated ones apart."""
        said = answer.text if isinstance(answer, Reply) else answer
        text = self.world.scenario.prompts.argue.format(question=question, author=author.name, answer=said)
        messages = (Message("system", self._system()), Message("user", text))
        return _whole(self.ask(messages, f"argue {turn} with {author.index}"))

    def review(self, author: SocialAgent, question: str, draft: Reply | str) -> Conversation:
        """Rate another agent's answer and say why. Gives a :class:`~sandbox.records.Feedback`.

        A rating that cannot be had is None and keeps the cause; a reason that cannot be had is empty.
        """
        answer = draft.text if isinstance(draft, Reply) else draft
        reader = Reviewer(self, author)
        try:
            rating: Rating = yield Rate(self.world.rater, reader, question, answer)
        except CallFailed as failure:
            return Feedback(self.index, Rating(None, raw=str(failure)))
        if rating.value is not None and not rating.reason and not self.world.society.score_only:
            try:
                reason = yield reader.reason(question, answer, rating.value)
            except CallFailed:
                return Feedback(self.index, rating)
            words = f"{reader.reason_prefix(rating.value)} {reason.text}".strip()
            rating = replace(rating, reason=whole_sentences(words))
        return Feedback(self.index, rating)

    def revise(self, question: str, draft: Reply | str, feedback: Sequence[Feedback], *, turn: int = 0) -> Conversation:
        """Answer again after hearing the feedback. Gives a :class:`Reply`.

        Reasons are told from the kindest to the harshest, so that the harshest stands nearest the end.
        """
        prompts = self.world.scenario.prompts
        rated = [f for f in feedback if f.rating.value is not None]
        ordered = sorted(rated, key=lambda f: -(f.rating.value or 0))
        mean = sum(f.rating.value or 0 for f in rated) / len(rated) if rated else None
        reasons = "\n".join(f"- {f.rating.reason}" for f in ordered if f.rating.reason)
        told = prompts.revise.format(
            question=question,
            draft=draft.text if isinstance(draft, Reply) else draft,
            rating="unknown" if mean is None else f"{mean:.1f}",
            scale=self.scale,
            reasons=reasons or "- (nothing more)",
        )
        messages = (
            Message("system", f"{self._system()} {told}"),
            Message("user", question),
        )
        return _whole(self.ask(messages, f"revise {turn}"))

    def ask(
        self, messages: tuple[Message, ...], purpose: str, *, max_tokens: int | None = None, **request: Any
    ) -> Call:
        """Say anything to its language model. Gives a :class:`Reply`.

        Args:
            messages: The conversation.
            purpose: What this is for; with the round and the agent it keys the request's random stream.
            max_tokens: Length of the reply at most; that of an answer by default.
            **request: Other fields of :class:`~sandbox.models.base.Request`.
        """
        society = self.world.society
        given: dict[str, Any] = {"temperature": society.temperature, "top_p": society.top_p, **request}
        seed = keyed_seed(self.world.seed, self.world.round, self.index, purpose)
        return Call(self.lm, Request(messages, max_tokens or society.max_tokens, seed=seed, **given))

    def _system(self) -> str:
        return self.world.scenario.prompts.answer_system.format(name=self.name, persona=self.about)

    def _heard(self, heard: Heard) -> str:
        if not heard:
            return ""
        said = "\n".join(f"- {name}: {text}" for name, text in heard)
        return self.world.scenario.prompts.heard.format(said=said)

    def _recalled(self, question: str) -> str:
        found = self.recall(question)
        if found is None:
            return ""
        return self.world.scenario.prompts.recalled.format(question=found[0], answer=found[1])


def _whole(call: Call) -> Conversation:
    """Make a call, and keep only whole sentences of a reply that was cut off."""
    reply: Reply = yield call
    return replace(reply, text=whole_sentences(reply.text)) if reply.finish_reason == "length" else reply


def _chosen(call: Call, options: Sequence[str]) -> Conversation:
    """Make a call, and read which option its reply is."""
    reply: Reply = yield call
    if reply.choice_probs is not None:
        return Choice({option: round(float(reply.choice_probs[option]), 6) for option in options})
    return read_choice(reply.text, options)


def read_choice(text: str, options: Sequence[str]) -> Choice:
    """Find the option that a text names first, as a word of its own and in any case.

    Args:
        text: What a language model wrote.
        options: Any texts; of two that begin alike the longer counts.
    """
    words = "|".join(re.escape(option) for option in sorted(options, key=len, reverse=True))
    found = re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE)
    if found is None:
        return Choice(None, text)
    named = next(option for option in options if option.lower() == found.group().lower())
    return Choice({option: float(option == named) for option in options})


@dataclass(frozen=True, slots=True)
class Reviewer:
    """An agent in the role of a reviewer: what raters see of it.

    Attributes:
        agent: Who rates.
        author: Whose answer it is.
    """

    agent: SocialAgent
    author: SocialAgent

    @property
    def dimension(self) -> Dimension:
        """What it rates for."""
        return self.agent.dimension

    @property
    def scale(self) -> int:
        """The highest rating."""
        return self.agent.scale

    @property
    def examples(self) -> tuple[Example, ...]:
        """Labelled answers its values come from."""
        return self.agent.examples

    @property
    def values_key(self) -> tuple[str, int]:
        """Names its values, so that they are learnt once."""
        return ("agent", self.agent.index)

    def rate(self, question: str, answer: str, choices: tuple[str, ...], max_tokens: int) -> Call:
        """Ask its language model for a rating."""
        prompts = self.agent.world.scenario.prompts
        text = prompts.rate.format(**self._fields(question, answer))
        return self._ask(text, "rate", max_tokens, prefix="Rating:", choices=choices)

    def reason(self, question: str, answer: str, rating: float) -> Call:
        """Ask its language model why it gave the rating."""
        prompts = self.agent.world.scenario.prompts
        word = rating_word(rating, self.scale)
        text = prompts.reason.format(**self._fields(question, answer), rating=f"{rating:.0f}", verdict=word)
        prefix = self.reason_prefix(rating)
        return self._ask(text, "reason", self.agent.world.society.reason_tokens, prefix=prefix)

    def reason_prefix(self, rating: float) -> str:
        """The words its reason begins with."""
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
        }

    def _ask(self, text: str, purpose: str, max_tokens: int, **request: Any) -> Call:
        system = self.agent.world.scenario.prompts.review_system.format(name=self.agent.name, persona=self.agent.about)
        messages = (Message("system", system), Message("user", text))
        return self.agent.ask(messages, f"{purpose} of {self.author.index}", max_tokens=max_tokens, **request)
