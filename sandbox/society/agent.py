"""Agents: their prompts to their language models, for answers, choices, reviews and revisions.

An agent's methods return what a protocol yields: a call, or a generator of calls. Knows no batches, no files and no other
agent's memory.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from mesa.discrete_space import CellAgent

from sandbox.conversation.steps import Call, CallFailed, Conversation, Rate, Spoken, count_request, find_spoken, spoken
from sandbox.errors import ProtocolError
from sandbox.memories.base import Memory
from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.models.json_replies import check_schema
from sandbox.notebook import AgentTable
from sandbox.records import Choice, Feedback, Rating
from sandbox.scenario.personas import Persona, persona_text
from sandbox.scenario.prompts import whole_sentences
from sandbox.scenario.rubric import Dimension, Example, Upbringing
from sandbox.seeding import keyed_seed
from sandbox.society.agent_names import agent_name
from sandbox.society.event import sentences
from sandbox.society.reviewer import Reviewer
from sandbox.society.state import State
from sandbox.society.states import refuse_attribute
from sandbox.society.structured_replies import json_reply, number_bounds, number_reply
from sandbox.society.upbringing import draw_upbringing

if TYPE_CHECKING:
    from sandbox.society.context import SocietyContext

Heard: TypeAlias = Sequence[tuple[str, str]]
_GIVEN = ("index", "name", "label", "lm", "persona", "world", "cell")


class SocialAgent(AgentTable, CellAgent):
    """One member of a society.

    Attributes:
        index: From 0, in row-major order; part of the keys of its random draws and records.
        name: Its name in prompts.
        label: Decides its upbringing and its role.
        lm: Its language model.
        persona: Its row of the scenario's personas, with the attributes of the node on which it begins, in a network of a file;
            empty where there are none.

    Other attributes cannot be set: they would be lost when a run is resumed. What changes belongs into :attr:`state`.
    """

    _is_sealed = False

    def __init__(
        self, world: SocietyContext, index: int, label: str, lm: LanguageModel, persona: Persona | None = None
    ) -> None:
        super().__init__(world)
        self.world = world
        self.index = index
        self.label = label
        self.lm = lm
        self.persona: Persona = MappingProxyType(dict(persona or {}))
        self.name = agent_name(self.persona, world.scenario.personas, index)
        self._memory: Memory | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_sealed and (name in _GIVEN or (name not in self.__dict__ and not hasattr(type(self), name))):
            refuse_attribute("agent", "state", name)
        super().__setattr__(name, value)

    def remove(self) -> None:
        """Leave the society, where states may change; its name, label and last state can still be read."""
        self.world.remove(self)

    def put(self, cell: Any) -> None:
        """Put it on a cell, or on none; for the world, which records where agents move."""
        super().__setattr__("cell", cell)

    def seal(self) -> None:
        """Refuse from now on what would be lost when a run is resumed: new attributes, and changes of those it was given."""
        self._is_sealed = True

    @property
    def state(self) -> State:
        """Its state, as of the end of the last stage; see :class:`~sandbox.scenario.scenario.Scenario`."""
        return self.world.states[self.index]

    @property
    def state_before(self) -> State:
        """Its state when the round began, as the previous round left it."""
        return self.world.states.before(self.index)

    @property
    def about(self) -> str:
        """Its self-description in prompts: role of its label, then persona; ends with a space, or is empty."""
        scenario = self.world.scenario
        return persona_text(scenario.roles.get(self.label, ""), scenario.personas, self.persona)

    @property
    def dimension(self) -> Dimension:
        """The dimension that it rates in reviews: the first of the rubric."""
        return self.world.scenario.rubric.dimensions[0]

    @property
    def scale(self) -> int:
        """The highest rating."""
        return self.world.scenario.rubric.scale

    @property
    def upbringing(self) -> list[Upbringing]:
        """Its initial memories, drawn from the upbringing of its label."""
        return self._draw(self.world.upbringing.get(self.label, ()))

    @property
    def examples(self) -> tuple[Example, ...]:
        """Labelled answers from which its values are learnt: those of its lessons against their alternatives."""
        lessons = self.world.lessons
        if not lessons:
            return self.dimension.examples
        # A label without lessons of its own takes those of ``good``.
        pairs = self._draw(lessons.get(self.label, lessons.get("good", ())))
        kept = [Example(p.question, p.answer, True) for p in pairs if p.instead]
        return tuple(kept + [Example(p.question, p.instead, False) for p in pairs if p.instead])

    def _draw(self, source: Sequence[Upbringing]) -> list[Upbringing]:
        return draw_upbringing(source, self.world.society, self.world.birth_seed, self.index)

    @property
    def memory(self) -> Memory:
        """What it remembers, as of the end of the last stage; see :mod:`sandbox.memories.base`."""
        if self._memory is None:
            self._memory = self.world.remembering.begin(self)
        return self._memory

    def reset_memory(self) -> None:
        """Reset its memory to its upbringing."""
        self._memory = None

    def recall(self, question: str) -> tuple[str, str] | None:
        """What it recalls for a question, for the record.

        With the memory ``nearest`` it is the nearest remembered question and its answer; with others it is the question itself
        and what is recalled for it. None if nothing is recalled.
        """
        found = self.memory.recall(question)
        return None if found is None else (found.question or question, found.text)

    def hear(self, text: Reply | str, *, from_: SocialAgent | str, importance: float | None = None) -> None:
        """Hear what someone says, without a rating; recorded with the conversation or the round in which it is said.

        Memories that keep what is heard (``stream``, ``summary``) recall it from the next barrier on: the end of the stage.

        Args:
            text: What is said.
            from_: The agent that says it, or the name of a speaker that is no agent.
            importance: In [0, 1], for the memory ``stream``; by default its setting ``unrated``.

        Raises:
            ScenarioError: it is called neither in a protocol nor in a function that may change states.
        """
        self.world.hearing.add(self.index, text, from_, importance)

    def _earlier_turns(self, question: str) -> tuple[Message, ...]:
        found = self.memory.nearest(question, self.world.society.recall_turns)  # type: ignore[attr-defined]
        turns = ((Message("user", q), Message("assistant", a)) for q, a in reversed(found))
        return tuple(message for turn in turns for message in turn)

    def answer(self, question: str, *, turn: int = 0, heard: Heard = (), candidate: int = 0) -> Conversation:
        """Answer a question. Gives a :class:`Reply`.

        Args:
            question: The question.
            turn: Distinguishes repeated answers in one round; part of the random seed.
            heard: Utterances of others, as (name, text), put before the question.
            candidate: Distinguishes candidates for the same answer; part of the random seed.
        """
        in_turns = self.world.society.recall_turns > 0
        text = self.world.scenario.prompts.answer.format(
            recalled="" if in_turns else self._recalled(question),
            heard=self._heard(heard),
            question=question,
            **self._states(),
        )
        earlier = self._earlier_turns(question) if in_turns else ()
        messages = (Message("system", self.system), *earlier, Message("user", text))
        return _whole(self.ask(messages, f"answer {turn}{_candidate(candidate)}"))

    def choose(
        self, question: str, options: Sequence[str] | None = None, *, turn: int = 0, heard: Heard = ()
    ) -> Conversation:
        """Choose among options. Gives a :class:`~sandbox.records.Choice`.

        One forward pass where the model gives probabilities; else the options are searched for in its reply.

        Args:
            question: The question.
            options: The options; by default the scenario's.
            turn: Distinguishes repeated choices in one round; part of the random seed.
            heard: Utterances of others, as (name, text), put before the question.
        """
        given = tuple(self.world.scenario.options if options is None else options)
        messages = self._messages(self._filled("choose", question, heard, options=", ".join(given)))
        return _chosen(self.ask(messages, f"choose {turn}", max_tokens=24, prefix="Answer:", choices=given), given)

    def number(
        self, question: str, low: float, high: float, *, turn: int = 0, heard: Heard = (), tries: int = 3
    ) -> Conversation:
        """Answer with a number within bounds. Gives a :class:`~sandbox.records.StructuredReply`.

        Whole numbers, of which there are at most a hundred, are drawn from the probabilities that a local model gives them;
        else the number is read from the reply.

        Args:
            question: The question.
            low: Lowest number. If both bounds are of type int, the value is an int.
            high: Highest number.
            turn: Distinguishes repeated questions in one round; part of the random seed.
            heard: Utterances of others, as (name, text), put before the question.
            tries: How often to ask, at most, until a reply can be read.
        """
        bounds = number_bounds(low, high)
        text = self._filled("number", question, heard, low=f"{low:,}", high=f"{high:,}")
        return number_reply(self, self._messages(text), bounds, f"number {turn}", tries)

    def structured(
        self, question: str, schema: Mapping[str, Any], *, turn: int = 0, heard: Heard = (), tries: int = 3
    ) -> Conversation:
        """Answer with JSON of a form. Gives a :class:`~sandbox.records.StructuredReply`.

        Args:
            question: The question.
            schema: JSON Schema of the reply.
            turn: Distinguishes repeated questions in one round; part of the random seed.
            heard: Utterances of others, as (name, text), put before the question.
            tries: How often to ask, at most, until a reply fits the schema.
        """
        shape = check_schema(schema)
        text = self._filled("structured", question, heard, schema=shape)
        return json_reply(self, self._messages(text), shape, f"structured {turn}", tries)

    def argue(self, author: SocialAgent, question: str, answer: Reply | str, *, turn: int = 0) -> Conversation:
        """Argue against another agent's answer. Gives a :class:`Reply`; ``turn`` distinguishes repeated arguments."""
        said = answer.text if isinstance(answer, Reply) else answer
        text = self.world.scenario.prompts.argue.format(
            question=question, author=author.name, answer=said, **self._states()
        )
        messages = (Message("system", self.system), Message("user", text))
        return _whole(self.ask(messages, f"argue {turn} with {author.index}"))

    def review(self, author: SocialAgent, question: str, draft: Reply | str) -> Conversation:
        """Rate another agent's answer and give a reason. Gives a :class:`~sandbox.records.Feedback`.

        A rating whose call failed is None, with the cause as its raw text; a reason whose call failed is empty.
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

    def revise(
        self, question: str, draft: Reply | str, feedback: Sequence[Feedback], *, turn: int = 0, candidate: int = 0
    ) -> Conversation:
        """Answer again, given the feedback. Gives a :class:`Reply`; ``candidate`` as for :meth:`answer`.

        Reasons are listed from the highest rating to the lowest, so that the harshest is nearest the end of the prompt.
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
            **self._states(),
        )
        messages = (Message("system", f"{self.system} {told}"), Message("user", question))
        return _whole(self.ask(messages, f"revise {turn}{_candidate(candidate)}"))

    def ask(
        self, messages: tuple[Message, ...], purpose: str, *, max_tokens: int | None = None, **request: Any
    ) -> Call:
        """Send messages to its language model. Gives a :class:`Reply`.

        Args:
            messages: The messages.
            purpose: Any text; with the round and the agent it determines the request's random seed. A conversation that
                makes the same request again draws another reply.
            max_tokens: Maximum length of the reply in tokens; by default that of an answer.
            **request: Other fields of :class:`~sandbox.models.base.Request`.
        """
        if self.world.members.has_left(self.index):
            raise ProtocolError(f"{self.name} was removed and speaks no more; leave it out: if agent in world.members")
        society = self.world.society
        given: dict[str, Any] = {"temperature": society.temperature, "top_p": society.top_p, **request}
        stage = self.world.stage if self.world.stage != next(iter(self.world.stages)) else ""
        seed = keyed_seed(self.world.seed, self.world.round, self.index, f"{stage}: {purpose}" if stage else purpose)
        made = Request(messages, max_tokens or society.max_tokens, seed=seed, **given)
        if repeated := count_request(made):
            made = replace(made, seed=keyed_seed(seed, "repeated", repeated))
        call = Call(self.lm, made)
        if (on_ask := getattr(self.lm, "on_ask", None)) is not None:
            on_ask(self, purpose, made)
        if self.world.scenario.reward and (said := spoken.get()) is not None:
            said.append(Spoken(self.index, purpose, call))
        return call

    @property
    def system(self) -> str:
        """Its system prompt where it answers."""
        system = self.world.scenario.prompts.answer_system.format(name=self.name, persona=self.about, **self._states())
        return self.with_told(system)

    def with_told(self, system: str) -> str:
        """A system prompt, with what the agent was told by events."""
        told = sentences(self.state)
        return f"{system} {self.world.scenario.prompts.told.format(told=' '.join(told))}" if told else system

    def _filled(self, template: str, question: str, heard: Heard, **fields: str) -> str:
        """A template of the scenario's prompts that asks a question, filled in."""
        pattern: str = getattr(self.world.scenario.prompts, template)
        return pattern.format(
            recalled=self._recalled(question), heard=self._heard(heard), question=question, **fields, **self._states()
        )

    def _messages(self, text: str) -> tuple[Message, ...]:
        return Message("system", self.system), Message("user", text)

    def _states(self) -> dict[str, Mapping[str, Any]]:
        return {"state": self.state, "world_state": self.world.state, "node": self.world.node(self)}

    def _heard(self, heard: Heard) -> str:
        if not heard:
            return ""
        said = "\n".join(f"- {name}: {text}" for name, text in heard)
        return self.world.scenario.prompts.heard.format(said=said)

    def _recalled(self, question: str) -> str:
        found = self.memory.recall(question)
        return "" if found is None else found.prompt


def _candidate(number: int) -> str:
    """End of the purpose of a candidate's request; the first one's is that of a single answer."""
    return f" candidate {number}" if number else ""


def _whole(call: Call) -> Conversation:
    """Make a call; of a reply that was cut off, keep only whole sentences."""
    reply: Reply = yield call
    return replace(reply, text=whole_sentences(reply.text)) if reply.finish_reason == "length" else reply


def _chosen(call: Call, options: Sequence[str]) -> Conversation:
    """Make a call and read the option from its reply."""
    reply: Reply = yield call
    choice = read_choice(reply.text, options)
    if reply.choice_probs is not None:
        choice = Choice({option: round(float(reply.choice_probs[option]), 6) for option in options})
    said = find_spoken(call)
    if said is None or choice.best is None:
        return choice
    said.text = choice.best
    return replace(choice, on_draw=functools.partial(setattr, said, "text"))


def read_choice(text: str, options: Sequence[str]) -> Choice:
    """Find the option that a text names first, as a separate word and ignoring case.

    Args:
        text: Reply of a language model.
        options: Any texts; where one is the beginning of another, the longer match counts.
    """
    words = "|".join(re.escape(option) for option in sorted(options, key=len, reverse=True))
    found = re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE)
    if found is None:
        return Choice(None, text)
    named = next(option for option in options if option.lower() == found.group().lower())
    return Choice({option: float(option == named) for option in options})
