"""An event that a run is given from outside: a sentence that agents are told, or a function that changes states.

It takes place before the first round that a run makes of its own: in a branch, the round that it branches at. Knows no grids
and no models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.errors import ScenarioError, SettingsError, author_line
from sandbox.scenario.scenario import function_name
from sandbox.society.agent_names import find_agents
from sandbox.society.prior_run import PriorRun
from sandbox.storage_errors import read_as_written
from sandbox.store.manifest import doc_summary
from sandbox.store.run import open_run
from sandbox.text_cleaning import without_surrogates

# The key of an agent's state that holds the sentences it was told.
TOLD = "told"

Recipients = str | int | Iterable[Any]


@dataclass(frozen=True)
class Event:
    """An event from outside.

    Attributes:
        round: The round before which it takes place, from 0.
        text: The sentence that agents are told; empty for a function.
        to: Indices of the agents that are told; None for all.
        function: Function of (world), which may change states; None for a sentence.
        file: File of the function, as it was given; empty for a function that was given itself.
    """

    round: int
    text: str = ""
    to: tuple[int, ...] | None = None
    function: Callable[[Any], None] | None = None
    file: str = ""

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"the event {self.file}" if self.function is not None and self.file else "the event"

    def take_place(self, world: Any) -> None:
        """Tell the agents, or call the function."""
        if self.function is not None:
            self.function(world)
        else:
            tell(world, self.text, self.to)

    def described(self) -> tuple[str, str]:
        """Name and description, for the table of events."""
        if self.function is not None:
            return function_name(self.function), doc_summary(self.function)
        to = "all agents" if self.to is None else f"agents {', '.join(map(str, self.to))}"
        return TOLD, f"{to}: {self.text}"

    def manifest_entry(self) -> dict[str, Any]:
        """What the manifest records, and a resumed run must share."""
        if self.function is None:
            return {"round": self.round, "text": self.text, "to": None if self.to is None else list(self.to)}
        return {"round": self.round, "function": self.file or function_name(self.function)}


def read_event(
    event: str | Callable[[Any], None] | None,
    to: Recipients | None,
    *,
    prior: PriorRun | None,
    labels: Sequence[str] | Mapping[int, str],
    names: Mapping[int, str],
) -> Event | None:
    """Read the event that a run is given.

    Args:
        event: A sentence; a Python file, whose function ``event`` is taken (``FILE.py:NAME`` for another); a function of
            (world); or None. A resumed run needs no sentence again: its manifest holds it.
        to: For a sentence, those who are told; see :func:`sandbox.society.agent_names.find_agents`. None for all.
        prior: The run that is resumed or branched from, if any.
        labels: Label of each agent, by number.
        names: Name of each agent, by number.

    Raises:
        SettingsError: the event is empty or no function; or nobody is told.
        UnknownPlugin: the file does not exist.
        BrokenPlugin: the file cannot be imported, or has no such function.
    """
    at = 0 if prior is None or prior.rounds is None else prior.rounds
    if prior is not None and prior.rounds is None:
        recorded = open_run(prior.path).manifest.get("event")
        if recorded is not None:
            with read_as_written(f"the manifest of {prior.path}"):
                at = int(recorded["round"])
        if recorded is not None and event is None:
            return _resumed(recorded, prior.path)
    if event is None:
        if to is not None:
            raise SettingsError("event_to (--event-to) says who is told of an event; give --event too")
        return None
    if isinstance(event, str) and not event.endswith(".py") and ".py:" not in event:
        text = " ".join(without_surrogates(event).split())
        if not text:
            raise SettingsError(
                "the event is an empty text; give a sentence, or a Python file with a function event(world)"
            )
        return Event(at, text, None if to is None else find_agents(to, labels, names))
    if to is not None:
        raise SettingsError(
            "event_to (--event-to) is for a sentence; an event that is a function tells agents itself: "
            "world.tell('...', [3, 5])"
        )
    file = ""
    if isinstance(event, str):
        path, _, attribute = event.partition(".py:")
        file = Path(event).as_posix()
        event = registry.load_object(f"{path.removesuffix('.py')}.py:{attribute or 'event'}", "event")
    if not callable(event):
        raise SettingsError(f"the event is a {type(event).__name__}; expected a sentence or a function of (world)")
    return Event(at, function=event, file=file)


def _resumed(recorded: Mapping[str, Any], path: Path) -> Event:
    if "text" not in recorded:
        raise SettingsError(
            f"{path} was begun with the event {recorded.get('function')}; resume it with the same: "
            f"--event {recorded.get('function')}"
        )
    with read_as_written(f"the manifest of {path}"):
        to = recorded.get("to")
        return Event(int(recorded["round"]), str(recorded["text"]), None if to is None else tuple(map(int, to)))


def late_events(world: Any, rounds: int) -> list[str]:
    """Warnings where events of the scenario do not take place: after the last round, or before a branch."""
    events, prior = world.scenario.events, world.setup.prior
    found = _never([r for r in events if r >= rounds], f"the run has {rounds} rounds, 0 to {rounds - 1}")
    if prior is not None and prior.rounds is not None:
        earlier = [r for r in events if r < prior.rounds and r not in set(open_run(prior.path).events()["round"])]
        found += _never(earlier, f"the run branches at round {prior.rounds}, and the record of {prior.path} has none")
    return found


def _never(rounds: Sequence[int], why: str) -> list[str]:
    if not rounds:
        return []
    named = ", ".join(map(str, sorted(rounds)))
    return [
        f"the event{'s' if len(rounds) > 1 else ''} of round{'s' if len(rounds) > 1 else ''} {named} "
        f"do{'' if len(rounds) > 1 else 'es'} not take place: {why}"
    ]


def tell(world: Any, text: str, to: Recipients | None = None) -> None:
    """Tell agents a sentence, which is in their prompts from now on; see :meth:`sandbox.world.World.tell`."""
    if not isinstance(text, str) or not text.strip():
        raise ScenarioError(f"{author_line()}tell({text!r}): expected a sentence")
    labels = {agent.index: agent.label for agent in world.members}
    try:
        names = {agent.index: agent.name for agent in world.members}
        told: Iterable[int] = labels if to is None else find_agents(to, labels, names)
    except SettingsError as error:
        raise ScenarioError(f"{author_line()}tell(..., {to!r}): {error}") from None
    for index in told:
        state = world.members[index].state
        state[TOLD] = [*sentences(state), text.strip()]


def sentences(state: Mapping[str, Any]) -> Sequence[str]:
    """The sentences that an agent was told, by its state.

    Raises:
        ScenarioError: the state holds something else under that key.
    """
    found = state.get(TOLD, ())
    if isinstance(found, list | tuple) and all(isinstance(one, str) for one in found):
        return found
    raise ScenarioError(
        f"state[{TOLD!r}] holds the sentences that an agent was told, a list of texts; found {found!r}. Choose another key for "
        "what is yours"
    )
