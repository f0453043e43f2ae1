"""Agents that users name in settings and options: by number, by label or by name. Knows no world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.errors import SettingsError, nearest
from sandbox.scenario.personas import Persona, Personas

_MOST_NAMES = 12


def agent_name(persona: Persona, personas: Personas | None, index: int) -> str:
    """The name of an agent: that of its persona or of its node, or else ``Agent 1`` for index 0."""
    return str(persona.get(personas.name if personas is not None else "name") or f"Agent {index + 1}")


def agent_names(people: Sequence[Persona], personas: Personas | None) -> dict[int, str]:
    """The name of each agent of a new society, by number."""
    return {index: agent_name(persona, personas, index) for index, persona in enumerate(people)}


def find_agents(
    to: Any, labels: Sequence[str] | Mapping[int, str], names: Mapping[int, str] | None = None
) -> tuple[int, ...]:
    """Numbers of the agents that are meant, in ascending order.

    Args:
        to: A number, a label or a name; an agent; or several of these, as a list or in a text such as ``3,5``, ``good`` or
            ``Ada,Ben``. A name that contains a comma must be given alone or in a list.
        labels: Label of each agent, by number.
        names: Name of each agent, by number.

    Raises:
        SettingsError: there is no such agent or label, several agents have the name, or nobody is meant.
    """
    known = labels if isinstance(labels, Mapping) else dict(enumerate(labels))
    named = {index: name for index, name in (names or {}).items() if index in known}
    if isinstance(to, str):
        whole = to.strip()
        parts = [one.strip() for one in to.split(",") if one.strip()]
        given: list[Any] = [whole] if whole in named.values() else parts
    else:
        given = [to] if isinstance(to, int) or (hasattr(to, "index") and hasattr(to, "lm")) else list(to)
    found: set[int] = set()
    for one in given:
        found |= _meant(one, known, named)
    if not found:
        raise SettingsError("nobody is told of the event; give numbers of agents, as in 3,5, names or a label")
    return tuple(sorted(found))


def find_agent(given: int | str, names: Mapping[int, str], where: str) -> int:
    """The number of one agent, given by its number or its name.

    Args:
        given: Number, also as a text, or name.
        names: Name of each agent, by number.
        where: What has the agents, for messages.

    Raises:
        SettingsError: there is no such agent, or several have the name.
    """
    text = str(given).strip()
    if text.isdecimal() and int(text) in names:
        return int(text)
    same = [index for index, name in names.items() if name == text]
    if len(same) > 1:
        raise SettingsError(_several(text, same))
    if same:
        return same[0]
    raise SettingsError(
        f"{where} has no agent {given!r}.{nearest(text, names.values())} Its agents are {number_spans(names)}{_called(names)}"
    )


def _meant(one: Any, labels: Mapping[int, str], names: Mapping[int, str]) -> set[int]:
    """The agents with a label, a number or a name."""
    if labelled := {index for index, label in labels.items() if label == one}:
        return labelled
    number = getattr(one, "index", one) if not isinstance(one, str) else one
    if str(number).isdecimal() and int(number) in labels:
        return {int(number)}
    same = [index for index, name in names.items() if name == one]
    if len(same) > 1:
        raise SettingsError(_several(str(one), same))
    if same:
        return {same[0]}
    words = sorted(set(labels.values()))
    hint = nearest(str(one), [*words, *names.values()])
    raise SettingsError(
        f"no agent is meant by {one!r}.{hint} Agents are {number_spans(labels)}; labels: {', '.join(words)}{_called(names)}"
    )


def _several(name: str, agents: Sequence[int]) -> str:
    return f"{len(agents)} agents are called {name!r}; give the number of the one that is meant: {', '.join(map(str, agents))}"


def _called(names: Mapping[int, str]) -> str:
    """The names of agents, in words; empty where they are made of their numbers."""
    own = [name for index, name in names.items() if name != f"Agent {index + 1}"]
    more = f" and {len(own) - _MOST_NAMES} more" if len(own) > _MOST_NAMES else ""
    return f"; names: {', '.join(own[:_MOST_NAMES])}{more}" if own else ""


def number_spans(agents: Iterable[int]) -> str:
    """Numbers of agents in words: ``0 to 8, 10``."""
    spans: list[list[int]] = []
    for number in sorted(agents):
        if spans and number == spans[-1][-1] + 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    return ", ".join(" to ".join(map(str, span)) for span in spans) or "all removed"
