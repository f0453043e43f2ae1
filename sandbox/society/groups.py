"""Groups of a round: one conversation of several members, with an interaction of each."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.errors import ProtocolError, ScenarioError
from sandbox.records import Interaction
from sandbox.society.audience import members_named
from sandbox.society.states import call_scenario

if TYPE_CHECKING:
    from sandbox.society.agent import SocialAgent
    from sandbox.society.context import SocietyContext

Group = tuple["SocialAgent", ...]


def draw_groups(world: SocietyContext) -> dict[int, Group]:
    """The groups of this round by the index of their first member; empty where the scenario has none.

    Raises:
        ScenarioError: ``groups`` of the scenario failed, or returned something else than groups of different agents.
    """
    if world.scenario.groups is None:
        return {}
    given = call_scenario("groups", world.scenario.groups, world)
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise ScenarioError(f"groups of the scenario returned {given!r}; it must return a list of groups")
    found: dict[int, Group] = {}
    taken: dict[int, SocialAgent] = {}
    for one in given:
        members = members_named("groups", one, world.members)
        if not members:
            raise ScenarioError("groups of the scenario returned an empty group; leave it out")
        for member in members:
            if member.index in taken:
                raise ScenarioError(
                    f"groups of the scenario returned {member.name} in two groups; name each agent once"
                )
            taken[member.index] = member
        found[members[0].index] = tuple(members)
    return dict(sorted(found.items()))


def remaining_groups(
    groups: Mapping[int, Group], members: Container[SocialAgent]
) -> tuple[dict[int, Group], dict[int, SocialAgent]]:
    """The groups without agents that were removed; and for the first member of each before, the first that remains."""
    left = {first: tuple(one for one in group if one in members) for first, group in groups.items()}
    heads = {first: group[0] for first, group in left.items() if group}
    return {heads[first].index: group for first, group in left.items() if group}, heads


def split_interactions(done: Any, group: Group) -> list[Interaction]:
    """The interactions that the conversation of a group returned, in the order of its members.

    Raises:
        ProtocolError: it returned something else than one interaction of each member.
    """
    given = list(done) if isinstance(done, list | tuple) else [done]
    agents = [one.agent for one in given if isinstance(one, Interaction)]
    if len(agents) < len(given) or sorted(agents) != sorted(member.index for member in group):
        found = (
            ", ".join(type(one).__name__ for one in given) if len(agents) < len(given) else f"those of agents {agents}"
        )
        raise ProtocolError(
            f"it returned {found}; the protocol of a group must return a list with one Interaction of each of its "
            f"{len(group)} members"
        )
    return sorted(given, key=lambda one: [member.index for member in group].index(one.agent))
