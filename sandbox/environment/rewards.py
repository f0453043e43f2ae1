"""The record of a running episode: turns as they are taken, and their rewards as rounds end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sandbox.environment.episode import Episode, Observation, Turn
from sandbox.models.base import Reply
from sandbox.records import Interaction


class EpisodeRecord:
    """Turns and rewards of one episode.

    Args:
        seed: Seed of the society.
        others: URIs of the models of the other agents.
        agents: Indices of the learner's agents.
        reward: Name of the reward.
        discount: Share of the reward of each later round that a turn is credited with, in [0, 1].
        failed: Reward of an agent whose conversation failed; None for none.
    """

    def __init__(
        self,
        seed: int,
        others: tuple[str, ...] = (),
        agents: Sequence[int] = (),
        reward: str = "",
        discount: float = 0.0,
        failed: float | None = None,
    ) -> None:
        self._seed, self._others, self._reward, self._discount, self._failed = seed, others, reward, discount, failed
        self._rewards: dict[int, list[float | None]] = {agent: [] for agent in agents}
        self._totals = {reward: 0.0} if reward else {}
        self._turns: list[tuple[str, Turn]] = []
        self._rounds, self._terminated, self._truncated = 0, False, False

    def add(self, observation: Observation, reply: Reply) -> None:
        """Add the action that answers an observation."""
        one = observation
        self._turns.append(
            (
                one.key,
                Turn(
                    one.agent, one.round, one.stage, one.purpose, tuple(one.messages), one.request.prefix, one.choices,
                    reply.text,
                ),
            )
        )  # fmt: skip

    def end_round(self, round_: int, interactions: Mapping[int, Interaction]) -> dict[int, float | None]:
        """Take the rewards of a round that has ended, and what was drawn of choices.

        Args:
            round_: The round, from 0.
            interactions: All of the round, by agent.

        Returns:
            The rewards of those of the learner's agents that were asked, by agent.
        """
        said = {one.key: one.text for it in interactions.values() for one in it.utterances if one.text is not None}
        self._turns = [
            (key, replace(turn, action=said[key]) if turn.round == round_ and key in said else turn)
            for key, turn in self._turns
        ]
        for _, turn in self._turns:  # agents that were added
            self._rewards.setdefault(turn.agent, [None] * round_)
        found: dict[int, float | None] = {}
        for agent, own in self._rewards.items():
            value = None
            if (done := interactions.get(agent)) is not None:
                value = self._failed if done.error is not None else done.rewards.get(self._reward)
                found[agent] = value
                for name, earned in {**done.rewards, self._reward: value}.items():
                    self._totals[name] = self._totals.get(name, 0.0) + (earned or 0.0)
            own.append(value)
        self._rounds = round_ + 1
        return found

    def finish(self, rounds: int, *, terminated: bool) -> None:
        """End the episode after so many complete rounds."""
        self._rounds, self._terminated, self._truncated = rounds, terminated, not terminated

    def episode(self) -> Episode:
        """The episode so far, with rewards and credits of the rounds that have ended."""
        credits = {agent: _credits(own, self._discount) for agent, own in self._rewards.items()}
        last = {(turn.agent, turn.round): number for number, (_, turn) in enumerate(self._turns)}
        turns = []
        for number, (_, turn) in enumerate(self._turns):
            own = self._rewards.get(turn.agent, [])
            if turn.round < len(own):
                earned = own[turn.round] if last[turn.agent, turn.round] == number else None
                turn = replace(turn, reward=earned or 0.0, credit=credits[turn.agent][turn.round])
            turns.append(turn)
        rewards = {agent: tuple(own) for agent, own in self._rewards.items()}
        return Episode(
            self._seed, self._others, tuple(turns), rewards, self._rounds, self._terminated, self._truncated, dict(self._totals)
        )  # fmt: skip


def _credits(rewards: Sequence[float | None], discount: float) -> list[float | None]:
    """Discounted sums of the rewards from each round on; None where there is no reward to come."""
    found: list[float | None] = []
    later: float | None = None
    for value in reversed(rewards):
        carried = None if later is None or not discount else discount * later
        later = carried if value is None else value + (carried or 0.0)
        found.append(later)
    return found[::-1]
