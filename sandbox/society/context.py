"""The interface of a world that agents, protocols and scenario functions read.

A protocol, and a scenario's ``ask``, ``move``, ``stop`` and ``measures``, may use what :class:`SocietyContext` lists and
nothing else of the world. Knows no Mesa model: :class:`~sandbox.world.World` satisfies it.

A protocol is a generator function ``protocol(agent, question, world)``. It yields what
:mod:`sandbox.conversation.steps` lists, usually what the methods of agents and of ``world.observer`` return, receives the
results, and returns the :class:`~sandbox.records.Interaction` made by ``world.interaction(agent, question, ...)``. It may
have an attribute ``max_calls``, a function of (agent, world) that returns the most calls to language models of one
conversation. Caps reserve as many calls before a conversation starts, and progress bars expect them. Without it those of
Back-Scatter are taken; a protocol that makes more is stopped at the cap, in the middle of a conversation::

    def ask_twice(agent, question, world):
        draft = yield agent.answer(question)
        revision = yield agent.answer(question, turn=1, heard=[("You", draft.text)])
        return world.interaction(agent, question, draft=draft.text, revision=revision.text)


    ask_twice.max_calls = lambda agent, world: 2
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sandbox.memories.text_index import TextIndex
    from sandbox.raters.base import Rater
    from sandbox.records import Interaction
    from sandbox.scenario.personas import Persona
    from sandbox.scenario.rubric import Upbringing
    from sandbox.scenario.scenario import Scenario
    from sandbox.scenario.settings import SocietySettings
    from sandbox.society.agent import SocialAgent
    from sandbox.society.event import Recipients
    from sandbox.society.hearing import Hearing
    from sandbox.society.members import Members
    from sandbox.society.observer import Observer
    from sandbox.society.remembering import Remembering
    from sandbox.society.state import State
    from sandbox.society.states import States


class SocietyContext(Protocol):
    """What agents, protocols and scenario functions may read of a world.

    Attributes:
        metrics: Metrics of the last complete round, by name.
    """

    metrics: dict[str, Any]

    @property
    def scenario(self) -> Scenario:
        """The scenario of the run."""
        ...

    @property
    def society(self) -> SocietySettings:
        """Settings of the society."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the random draws of rounds."""
        ...

    @property
    def birth_seed(self) -> int:
        """Seed of what agents begin with: positions, personas, upbringing. In a branch, that of the first run."""
        ...

    @property
    def round(self) -> int:
        """The running round, or the next one between rounds; from 0."""
        ...

    @property
    def members(self) -> Members:
        """The agents, by number; iteration and ``len`` are about those who live; see :mod:`sandbox.society.members`."""
        ...

    @property
    def space(self) -> Any:
        """The grid or network; see :mod:`sandbox.society.neighborhood`."""
        ...

    @property
    def rater(self) -> Rater:
        """Rater used by neighbours."""
        ...

    @property
    def observer(self) -> Observer:
        """Scores answers on every dimension of the rubric."""
        ...

    @property
    def questions(self) -> TextIndex:
        """Embeddings of the questions that were asked, and of what is remembered."""
        ...

    @property
    def hearing(self) -> Hearing:
        """Collects what is said to agents."""
        ...

    @property
    def remembering(self) -> Remembering:
        """The memories of the agents."""
        ...

    @property
    def upbringing(self) -> Mapping[str, Sequence[Upbringing]]:
        """For each label, the answers that its agents may begin with."""
        ...

    @property
    def lessons(self) -> Mapping[str, Sequence[Upbringing]]:
        """For each label, the labelled answers from which the ``values`` rater learns."""
        ...

    @property
    def known_answers(self) -> tuple[tuple[str, str], ...]:
        """(question, answer) pairs of people from which raters learn what an answer is; empty where none learns."""
        ...

    @property
    def previous(self) -> Mapping[int, Interaction]:
        """Interactions of the previous round, by agent."""
        ...

    @property
    def states(self) -> States:
        """States of the agents, by index."""
        ...

    @property
    def state(self) -> State:
        """State of the world, as of the end of the last stage."""
        ...

    @property
    def state_before(self) -> State:
        """State of the world when the round began, as the previous round left it."""
        ...

    @property
    def stages(self) -> Mapping[str, Any]:
        """The protocols of a round, in order, by name."""
        ...

    @property
    def stage(self) -> str:
        """Name of the running stage; that of the protocol where there are no stages."""
        ...

    def said(self, stage: str) -> Mapping[int, Interaction]:
        """Interactions of an earlier stage of this round, by agent, failed ones included."""
        ...

    def last(self, agent: SocialAgent) -> Interaction | None:
        """An agent's newest interaction that did not fail, of an earlier stage or round; None if there is none."""
        ...

    def speaker(self, name: str) -> SocialAgent:
        """One of the scenario's ``speakers``, which are no members."""
        ...

    @property
    def groups(self) -> Mapping[int, tuple[SocialAgent, ...]]:
        """Groups of the round by the index of their first member; empty where the scenario has none."""
        ...

    @property
    def protocol_name(self) -> str:
        """Name of the protocol."""
        ...

    def audience(self, agent: SocialAgent) -> list[SocialAgent]:
        """Agents who review the agent's draft in this round."""
        ...

    def weight(self, agent: SocialAgent, other: SocialAgent) -> float:
        """Weight of the link by which an agent hears another: 1 where there are no weights, 0 where it does not hear it.

        See :meth:`sandbox.society.neighborhood.SocialNetwork.weight`.
        """
        ...

    def node(self, agent: SocialAgent) -> Mapping[str, Any]:
        """Attributes of the node on which an agent is, as the network's file has them; empty on grids.

        An agent also begins with those of its first node as columns of its ``persona``.
        """
        ...

    def tell(self, text: str, to: Recipients | None = None) -> None:
        """Tell agents a sentence, which is in their prompts from then on; where states may be changed.

        Args:
            text: The sentence; it is added to ``agent.state["told"]``.
            to: Those who are told: agents, their indices or labels; by default all.

        Raises:
            ScenarioError: it is called within a stage; call it in ``settle``, ``before_round``, ``after_round`` or ``events``.
            SettingsError: there is no such agent.
        """
        ...

    def add(
        self,
        *,
        label: str | None = None,
        persona: Persona | None = None,
        name: str | None = None,
        place: Any = None,
        near: SocialAgent | int | None = None,
        neighbours: Iterable[SocialAgent | int] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> SocialAgent:
        """Add an agent; where states may be changed. It is asked from the next time that agents are asked.

        It has the next number, which no agent has had; its memory (the upbringing of its label), its persona and all that is
        drawn for it depend on this number alone. :meth:`SocialAgent.remove` removes an agent.

        Args:
            label: Its label; needed where agents have several.
            persona: Its persona, with the columns of the scenario's; by default one of these, drawn.
            name: Its name; by default that of its persona, or its number. A name that is taken gets a number behind it.
            place: Where it is put: (row, column) of a grid, or a node of a network; by default a free place, drawn.
            near: The agent in whose neighbourhood a free place is drawn.
            neighbours: In a network, the agents to whose nodes a new node is linked, on which it is put.
            state: Keys of its state that differ from what the scenario's ``state`` begins with.

        Returns:
            The agent.

        Raises:
            ScenarioError: it is called within a stage; there is no such label or place; or no place is free.
        """
        ...

    def remove(self, agent: SocialAgent) -> None:
        """Remove an agent; as :meth:`SocialAgent.remove`."""
        ...

    def interaction(self, agent: SocialAgent, question: str, **fields: Any) -> Interaction:
        """Record of a conversation in this round: round, agent, label and protocol are filled in.

        Args:
            agent: The agent that the protocol was started for.
            question: The question it was asked.
            **fields: Other fields of :class:`~sandbox.records.Interaction`.
        """
        ...
