"""Holds the conversations of a round, each by the protocol, and lets no cap be passed nor anything unfit be kept."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.conversation.scheduler import Scheduler
from sandbox.conversation.steps import Conversation
from sandbox.errors import ProtocolError, SandboxError
from sandbox.records import Interaction
from sandbox.store.budget import CapReached
from sandbox.store.call_log import RunCallLog

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import EngineContext

# Who is asked what, and how many calls that was said to take.
About = tuple["SocialAgent", str, int]


class RoundRunner:
    """Conversations with the agents of a world, many at once.

    Args:
        world: Brings the protocol, and the round that the conversations are of.
        calls: Where calls to language models are kept and counted, with the run's caps.
        in_flight: Conversations at once, at most.

    Attributes:
        capped: Whether a cap ended them before all were held.
    """

    def __init__(self, world: EngineContext, calls: RunCallLog, *, in_flight: int) -> None:
        self._world, self._calls = world, calls
        self._scheduler = Scheduler(in_flight=in_flight, log=calls, on_calls=lambda n: world.on_calls(n))
        self._under_way = 0
        self.capped = False

    def run(self, pairs: Sequence[tuple[SocialAgent, str]]) -> Iterator[list[Interaction]]:
        """Hold conversations, as many as the caps allow, and give them as they end, in order; failed ones too.

        Args:
            pairs: Who is asked, and what.

        Raises:
            SandboxError: the set-up is at fault, and would be for every agent.
        """
        self._calls.begin()
        try:
            for ended in self._scheduler.run_batches(self._begun(pairs)):
                yield [self._outcome(*one) for one in ended]
                for (_, _, promised), _, _ in ended:
                    self._calls.ended(promised)
                self._under_way -= len(ended)
        except CapReached:
            self.capped = True
            self._scheduler.drain()

    def run_one(self, agent: SocialAgent, question: str) -> Exception | None:
        """Hold one conversation, whatever the caps, and give what it failed of."""
        [(_, _, failure)] = self._scheduler.run([(None, self._conversation(agent, question))])
        return failure

    def close(self) -> None:
        """Give up what is under way; what was answered is kept."""
        self._scheduler.close()

    def _begun(self, pairs: Sequence[tuple[SocialAgent, str]]) -> Iterator[tuple[About, Conversation] | None]:
        """Begin conversations one by one, as long as the caps allow another to end."""
        self._under_way = 0
        for agent, question in pairs:
            promised = self._world.calls_of(agent) if self._calls.is_capped else 0
            while not self._calls.allows(promised):
                if not self._under_way:
                    self.capped = True
                    return
                yield None
            self._calls.promise(promised)
            self._under_way += 1
            yield (agent, question, promised), self._conversation(agent, question)

    def _conversation(self, agent: SocialAgent, question: str) -> Conversation:
        """Follow the protocol, and see that what comes of it can be kept."""
        world = self._world
        talk = world.protocol(agent, question, world)
        done = (yield from talk) if isinstance(talk, Generator) else talk
        if not isinstance(done, Interaction):
            raise ProtocolError(f"it returned a {type(done).__name__}; a protocol must return an Interaction")
        if (done.round, done.agent) != (world.round, agent.index):
            raise ProtocolError(
                f"it returned an Interaction of round {done.round} and agent {done.agent}; give it "
                "round=world.round and agent=agent.index of the agent it was started for"
            )
        if faults := done.faults():
            raise ProtocolError(f"the Interaction it returned cannot be kept: {'; '.join(faults)}")
        if world.protocol_name != done.protocol == "back_scatter":
            done = replace(done, protocol=world.protocol_name)  # it did not say which it is
        return done

    def _outcome(self, about: About, done: Interaction | None, failure: Exception | None) -> Interaction:
        """A conversation as it ended."""
        if failure is None and done is not None:
            return done
        agent, question, _ = about
        if isinstance(failure, SandboxError) and not isinstance(failure, ProtocolError):
            raise failure
        round_, protocol = self._world.round, self._world.protocol_name
        words = (
            f"{type(failure).__name__}: {failure} (protocol {protocol!r}, round {round_}, agent {agent.index}, "
            f"question {question!r})"
        )
        return Interaction(round_, agent.index, agent.label, question, protocol=protocol, error=words)
