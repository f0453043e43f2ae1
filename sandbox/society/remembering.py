"""The memories of a society: what each agent is given to remember, when, and how they are restored from the record.

Memories are given something only at barriers, behind what was stored there. Knows no kind of memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sandbox.conversation.steps import CallFailed
from sandbox.errors import BrokenPlugin, SandboxError
from sandbox.memories.base import UPBRINGING, Item, Memory, MemoryKind, Owner, line_of
from sandbox.models.base import Message
from sandbox.records import Heard, Interaction
from sandbox.society.agent import SocialAgent
from sandbox.society.context import SocietyContext
from sandbox.society.round_runner import RoundRunner
from sandbox.store.memories import WORLD
from sandbox.store.writer import RunWriter

Note = tuple[int, str, str | None, str | None]

_UNHEARD = (
    "what agents heard is recorded but not recalled: the memory {name!r} keeps their own answers only; --set memory=stream and "
    "--set memory=summary recall it"
)

_logger = logging.getLogger(__name__)


class Remembered(SocietyContext, Protocol):
    """What memories need of a world besides."""

    notes: list[str]

    @property
    def store(self) -> RunWriter:
        """Writer of the run folder."""
        ...

    @property
    def round_runner(self) -> RoundRunner:
        """Runs conversations within the caps."""
        ...


class Remembering:
    """The memories of a world's agents.

    Args:
        world: The world.
        kind: Their kind.
    """

    def __init__(self, world: Remembered, kind: MemoryKind) -> None:
        self._world, self.kind = world, kind
        self._given: set[tuple[int, int]] = set()
        self._notes: tuple[int, list[Note]] | None = None

    def begin(self, agent: SocialAgent) -> Memory:
        """Make the memory of an agent as of its birth: with its upbringing."""
        world = self._world

        def send(text: str, purpose: str, max_tokens: int) -> Any:
            messages = (Message("system", agent.system), Message("user", text))
            return agent.ask(messages, purpose, max_tokens=max_tokens)

        owner = Owner(
            agent.name, world.scenario.prompts, world.society, world.questions, now=lambda: world.round, send=send
        )
        made = self.kind.make(owner)
        made.remember([Item(UPBRINGING, "answer", p.answer, p.question) for p in agent.upbringing])
        return made

    def forget(self) -> None:
        """Reset every agent's memory to its upbringing."""
        for agent in self._world.members.everyone:
            agent.reset_memory()
        self._given.clear()
        self._notes = None

    def restore(self) -> None:
        """Give new memories what happened in all complete rounds, from the record."""
        if self.kind.remembers == "answers":
            for agent, question, answer, round_ in self._world.store.memories():
                self._remember(agent, [Item(round_, "answer", answer, question)])
        else:
            self.rewind(self._world.round)

    def rewind(self, before: int) -> None:
        """Reset memories to the start of a round, from the record of the rounds before it."""
        self.forget()
        world, store = self._world, self._world.store
        notes = store.notes()
        for round_ in range(before):
            self._give(
                items_of_round(
                    store.interactions(round_), store.world_heard(round_), notes_of(notes, round_, self.kind.name),
                    n_stages=len(world.stages), scale=world.scenario.rubric.scale,
                )
            )  # fmt: skip

    def hear(self, step: int, heard: Iterable[Heard]) -> None:
        """Give memories what was heard up to a barrier; once, however often a round is stepped."""
        key, heard = (self._world.round, step), [one for one in heard if one.step == step]
        if not heard or key in self._given:
            return
        self._given.add(key)
        if self.kind.remembers == "answers":
            self._say(_UNHEARD.format(name=self.kind.name))
            return
        self._give((one.agent, _heard_item(self._world.round, one)) for one in heard)

    def end_round(self, interactions: Sequence[Interaction]) -> list[tuple[int, str, str]]:
        """Give memories what was heard in the last stage of the round, and the answers; once.

        Returns:
            The answers: (agent, question, answer).
        """
        world, last = self._world, 2 * len(self._world.stages) - 1
        self.hear(last, (one for it in interactions for one in it.heard))
        if (world.round, WORLD) not in self._given:
            self._given.add((world.round, WORLD))
            self._give(_answers(interactions, world.scenario.rubric.scale))
        return [(it.agent, it.question, it.final) for it in interactions if it.error is None and it.final is not None]

    def rewrite(self) -> Sequence[Note]:
        """Let memories write their notes at the end of the round; a cap may stop it, see ``round_runner.capped``.

        Returns:
            What they wrote, for the record.
        """
        world = self._world
        if not self.kind.rewrites:
            return ()
        if self._notes is not None and self._notes[0] == world.round:
            return self._notes[1]
        talks = [(agent, agent.memory.rewrite(), self.kind.max_calls) for agent in world.members]  # type: ignore[attr-defined]
        notes: list[Note] = []
        for agent, text, failure in world.round_runner.run_talks([talk for talk in talks if talk[1] is not None]):
            if failure is not None and not isinstance(failure, CallFailed):
                raise self._broken("rewrite()", failure)
            if failure is None and not isinstance(text, str | None):
                raise self._broken("rewrite()", TypeError(f"it returned a {type(text).__name__}, not a text"))
            if failure is not None or text is not None:
                notes.append((agent.index, self.kind.name, text, None if failure is None else str(failure)))
        if world.round_runner.capped:
            return ()
        if failed := [note for note in notes if note[3] is not None]:
            self._say(
                f"{len(failed)} memories could not be rewritten after round {world.round} and stay as they were, the first: "
                f"{failed[0][3]}"
            )
        self._notes = (world.round, notes)
        self._give((agent, Item(world.round, "note", text)) for agent, _, text, _ in notes if text is not None)
        return notes

    def _give(self, found: Iterable[tuple[int, Item]]) -> None:
        """Give items to memories: (agent, item), those of an agent in order."""
        each: dict[int, list[Item]] = {}
        for agent, item in found:
            if item.kind == "answer" or self.kind.remembers != "answers":
                each.setdefault(agent, []).append(item)
        if getattr(self.kind.made, "embeds", False):  # in one batch
            prompts = self._world.scenario.prompts
            self._world.questions.add(line_of(prompts, item) for items in each.values() for item in items)
        for agent, items in each.items():
            self._remember(agent, items)

    def _remember(self, agent: int, items: Sequence[Item]) -> None:
        if self._world.members.has_left(agent):
            return
        try:
            self._world.members[agent].memory.remember(items)
        except SandboxError:
            raise
        except Exception as error:  # the boundary: code of others
            raise self._broken("remember(items)", error) from error

    def _broken(self, call: str, error: BaseException) -> SandboxError:
        if isinstance(error, SandboxError):
            return error
        return BrokenPlugin(f"memory {self.kind.name!r}: {call} failed: {type(error).__name__}: {error}")

    def _say(self, words: str) -> None:
        """Say something once, on the terminal and in the manifest."""
        if words not in self._world.store.manifest["notes"]:
            _logger.warning("%s", words)
            self._world.notes.append(words)
            self._world.store.manifest["notes"].append(words)


def items_of_round(
    interactions: Sequence[Interaction],
    world_heard: Sequence[Heard],
    notes: Mapping[int, str],
    *,
    n_stages: int,
    scale: int,
) -> Iterator[tuple[int, Item]]:
    """What agents remember of a complete round, in the order in which they were given it: (agent, item).

    Args:
        interactions: Interactions of the round.
        world_heard: What functions of the scenario said to agents.
        notes: What memories wrote, by agent.
        n_stages: Number of stages of a round.
        scale: The highest rating.
    """
    round_ = interactions[0].round if interactions else 0
    heard = sorted([*world_heard, *(one for it in interactions for one in it.heard)], key=lambda one: one.step)
    yield from ((one.agent, _heard_item(round_, one)) for one in heard if one.step < 2 * n_stages)
    yield from _answers(interactions, scale)
    yield from ((one.agent, _heard_item(round_, one)) for one in heard if one.step >= 2 * n_stages)
    yield from ((agent, Item(round_, "note", text)) for agent, text in notes.items())


def notes_of(notes: Iterable[tuple[int, int, str, str | None, str | None]], round_: int, memory: str) -> dict[int, str]:
    """What memories of a kind wrote after a round, by agent."""
    return {agent: text for at, agent, of, text, _ in notes if at == round_ and of == memory and text is not None}


def _heard_item(round_: int, one: Heard) -> Item:
    return Item(round_, "heard", one.text, speaker=one.name, importance=one.importance)


def _answers(interactions: Iterable[Interaction], scale: int) -> Iterator[tuple[int, Item]]:
    for it in interactions:
        if it.error is None and it.final is not None:
            given = [said.rating.value for said in it.feedback if said.rating.value is not None]
            importance = (sum(given) / len(given) - 1) / (scale - 1) if given else None
            yield it.agent, Item(it.round, "answer", it.final, it.question, importance=importance)
