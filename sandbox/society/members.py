"""The agents of a society by number, and who of them lives: agents may be added and removed while a run goes on.

Knows no run folder and no scenario; :mod:`sandbox.society.births` decides who is added.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from sandbox.store.population import ADDED, Change

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent

# Number of all agents, the removed ones with the cell that each left, and number of the changes that are not recorded.
Snapshot: TypeAlias = tuple[int, Mapping[int, Any], int]


class Members(Sequence["SocialAgent"]):
    """The agents of a society.

    ``members[7]`` is the agent with the number 7, removed or not, so that records can be looked up; iteration, ``len``, ``in``
    and slices are about those who live, in the order of their numbers. ``random.choice(members)`` and ``random.sample`` draw
    from those who live.

    Args:
        founders: The agents that the run begins with, by number.

    Attributes:
        n_founders: Number of agents that the run began with.
        changes: Changes that are not recorded yet.
    """

    def __init__(self, founders: Iterable[SocialAgent]) -> None:
        self._everyone = list(founders)
        self.n_founders = len(self._everyone)
        self._left: dict[int, Any] = {}
        self._living: list[SocialAgent] | None = None
        self._names = {agent.name for agent in self._everyone}
        self._nodes: dict[int, Any] = {}
        self._withdrawn: dict[int, SocialAgent] = {}
        self.changes: list[Change] = []

    @property
    def living(self) -> Sequence[SocialAgent]:
        """Those who live, by number."""
        if not self._left:
            return self._everyone
        if self._living is None:
            self._living = [agent for agent in self._everyone if agent.index not in self._left]
        return self._living

    @property
    def everyone(self) -> Sequence[SocialAgent]:
        """All agents that ever lived, by number."""
        return self._everyone

    @property
    def numbers(self) -> Sequence[int]:
        """Numbers of those who live, ascending."""
        return [agent.index for agent in self.living] if self._left else range(len(self._everyone))

    def __len__(self) -> int:
        return len(self._everyone) - len(self._left)

    def __iter__(self) -> Iterator[SocialAgent]:
        return iter(self.living)

    def __reversed__(self) -> Iterator[SocialAgent]:
        return reversed(self.living)

    def __contains__(self, agent: object) -> bool:
        index = getattr(agent, "index", None)
        is_known = isinstance(index, int) and 0 <= index < len(self._everyone) and index not in self._left
        return is_known and self._everyone[index] is agent  # type: ignore[index]

    @overload
    def __getitem__(self, number: int) -> SocialAgent: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[SocialAgent]: ...
    def __getitem__(self, number: int | slice) -> SocialAgent | Sequence[SocialAgent]:
        if isinstance(number, slice):
            return list(self.living[number])
        # Python's random draws positions from 0 to len(members) - 1.
        if number < 0 or (self._left and sys._getframe(1).f_globals.get("__name__") == "random"):
            return self.living[number]
        try:
            return self._everyone[number]
        except IndexError:
            raise IndexError(f"there is no agent {number}; agents are 0 to {len(self._everyone) - 1}") from None

    @property
    def removed(self) -> list[int]:
        """Numbers of those that were removed."""
        return list(self._left)

    def has_left(self, number: int) -> bool:
        """Whether the agent of a number was removed."""
        return number in self._left

    # -- changes ----------------------------------------------------------------------------------------------

    def free_name(self, name: str) -> str:
        """The name, or if another agent has had it, the name with a number behind it."""
        found, times = name, 1
        while found in self._names:
            times += 1
            found = f"{name} {times}"
        return found

    def withdrawn(self, number: int) -> SocialAgent | None:
        """The agent of a number that a round added before it was begun again: it has what it was given to remember."""
        return self._withdrawn.get(number)

    def add(self, agent: SocialAgent, cell: Any, *, node: Any = None, change: Change | None = None) -> None:
        """Add the agent with the next number.

        Args:
            agent: The agent.
            cell: Its cell; None if it is put there later.
            node: The cell, where it was made for it.
            change: The change, where it is to be recorded.
        """
        self._everyone.append(agent)
        self._living = None
        self._names.add(agent.name)
        if node is not None:
            self._nodes[agent.index] = node
        if agent not in agent.model.agents:
            agent.model.register_agent(agent)
        agent.put(cell)
        if change is not None:
            self.changes.append(change)

    def remove(self, agent: SocialAgent, change: Change | None = None) -> None:
        """Remove an agent; it keeps its number."""
        self._left[agent.index] = agent.cell
        self._living = None
        agent.model.deregister_agent(agent)
        agent.put(None)
        if change is not None:
            self.changes.append(change)

    def take_changes(self, round_: int, stage: int, n_stages: int) -> list[Change]:
        """The changes since the last call, for the record.

        Args:
            round_: The round.
            stage: Number of its stages that have ended.
            n_stages: Number of its stages.
        """
        taken, self.changes = self.changes, []
        return [
            replace(
                one, round=round_, stage=stage, from_round=round_ + (stage >= (n_stages if one.change == ADDED else 1))
            )
            for one in taken
        ]

    def snapshot(self) -> Snapshot:
        """Who lives now, for :meth:`restore`."""
        return len(self._everyone), dict(self._left), len(self.changes)

    def restore(self, before: Snapshot) -> None:
        """Undo what was changed since a snapshot."""
        n, left, n_changes = before
        for agent in reversed(self._everyone[n:]):
            if agent.index not in self._left:
                agent.model.deregister_agent(agent)
                agent.put(None)
            self._names.discard(agent.name)
            self._withdrawn[agent.index] = agent
            if (node := self._nodes.pop(agent.index, None)) is not None:
                agent.world.space.remove_node(node)
        del self._everyone[n:]
        for index in [index for index in self._left if index not in left]:
            cell = self._left.pop(index)
            if index < n:
                agent = self._everyone[index]
                agent.model.register_agent(agent)
                agent.put(cell)
        self._living = None
        del self.changes[n_changes:]

    def restore_founders(self) -> None:
        """Undo all changes, to make them again from the record: those who were removed are put on no cell."""
        self._left = dict.fromkeys(self._left)
        self.restore((self.n_founders, {}, 0))
