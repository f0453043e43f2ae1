"""Repeats failed conversations, and those that lack a rating, when a run is resumed.

Each is repeated as of its round: with the seeds, memories and positions of that round. Calls that succeeded are not repeated.
Later rounds, which may depend on it, are left as they are, but for states, which are settled again. In a scenario with stages,
and in a run to which agents were added or from which they were removed, complete rounds are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import Any, Protocol

from sandbox.errors import PopulationLeft
from sandbox.records import Interaction
from sandbox.society.agent import SocialAgent
from sandbox.society.placement import cells_at
from sandbox.society.staging import Staged, Staging
from sandbox.store.run import open_run


class Repairable(Staged, Protocol):
    """What the repair of a resumed run needs of a world besides."""

    round: int

    def question_for(self, agent: SocialAgent) -> str:
        """The question of an agent in the round."""
        ...

    def set_positions(self, places: Mapping[int, Any]) -> None:
        """Put agents, by index, on cells."""
        ...

    @property
    def staging(self) -> Staging:
        """The stages of a round, and states."""
        ...

    def recompute(self, round_: int) -> tuple[dict[str, Any], dict[int, Mapping[str, float]]]:
        """Compute the metrics, and the rewards of each agent, of a complete round again from its record."""
        ...

    def reload_from_record(self) -> None:
        """Restore memories, positions and metrics from the record."""
        ...


def repair_run(world: Repairable) -> int:
    """Repeat the incomplete conversations of a run.

    Args:
        world: A world that was resumed; its state is restored afterwards, and includes the repaired interactions.

    Returns:
        Number of interactions that were replaced by better ones.
    """
    incomplete = world.store.incomplete()
    now, repaired = world.round, 0
    for round_, found in groupby(incomplete, key=lambda one: one[0]):
        agents = [agent for _, agent in found]
        if round_ >= now:  # the round is not complete: the next step asks again
            world.store.delete_interactions(
                round_, [a for a, it in _stored(world, round_, agents) if it.error is not None]
            )
            continue
        if len(world.stages) > 1 or world.scenario.groups is not None or world.store.changes():
            continue  # a conversation depends on what others said in it, or in the stages before; and who lives, on it
        _rewind(world, round_)
        stored = dict(_stored(world, round_, agents))
        better = [it for it in _repeat(world, agents) if it != stored[it.agent] and not _is_worse(it, stored[it.agent])]
        world.store.replace_interactions(better)
        repaired += len(better)
    if incomplete:
        if repaired:
            _update_metrics(world, incomplete[0][0], now)
        world.reload_from_record()
    return repaired


def _stored(world: Repairable, round_: int, agents: Sequence[int]) -> list[tuple[int, Interaction]]:
    wanted = set(agents)
    # Rewards follow from interactions.
    return [(it.agent, replace(it, rewards={})) for it in world.store.interactions(round_) if it.agent in wanted]


def _repeat(world: Repairable, agents: Sequence[int]) -> list[Interaction]:
    pairs = [(world.members[agent], world.question_for(world.members[agent])) for agent in agents]
    return [done for ended in world.round_runner.run(pairs) for done in ended]


def _is_worse(new: Interaction, old: Interaction) -> bool:
    return new.error is not None and old.error is None


def _rewind(world: Repairable, round_: int) -> None:
    """Restore the agents' memories and positions at the start of a round."""
    world.round = round_
    world.remembering.rewind(round_)
    rows = open_run(world.path).positions(round_)
    world.staging.load_states()
    with suppress(PopulationLeft):
        world.staging.begin_round(again=True)
    places = cells_at(world.space, list(zip(rows["x"].tolist(), rows["y"].tolist(), strict=True)))
    world.set_positions(dict(zip(rows["agent"].tolist(), places, strict=True)))


def _update_metrics(world: Repairable, first: int, now: int) -> None:
    for round_ in range(first, now):
        world.store.set_metrics(round_, *world.recompute(round_))
