"""Holds the conversations again that failed, or lack a rating that could not be had, when a run is resumed.

Each is held as it would have been in its round: same seeds, memories and places of that round. Calls that were answered
then are not made again. What follows from it in later rounds is left as it was: those conversations are over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from sandbox.records import Interaction
from sandbox.society.agent import SocialAgent
from sandbox.society.context import EngineContext
from sandbox.society.placement import cells_at
from sandbox.society.round_runner import RoundRunner
from sandbox.store.run import open_run
from sandbox.store.writer import RunWriter


class Repairable(EngineContext, Protocol):
    """What the repair of a resumed run needs of a world besides."""

    round: int

    @property
    def store(self) -> RunWriter:
        """Writer of the run folder."""
        ...

    @property
    def talks(self) -> RoundRunner:
        """Runs the conversations of a round."""
        ...

    def question_for(self, agent: SocialAgent) -> str:
        """The question of an agent in the round."""
        ...

    def reset_memories(self) -> None:
        """Reset every agent's memory to its upbringing."""
        ...

    def set_positions(self, places: Mapping[int, Any]) -> None:
        """Put agents, by index, on cells."""
        ...

    def recompute_metrics(self, round_: int) -> dict[str, Any]:
        """Compute the measures of a complete round again from its record."""
        ...

    def reload_from_record(self) -> None:
        """Restore memories, positions and measures from the record."""
        ...


def repair_run(world: Repairable) -> int:
    """Complete what the kept rounds lack.

    Args:
        world: A resumed one; it stands where it stood before when this returns, but for what was mended.

    Returns:
        How many interactions were replaced by better ones.
    """
    lacking = world.store.incomplete()
    now, mended = world.round, 0
    for round_, found in groupby(lacking, key=lambda one: one[0]):
        agents = [agent for _, agent in found]
        if round_ >= now:  # the round is not complete: its step asks again
            world.store.forget(round_, [a for a, it in _kept(world, round_, agents) if it.error is not None])
            continue
        _stand_in(world, round_)
        kept = dict(_kept(world, round_, agents))
        better = [it for it in _held(world, agents) if it != kept[it.agent] and not _is_worse(it, kept[it.agent])]
        world.store.replace(better)
        mended += len(better)
    if lacking:
        if mended:
            _measure_anew(world, lacking[0][0], now)
        world.reload_from_record()
    return mended


def _kept(world: Repairable, round_: int, agents: Sequence[int]) -> list[tuple[int, Interaction]]:
    wanted = set(agents)
    return [(it.agent, it) for it in world.store.interactions(round_) if it.agent in wanted]


def _held(world: Repairable, agents: Sequence[int]) -> list[Interaction]:
    pairs = [(world.members[agent], world.question_for(world.members[agent])) for agent in agents]
    return [done for ended in world.talks.run(pairs) for done in ended]


def _is_worse(new: Interaction, old: Interaction) -> bool:
    return new.error is not None and old.error is None


def _stand_in(world: Repairable, round_: int) -> None:
    """Bring agents' memories and places to where they were when a round began."""
    world.round = round_
    said = [it for earlier in range(round_) for it in world.store.interactions(earlier) if it.error is None]
    world.reset_memories()
    for it in said:
        if it.final is not None:
            world.members[it.agent].memory.remember(it.question, it.final)
    rows = open_run(world.path).positions(round_)
    places = cells_at(world, list(zip(rows["x"].tolist(), rows["y"].tolist(), strict=True)))
    world.set_positions(dict(zip(rows["agent"].tolist(), places, strict=True)))


def _measure_anew(world: Repairable, first: int, now: int) -> None:
    for round_ in range(first, now):
        world.store.set_metrics(round_, world.recompute_metrics(round_))
