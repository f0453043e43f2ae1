"""The stages of a round: protocols that run one after the other, with a barrier between them at which states are settled.

What was said before a barrier, and the states after it, are stored until the round is complete, so that a round that is
resumed, or stepped again after an error, continues behind the last barrier that it passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sandbox.errors import PopulationLeft, RunExists, ScenarioError, nearest
from sandbox.records import Heard, Interaction
from sandbox.scenario.scenario import function_name
from sandbox.society.agent import SocialAgent
from sandbox.society.births import Peopled, replay_changes
from sandbox.society.groups import Group, remaining_groups
from sandbox.society.rewards import round_rewards
from sandbox.society.round_runner import RoundRunner
from sandbox.store.manifest import doc_summary
from sandbox.store.population import Change
from sandbox.store.writer import RunWriter

_ABOUT = ("round", "agent", "label", "protocol", "error", "heard", "utterances")


class Staged(Peopled, Protocol):
    """What the stages need of a world besides."""

    groups: Mapping[int, Group]

    @property
    def path(self) -> Path:
        """The run folder."""
        ...

    @property
    def store(self) -> RunWriter:
        """Writer of the run folder."""
        ...

    @property
    def round_runner(self) -> RoundRunner:
        """Runs the conversations of a stage."""
        ...

    @property
    def stages(self) -> Mapping[str, Any]:
        """The protocols of a round, in order, by name."""
        ...

    def embed_questions(self) -> None:
        """Store the embeddings of the questions that conversations made."""
        ...


class Staging:
    """Runs the stages of a world's rounds, and the scenario's functions that change states.

    Args:
        world: The world.

    Attributes:
        stage: Name of the running stage.
    """

    def __init__(self, world: Staged) -> None:
        self._world = world
        self._names = list(world.stages)
        self._said: dict[str, dict[int, Interaction]] = {}
        self._told: list[Heard] = []
        self._reached: list[tuple[int, str]] = []  # states at the last barrier of an unfinished round
        self._newest: tuple[int, dict[int, Interaction]] | None = None
        self._previous: tuple[int, dict[int, Interaction]] = (-1, {})
        self.stage = self._names[0]

    def load_states(self) -> None:
        """Restore the states as of the end of the previous round; a new run's are those that its scenario begins with."""
        world = self._world
        self._said, self._newest, self._previous = {}, None, (-1, {})
        if not world.states.is_used:
            return
        rows = world.store.states(world.round - 1)
        if rows:
            world.states.load(rows)
        elif world.round and world.states.is_planned:
            raise RunExists(
                f"{world.path} was recorded before its scenario had states, so they cannot be restored; choose another --out"
            )
        else:
            world.store.set_states(world.round - 1, world.states.rows())
        world.states.mark()

    def begin_round(self, *, again: bool = False) -> None:
        """Call the scenario's functions that come before a round, unless the round has been begun before.

        Args:
            again: Whether the round is complete and is repaired.
        """
        world, scenario = self._world, self._world.scenario
        world.states.reset()
        self._said, self._reached, self.stage = {}, [], self._names[0]
        world.states.is_again = again
        if not again and (passed := world.store.barriers(world.round)):
            self._replay(0)
            for ended, agent, said, _ in passed:
                if said is not None:
                    self._said.setdefault(self._names[ended - 1], {})[agent] = said
            # Questions, and who is asked, follow from the states that the round began with.
            world.states.load((agent, state) for ended, agent, _, state in passed if ended == 0 and state)
            self._reached = [(agent, state) for ended, agent, _, state in passed if ended == passed[-1][0] and state]
            self._hear(0, (), world.store.world_heard(world.round))
            return
        told: list[Heard] = []
        took_place = []
        with world.hearing.collect(told, 0):
            if scenario.before_round is not None:
                world.states.change("before_round", scenario.before_round, world)
            if (event := scenario.events.get(world.round)) is not None:
                world.states.change(f"events[{world.round}]", event, world)
                took_place.append((function_name(event), doc_summary(event)))
            if (given := world.setup.event) is not None and given.round == world.round:
                world.states.change(given.name, given.take_place, world)
                took_place.append(given.described())
        if not again and (scenario.before_round is not None or took_place):
            changes = self.take_changes(0)
            world.store.add_barrier(world.round, 0, {}, world.states.rows(), took_place, told, changes)
        self._hear(0, (), told)
        self._told = told

    def take_changes(self, ended: int | None = None) -> list[Change]:
        """Agents added and removed at the barrier behind so many stages, by default all, for the record."""
        n_stages = len(self._names)
        return self._world.members.take_changes(self._world.round, n_stages if ended is None else ended, n_stages)

    def _replay(self, *ended: int) -> None:
        """Add and remove again the agents of some barriers that the round has passed before."""
        recorded = [one for one in self._world.store.changes() if one.round == self._world.round and one.stage in ended]
        replay_changes(self._world, recorded, on_cells=True)

    def _hear(self, ended: int, said: Iterable[Interaction], told: Sequence[Heard]) -> None:
        """Give memories what was heard up to a barrier: in a stage, and from the scenario's functions behind it."""
        if ended:
            self._world.remembering.hear(2 * ended - 1, (one for it in said for one in it.heard))
        self._world.remembering.hear(2 * ended, told)

    def run(
        self, asked: Sequence[tuple[SocialAgent, str]], kept: Mapping[int, Interaction]
    ) -> Iterator[list[Interaction]]:
        """Run all stages, and yield the interactions of the last one, with what the earlier ones recorded.

        Args:
            asked: (agent, question) of each agent that is asked in the round.
            kept: Interactions of the round that are stored already, by agent.
        """
        runner, failed = self._world.round_runner, dict[int, Interaction]()
        if self._said:
            self._replay(*range(1, len(self._said) + 1))
            before = self._world.store.world_heard(self._world.round)
            for number, said in enumerate(self._said.values(), 1):
                self._hear(number, said.values(), before)
        self._world.states.load(self._reached)
        for number, stage in enumerate(self._names[:-1], 1):
            if stage not in self._said:
                self.stage = stage
                left = [pair for pair in self._remaining(asked) if pair[0].index not in failed]
                said = {done.agent: done for ended in runner.run(left) for done in ended}
                if runner.capped:
                    return
                said = dict(sorted(said.items()))
                told: list[Heard] = []
                with self._world.hearing.collect(told, 2 * number):
                    self._settle(list(said.values()))
                self._world.embed_questions()
                rows = self._world.states.recorded()
                changes = self.take_changes(number)
                self._world.store.add_barrier(self._world.round, number, said, rows, (), told, changes)
                self._said[stage] = said
                self._hear(number, said.values(), told)
            # Those that were removed are asked no more either; what they said stays.
            gone = self._world.members.has_left
            failed |= {i: done for i, done in self._said[stage].items() if done.error is not None or gone(i)}
        self.stage = self._names[-1]
        left = [pair for pair in self._remaining(asked) if pair[0].index not in kept and pair[0].index not in failed]
        lost = [self._whole(done) for index, done in failed.items() if index not in kept]
        if lost:
            yield lost
        for ended in runner.run(left):
            yield [self._whole(done) for done in ended]

    def _remaining(self, asked: Sequence[tuple[SocialAgent, str]]) -> Sequence[tuple[SocialAgent, str]]:
        """Those of the round's agents that were not removed in it; of a group, its first remaining member."""
        world = self._world
        if all(agent in world.members for agent, _ in asked) and not world.groups:
            return asked
        world.groups, first = remaining_groups(world.groups, world.members)
        pairs = [(first.get(agent.index, agent), question) for agent, question in asked]
        return [pair for pair in pairs if pair[0] in world.members]

    def _settle(self, interactions: Sequence[Interaction]) -> None:
        """Let the scenario change states by the interactions of the stage that has just ended."""
        world = self._world
        if world.scenario.settle is not None:
            world.states.change("settle", world.scenario.settle, world, list(interactions))

    def settle_round(self, interactions: Sequence[Interaction]) -> list[Heard]:
        """Let the scenario change states at the end of a round: ``settle`` after its last stage, then ``after_round``.

        Returns:
            What these functions said to agents.
        """
        world, told = self._world, list[Heard]()
        self.stage = self._names[-1]
        with world.hearing.collect(told, 2 * len(self._names)):
            self._settle(interactions)
            if world.scenario.after_round is not None:
                self._said[self.stage] = {it.agent: it for it in interactions}
                world.states.change("after_round", world.scenario.after_round, world)
        world.remembering.hear(2 * len(self._names), told)
        return told

    def reward(self, interactions: Sequence[Interaction]) -> list[Interaction]:
        """Interactions of a round that has ended, with the scenario's rewards; see :func:`round_rewards`."""
        if not self._world.scenario.reward:
            return list(interactions)
        self.stage = self._names[-1]
        self._said[self.stage] = {it.agent: it for it in interactions}
        found = round_rewards(self._world, interactions)
        return [replace(it, rewards=own) for it, own in zip(interactions, found, strict=True)]

    def settle_again(self, interactions: Sequence[Interaction]) -> list[Interaction]:
        """Compute the states after a complete round without stages again, from its interactions, and store them.

        Returns:
            The interactions, with their rewards.
        """
        world = self._world
        if world.states.is_used and len(self._names) == 1:
            self.load_states()
            try:
                self.begin_round(again=True)
                told = self.settle_round(interactions)
            except PopulationLeft:  # who lives is not decided again: later rounds depend on it
                world.states.load(world.store.states(world.round))
                return self.reward(interactions)
            world.store.set_world_heard(world.round, [*self._told, *told])
            world.store.set_states(world.round, world.states.rows())
        return self.reward(interactions)

    def end_round(self, interactions: Sequence[Interaction]) -> None:
        """The round was stored: the next one begins with these states and interactions."""
        self._world.states.mark()
        self._previous = (self._world.round + 1, {it.agent: it for it in interactions})
        if self._newest is not None and self._newest[0] == self._world.round:
            newest = self._newest[1] | {it.agent: it for it in interactions if it.error is None}
            self._newest = (self._world.round + 1, newest)

    def said(self, stage: str) -> Mapping[int, Interaction]:
        """Interactions of an earlier stage of this round, by agent, failed ones included.

        Raises:
            ScenarioError: the stage does not exist, or has not ended.
        """
        if stage not in self._said:
            raise ScenarioError(
                f"said({stage!r}): no stage of that name has ended in this round.{nearest(stage, self._names)} Stages: "
                f"{', '.join(self._names)}; ended: {', '.join(self._said) or 'none'}"
            )
        return self._said[stage]

    @property
    def previous(self) -> Mapping[int, Interaction]:
        """Interactions of the previous round, by agent; empty in the first round."""
        world = self._world
        if self._previous[0] != world.round:
            before = world.store.interactions(world.round - 1) if world.round else []
            self._previous = (world.round, {it.agent: it for it in before})
        return self._previous[1]

    def last(self, agent: SocialAgent) -> Interaction | None:
        """An agent's newest interaction that did not fail, of an earlier stage or round; None if there is none."""
        for of in reversed(self._said.values()):
            if (done := of.get(agent.index)) is not None and done.error is None:
                return done
        if self._newest is None or self._newest[0] != self._world.round:
            newest = self._world.store.newest(before=self._world.round)
            self._newest = (self._world.round, {it.agent: it for it in newest})
        return self._newest[1].get(agent.index)

    def _whole(self, last: Interaction) -> Interaction:
        """An agent's interaction of the round: that of its last stage, with ``extra`` of all.

        ``extra["stages"]`` holds what each earlier stage recorded.
        """
        if len(self._names) == 1:
            return last
        earlier = {name: of[last.agent] for name, of in self._said.items() if last.agent in of}
        earlier = {name: one for name, one in earlier.items() if one is not last}
        extra: dict[str, Any] = {}
        for one in (*earlier.values(), last):
            extra |= one.extra
        if "stages" in extra:
            raise ScenarioError(
                "a stage returned extra['stages'], where the record keeps what the earlier stages said; choose another key"
            )
        if earlier:
            extra["stages"] = {name: _content(one) for name, one in earlier.items()}
        heard = tuple(one for it in (*earlier.values(), last) for one in it.heard)
        said = tuple(one for it in (*earlier.values(), last) for one in it.utterances)
        return replace(last, protocol=self._world.protocol_name, extra=extra, heard=heard, utterances=said)


def _content(one: Interaction) -> dict[str, Any]:
    empty: tuple[Any, ...] = (None, {}, [], (), {"ratings": {}})
    return {name: value for name, value in one.as_dict().items() if name not in _ABOUT and value not in empty}
