"""Holds the conversations again that failed, or lack a rating that could not be had, when a run is resumed.

Each is held as it would have been in its round: same seeds, memories and places of that round. Calls that were answered
then are not made again. What follows from it in later rounds is left as it was: those conversations are over.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from sandbox.records import Interaction
from sandbox.society.placement import at_positions
from sandbox.store.run import open_run

if TYPE_CHECKING:
    from sandbox.world import World


def mend(world: World) -> int:
    """Complete what the kept rounds lack.

    Args:
        world: A resumed one; it stands where it stood before when this returns, but for what was mended.

    Returns:
        How many interactions were replaced by better ones.
    """
    lacking = world.store.lacking()
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
        world.return_to_record()
    return mended


def _kept(world: World, round_: int, agents: Sequence[int]) -> list[tuple[int, Interaction]]:
    wanted = set(agents)
    return [(it.agent, it) for it in world.store.interactions(round_) if it.agent in wanted]


def _held(world: World, agents: Sequence[int]) -> list[Interaction]:
    pairs = [(world.members[agent], world.question(world.members[agent])) for agent in agents]
    return [done for ended in world.talks.hold(pairs) for done in ended]


def _is_worse(new: Interaction, old: Interaction) -> bool:
    return new.error is not None and old.error is None


def _stand_in(world: World, round_: int) -> None:
    """Bring agents' memories and places to where they were when a round began."""
    world.round = round_
    said = [it for earlier in range(round_) for it in world.store.interactions(earlier) if it.error is None]
    world.forget()
    for it in said:
        if it.final is not None:
            world.members[it.agent].memory.remember(it.question, it.final)
    rows = open_run(world.path).positions(round_)
    places = at_positions(world, list(zip(rows["x"].tolist(), rows["y"].tolist(), strict=True)))
    world.take_places(dict(zip(rows["agent"].tolist(), places, strict=True)))


def _measure_anew(world: World, first: int, now: int) -> None:
    for round_ in range(first, now):
        world.store.set_metrics(round_, world.measure_round(round_))
