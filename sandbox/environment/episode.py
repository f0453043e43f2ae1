"""Records of reinforcement learning: what a learner must answer, what it answered, and what that earned. Knows no world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.models.base import Request


@dataclass(frozen=True, slots=True)
class Observation:
    """A prompt that the learner must answer.

    Attributes:
        agent: Index of the agent that speaks.
        name: Its name in prompts.
        label: Its label.
        round: The round, from 0.
        stage: The stage of the round: the name of its protocol.
        purpose: What is asked, as the agent names it: for example ``choose 0``, ``answer 0`` or ``rate of 3``.
        request: The request: messages, limits, seed.
    """

    agent: int
    name: str
    label: str
    round: int
    stage: str
    purpose: str
    request: Request

    @property
    def key(self) -> str:
        """Key of the observation: that of its request (32 hex digits)."""
        return self.request.key()

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat messages, each with ``role`` and ``content``; the last one is the user's."""
        return [message._asdict() for message in self.request.messages]

    @property
    def choices(self) -> tuple[str, ...]:
        """The actions that are allowed; empty where any text is."""
        return self.request.choices

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain JSON types."""
        request = self.request
        return {
            "key": self.key, "agent": self.agent, "name": self.name, "label": self.label, "round": self.round,
            "stage": self.stage, "purpose": self.purpose, "messages": self.messages, "choices": [*request.choices],
            "prefix": request.prefix, "schema": request.schema, "max_tokens": request.max_tokens,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """One action of the learner.

    Attributes:
        agent: Index of the agent that spoke.
        round: The round, from 0.
        stage: The stage of the round.
        purpose: What was asked.
        messages: The chat messages.
        prefix: Beginning that the reply had to have; not part of ``action``.
        choices: The actions that were allowed; empty where any text was.
        action: The text; of a choice, the option that was drawn.
        reward: Reward of the agent's round, with its last turn in the round; 0 with earlier ones, and where there is none.
        credit: Sum over the agent's rewards of this and later rounds, discounted as the scenario's
            :class:`~sandbox.scenario.reward.Reward` says; None where there are none, so that nothing is learnt from the turn.
    """

    agent: int
    round: int
    stage: str
    purpose: str
    messages: tuple[Mapping[str, str], ...]
    prefix: str
    choices: tuple[str, ...]
    action: str
    reward: float = 0.0
    credit: float | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode: a number of rounds of a society.

    Attributes:
        seed: Seed of the society.
        others: URIs of the models of the other agents, of those that were drawn from a league.
        turns: Actions of the learner, in the order in which they were taken.
        rewards: Rewards by agent of the learner, round by round; None where there was none.
        rounds: Number of complete rounds.
        terminated: Whether the scenario's stop condition ended it.
        truncated: Whether its number of rounds, or a cap on calls, ended it.
        totals: Sums of each of the scenario's rewards, by name, over rounds and agents of the learner.
    """

    seed: int
    others: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    rewards: Mapping[int, Sequence[float | None]] = field(default_factory=dict)
    rounds: int = 0
    terminated: bool = False
    truncated: bool = False
    totals: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The return: the sum of all rewards, of all agents of the learner, without discount."""
        return sum(value for own in self.rewards.values() for value in own if value is not None)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain JSON types, with ``total``."""
        turns = [{**asdict(turn), "messages": [dict(one) for one in turn.messages]} for turn in self.turns]
        turns = [{**turn, "choices": [*turn["choices"]]} for turn in turns]
        return {
            "seed": self.seed, "others": [*self.others], "total": self.total, "totals": dict(self.totals),
            "rounds": self.rounds, "terminated": self.terminated, "truncated": self.truncated,
            "rewards": {str(agent): [*own] for agent, own in self.rewards.items()}, "turns": turns,
        }  # fmt: skip
