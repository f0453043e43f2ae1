"""Runs the conversations of a round by the protocol, within the caps, and validates their results."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from sandbox.conversation.scheduler import Scheduler
from sandbox.conversation.steps import Conversation, Paused, spoken
from sandbox.errors import ProtocolError, SandboxError, failing_place
from sandbox.records import Heard, Interaction, Utterance
from sandbox.society.context import SocietyContext
from sandbox.society.groups import split_interactions
from sandbox.store.budget import CallBudget, CapReached
from sandbox.store.call_log import RunCallLog
from sandbox.store.schema import as_json

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent

# The agent, its question, and the calls reserved for the conversation.
About = tuple["SocialAgent", str, int]


class RunningSociety(SocietyContext, Protocol):
    """What the round runner needs of a world besides."""

    @property
    def protocol(self) -> Callable[..., Any]:
        """The protocol: a generator function of (agent, question, world)."""
        ...

    @property
    def on_calls(self) -> Callable[[int], None]:
        """Callback, receives the number of calls to language models that finished."""
        ...

    def max_calls_of(self, agent: SocialAgent) -> int:
        """Most calls to language models that a conversation around the agent makes."""
        ...


class RoundRunner:
    """Runs the conversations of a world's agents, many concurrently.

    Args:
        world: The world; its protocol and its current round are used.
        log: Finished calls to language models.
        budget: Caps of the run.
        in_flight: Maximum number of concurrent conversations.

    Attributes:
        capped: Whether a cap stopped it before all conversations had ended.
    """

    def __init__(self, world: RunningSociety, log: RunCallLog, budget: CallBudget, *, in_flight: int) -> None:
        self._world, self._budget = world, budget
        self._scheduler = Scheduler(in_flight=in_flight, log=log, on_calls=lambda n: world.on_calls(n))
        self._in_progress = 0
        self.capped = False

    def run(self, pairs: Sequence[tuple[SocialAgent, str]]) -> Iterator[list[Interaction]]:
        """Run conversations, as many as the caps allow, and yield their interactions in order; failed ones too.

        Args:
            pairs: (agent, question) of each conversation.

        Raises:
            SandboxError: the set-up is faulty, which would fail every conversation.
        """
        wanted = (
            ((agent, question, self._reserve(agent)), self._conversation(agent, question)) for agent, question in pairs
        )
        for ended in self._run(wanted):
            yield [interaction for one in ended for interaction in self._outcome(*one)]

    def run_talks(
        self, talks: Sequence[tuple[SocialAgent, Conversation, int]]
    ) -> Iterator[tuple[SocialAgent, Any, Exception | None]]:
        """Run conversations that give no interactions, as many as the caps allow: (agent, result, error) of each.

        Args:
            talks: (agent, conversation, most calls that it makes) of each.
        """
        for ended in self._run((((agent, "", calls), talk) for agent, talk, calls in talks)):
            for (agent, _, _), value, failure in ended:
                yield agent, value, failure

    def _run(self, wanted: Iterable[tuple[About, Conversation]]) -> Iterator[list[tuple[About, Any, Exception | None]]]:
        """Run conversations, as many as the caps allow, and yield those that ended, in order."""
        self._budget.reset()
        try:
            for ended in self._scheduler.run_batches(self._started(wanted)):
                yield ended
                for (_, _, reserved), _, _ in ended:
                    self._budget.release(reserved)
                self._in_progress -= len(ended)
        except CapReached:
            self.capped = True
            self._scheduler.drain()
        except Paused:
            self._scheduler.drain()
            raise

    def _reserve(self, agent: SocialAgent) -> int:
        return self._world.max_calls_of(agent) if self._budget.is_capped else 0

    def run_one(self, agent: SocialAgent, question: str) -> Exception | None:
        """Run one conversation, ignoring the caps, and return its error, if any."""
        [(_, _, failure)] = self._scheduler.run([(None, self._conversation(agent, question))])
        return failure

    def close(self) -> None:
        """Abandon the conversations in progress; finished calls stay stored."""
        self._scheduler.close()

    def _started(self, wanted: Iterable[tuple[About, Conversation]]) -> Iterator[tuple[About, Conversation] | None]:
        """Start conversations one by one, while the caps allow another to end."""
        self._in_progress = 0
        for about, conversation in wanted:
            reserved = about[2]
            while not self._budget.allows(reserved):
                if not self._in_progress:
                    self.capped = True
                    return
                yield None
            self._budget.reserve(reserved)
            self._in_progress += 1
            yield about, conversation

    def _conversation(self, agent: SocialAgent, question: str) -> Conversation:
        """Run the protocol and check that its result can be stored. Gives the interactions of the agent, or of its group."""
        world = self._world
        group = world.groups.get(agent.index, ())
        heard: list[Heard] = []
        step = 2 * list(world.stages).index(world.stage) + 1
        with world.hearing.collect(heard, step):
            talk = world.protocol(list(group) if group else agent, question, world)
        done = (yield from world.hearing.listen(talk, heard, step)) if isinstance(talk, Generator) else talk
        if not group:
            return [self._checked(done, agent, heard)]
        found = split_interactions(done, group)
        together = {"group": [member.index for member in group]}
        found = [replace(one, extra={**together, **one.extra}) for one in found]
        # What was heard in it is recorded with the first member.
        return [
            self._checked(one, member, heard if member is group[0] else [])
            for one, member in zip(found, group, strict=True)
        ]

    def _checked(self, done: Any, agent: SocialAgent, heard: Sequence[Heard]) -> Interaction:
        """The interaction of an agent as it is stored.

        Raises:
            ProtocolError: it cannot be stored.
        """
        world = self._world
        if not isinstance(done, Interaction):
            raise ProtocolError(f"it returned a {type(done).__name__}; a protocol must return an Interaction")
        if (done.round, done.agent) != (world.round, agent.index):
            raise ProtocolError(
                f"it returned an Interaction of round {done.round} and agent {done.agent}; make it with "
                "world.interaction(agent, question, ...), for the agent that the protocol was started for"
            )
        if faults := done.faults():
            raise ProtocolError(f"the Interaction it returned cannot be stored: {'; '.join(faults)}")
        if world.protocol_name != done.protocol == "back_scatter":
            done = replace(done, protocol=world.protocol_name)  # the protocol did not name itself
        if heard:
            done = replace(done, heard=(*done.heard, *heard))
        if done.extra:  # others read in it what a resumed run reads from the record, and it shares nothing with a state
            done = replace(done, extra=json.loads(as_json(dict(done.extra))))
        return replace(done, utterances=self._utterances(done)) if world.scenario.reward else done

    def _utterances(self, done: Interaction) -> tuple[Utterance, ...]:
        """What the agent of an interaction said in the conversation that has just ended, in an order of its own."""
        stage = self._world.stage if len(self._world.stages) > 1 else ""
        found = [
            Utterance(said.purpose, done.question, said.call.request.key(), said.text, stage)
            for said in spoken.get() or ()
            if said.agent == done.agent and said.is_said
        ]
        return tuple(sorted(found, key=lambda one: (one.purpose, one.key)))

    def _outcome(self, about: About, done: list[Interaction] | None, failure: Exception | None) -> list[Interaction]:
        """Interactions of a conversation that ended, with its error if it failed."""
        if failure is None and done is not None:
            return done
        agent, question, _ = about
        if isinstance(failure, SandboxError) and not isinstance(failure, ProtocolError):
            raise failure
        round_, protocol = self._world.round, self._world.protocol_name
        words = (
            f"{_described(failure)} (protocol {protocol!r}, round {round_}, agent {agent.index}, question {question!r})"
        )
        group = self._world.groups.get(agent.index, (agent,))
        return [Interaction(round_, one.index, one.label, question, protocol=protocol, error=words) for one in group]


def _described(failure: Exception | None) -> str:
    """An exception that a protocol raised, with the file and the line of its author."""
    place = "" if failure is None else failing_place(failure)
    advice = (
        "; was yield forgotten, as in reply = yield agent.answer(question)?" if "'generator'" in str(failure) else ""
    )
    return f"{type(failure).__name__}: {failure}{place}{advice}"
