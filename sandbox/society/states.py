"""The states of a society: how they begin, change and are recorded.

Within a stage all conversations read the same states, so that no result depends on the order in which they end. Knows no run
folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.errors import SandboxError, ScenarioError, author_line, failing_line, nearest
from sandbox.society.event import sentences
from sandbox.society.members import Members
from sandbox.society.state import Gate, State

if TYPE_CHECKING:
    from sandbox.scenario.scenario import Scenario

WORLD = -1  # in place of an agent's index, in records of states
_USED_IF = ("state", "world_state", "settle", "before_round", "after_round", "events")


class States:
    """The states of a society.

    Args:
        scenario: Says how states begin.
        members: The agents; those that are added and removed are undone with the states.
        is_used: Keep states even if the scenario says nothing of them: those of an event, or of the run before.

    Attributes:
        is_used: Whether states are kept and recorded.
        is_planned: Whether the scenario says anything of them.
        is_again: Whether a complete round is settled again, which adds and removes no agents.
    """

    def __init__(self, scenario: Scenario, members: Members, *, is_used: bool = False) -> None:
        self._scenario, self._members = scenario, members
        self._shut = Gate()
        self._gate, self.is_again = self._shut, False
        self.is_planned = any(getattr(scenario, name) for name in _USED_IF)
        self.is_used = is_used or self.is_planned
        self._unused: dict[int, State] = {}  # empty states, where none are kept
        self._now = [self._state(WORLD, {}), *(self._state(index, {}) for index in members.numbers if self.is_used)]
        self._at_start = (self._now, members.snapshot())

    def __getitem__(self, agent: int) -> State:
        return self._now[agent + 1] if self.is_used else self._empty(agent)

    @property
    def world(self) -> State:
        """State of the world."""
        return self._now[0]

    def before(self, agent: int) -> State:
        """State of an agent (or of the world, ``WORLD``) when the round began; empty where it was added in the round."""
        known = self._at_start[0]
        is_known = agent + 1 < len(known) and (self.is_used or agent == WORLD)
        if is_known or not self.is_used:
            return known[agent + 1] if is_known else self._empty(agent)
        return State(f"{self._members[agent].name} before the round in which it was added", {}, self._shut)

    @property
    def is_open(self) -> bool:
        """Whether states, and who lives, may change now."""
        return self._gate.is_open

    def _empty(self, agent: int) -> State:
        """The state of an agent where none are kept; it cannot be changed."""
        found = self._unused.get(agent)
        if found is None:
            found = self._unused[agent] = self._state(agent, {})
        return found

    def _state(self, agent: int, content: Any, gate: Gate | None = None) -> State:
        owner = "the world" if agent == WORLD else self._members[agent].name
        if not isinstance(content, Mapping):
            raise ScenarioError(f"the state of {owner} is a {type(content).__name__}; a mapping is expected")
        return State(owner, content, gate or self._shut)

    def begin(self, agents: Sequence[Any], world: Any) -> None:
        """Give every agent, and the world, the state that the scenario begins with.

        Raises:
            ScenarioError: a function of the scenario failed, or gave what JSON cannot hold; or a prompt uses a key that no
                state has.
        """
        if not self.is_used:
            self._check_prompts()
            return
        about = self._scenario
        first = about.world_state
        made = call_scenario("world_state", first, world) if callable(first) else first
        self._now = [self._state(WORLD, made), *self._now[1:]]
        for index, agent in enumerate(agents):
            own = call_scenario("state", about.state, agent, world) if callable(about.state) else about.state
            self._now[index + 1] = self._state(index, own)
            sentences(self._now[index + 1])
        self._check_prompts()
        self.mark()

    def _check_prompts(self) -> None:
        """Refuse templates that use keys with which the first agent, or the world, does not begin."""
        begun = {"world_state": self.world, "state": self[0]}
        faults = [
            f"  prompts.{template}: uses {{{kind}[{key}]}}; {kind} begins with {', '.join(begun[kind]) or 'nothing'}."
            f"{nearest(key, begun[kind])}"
            for template, kind, key in self._scenario.prompts.state_keys()
            if kind in begun and key not in begun[kind]
        ]
        if faults:
            raise ScenarioError(f"scenario {self._scenario.name!r} cannot be used:\n" + "\n".join(faults))

    def load(self, rows: Iterable[tuple[int, str]]) -> None:
        """Take over recorded states: (agent, JSON)."""
        if self.is_used:
            self._now = list(self._now)
            for agent, text in rows:
                self._now[agent + 1] = self._state(agent, json.loads(text))

    def mark(self) -> None:
        """Make these the states that :meth:`reset` goes back to: those at the start of a round."""
        self._at_start = (self._now, self._members.snapshot())

    def reset(self) -> None:
        """Restore the start of the round, whatever was changed in a round that was interrupted."""
        self._now, before = self._at_start
        self._members.restore(before)

    def reset_to_founders(self) -> None:
        """Restore the agents that the run began with, before those of its record are added and removed."""
        self._members.restore_founders()
        self._now = [
            self._state(agent, state) for agent, state in enumerate(self._now[: self._members.n_founders + 1], WORLD)
        ]
        self.mark()

    def add(self, agent: int) -> None:
        """Begin the state of an agent that is added, the one with the next number."""
        self._now = [*self._now, self._state(agent, {}, self._gate)]

    def begin_one(self, agent: int, content: Any) -> None:
        """Give an agent that is added the state that it begins with."""
        self._now[agent + 1] = self._state(agent, content, self._gate)
        sentences(self._now[agent + 1])

    def remove(self, agent: int, last: str | None = None) -> None:
        """End the state of an agent that is removed: as it is, or as JSON from the record."""
        content = self._now[agent + 1] if last is None else json.loads(last)
        self._now = list(self._now)
        self._now[agent + 1] = self._state(agent, content, Gate(is_last=True))

    def change(self, what: str, function: Callable[..., Any], *given: Any) -> None:
        """Call a function of the scenario that may change states; if it fails, nothing has changed.

        It changes copies, so that what was read of the states before stays as it was read.

        Raises:
            ScenarioError: the function failed, or set what JSON cannot hold.
        """
        before, lived, gate = self._now, self._members.snapshot(), Gate(is_open=True)
        gone = self._members.has_left
        self._now = [state if gone(agent) else state.copied(gate) for agent, state in enumerate(before, WORLD)]
        self._gate = gate
        try:
            call_scenario(what, function, *given)
        except BaseException:
            self._now = before
            self._members.restore(lived)
            raise
        finally:
            gate.is_open = False
            self._gate = self._shut

    def recorded(self) -> list[tuple[int, str]]:
        """All states for the record, as of :meth:`rows`; none where the scenario says nothing of states."""
        return self.rows() if self.is_used else []

    def rows(self) -> list[tuple[int, str]]:
        """States of the world and of those who live as JSON: (agent, JSON); keys are in the order in which they were set."""
        return [
            (index, json.dumps(state, ensure_ascii=False, separators=(",", ":")))
            for index, state in enumerate(self._now, WORLD)
            if not self._members.has_left(index)
        ]


def refuse_attribute(of: str, state: str, name: str) -> None:
    """Refuse an attribute that would be lost when a run is resumed; what Mesa sets for itself is let through.

    Args:
        of: ``agent`` or ``world``.
        state: The field of the scenario that begins its state.
        name: The attribute: a new one, or one that was decided before the run began.

    Raises:
        ScenarioError: with the file and line, and what to write instead.
    """
    setter = str(sys._getframe(2).f_globals.get("__name__", "")).partition(".")[0]
    if setter == "mesa" and (of == "world" or name.startswith("_")):
        return
    lost = f"{author_line()}{of}.{name} = ... would be lost when the run is resumed: "
    if name == "cell":
        raise ScenarioError(
            f"{lost}only moves between rounds are recorded. Let Scenario(move=...), a function of (agent, world), return the "
            "cell"
        )
    raise ScenarioError(
        f"{lost}only states are recorded. Begin it with Scenario({state}={{{name!r}: ...}}), and change "
        f"{of}.state[{name!r}] in settle(world, interactions)"
    )


def call_scenario(what: str, function: Callable[..., Any], *given: Any) -> Any:
    """Call a function of the scenario.

    Args:
        what: Its field in the scenario, or ``the event ...``, for the message.
        function: The function.
        *given: Its arguments.

    Raises:
        ScenarioError: it failed; the message has the file and line.
    """
    try:
        return function(*given)
    except SandboxError:
        raise
    except Exception as error:  # raised by the author's code; --debug shows its traceback
        owner = what if what.startswith("the event") else f"{what} of the scenario"
        words = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise ScenarioError(f"{failing_line(error)}{owner} failed: {type(error).__name__}: {words}") from error
