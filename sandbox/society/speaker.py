"""Speakers that are no members of a society: a moderator, a teacher, a news desk; and dialogues with turns in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from mesa.discrete_space import CellAgent

from sandbox.conversation.steps import Conversation
from sandbox.errors import ScenarioError, author_line, nearest
from sandbox.memories.base import Recollection
from sandbox.models.base import LanguageModel, Reply
from sandbox.scenario.rubric import Upbringing
from sandbox.society.agent import SocialAgent
from sandbox.society.state import Gate, State

if TYPE_CHECKING:
    from sandbox.society.context import SocietyContext


class NoMemory:
    """The memory of a speaker: it recalls nothing."""

    def recall(self, question: str) -> Recollection | None:
        """Nothing, whatever the question."""
        return None

    def nearest(self, question: str, n: int) -> list[tuple[str, str]]:
        """Nothing, whatever the question."""
        return []


class Speaker(SocialAgent):
    """One who speaks in conversations and is no member of the society.

    It has the methods of an agent that ask a language model (:meth:`answer`, :meth:`choose`, :meth:`number`,
    :meth:`structured`, :meth:`review`, :meth:`ask`). It has no place, neighbours, state or memory and is never asked by itself.
    It has no interaction in the record: what it says is recorded by the conversation in which it speaks.

    Args:
        world: The world.
        place: From 0, in the order of the scenario's ``speakers``; part of its random seeds.
        name: Its name.
        words: Its system prompt.
        lm: Its language model.
    """

    def __init__(self, world: SocietyContext, place: int, name: str, words: str, lm: LanguageModel) -> None:
        super().__init__(world, -2 - place, name, lm)
        CellAgent.remove(self)  # Mesa counts members only
        self.name = name
        self._words = words
        self._own_state = State(name, {}, Gate())
        self.seal()

    @property
    def system(self) -> str:
        """Its system prompt."""
        return self._words

    @property
    def state(self) -> State:
        """An empty state: speakers have none."""
        return self._own_state

    @property
    def upbringing(self) -> list[Upbringing]:
        """None."""
        return []

    @property
    def memory(self) -> Any:
        """A memory that recalls nothing."""
        return NoMemory()

    def hear(self, text: Reply | str, *, from_: SocialAgent | str, importance: float | None = None) -> NoReturn:
        """Refused: a speaker remembers nothing.

        Raises:
            ScenarioError: always.
        """
        raise ScenarioError(
            f"{author_line()}{self.name} is a speaker, and remembers nothing; give it what was said: "
            "answer(question, heard=[(name, text)])"
        )


def make_speakers(world: SocietyContext, models: Mapping[str, LanguageModel]) -> dict[str, Speaker]:
    """Make the scenario's speakers, by name."""
    words = world.scenario.speakers
    return {name: Speaker(world, place, name, words[name], lm) for place, (name, lm) in enumerate(models.items())}


def find_speaker(name: str, speakers: Mapping[str, Speaker]) -> Speaker:
    """A speaker by its name.

    Raises:
        ScenarioError: the scenario has none of that name.
    """
    if name not in speakers:
        raise ScenarioError(
            f"{author_line()}speaker({name!r}): the scenario has no such speaker.{nearest(name, speakers)} Speakers: "
            f"{', '.join(speakers) or 'none; name them by Scenario(speakers={...})'}"
        )
    return speakers[name]


def dialogue(
    members: Sequence[SocialAgent],
    question: str,
    *,
    turns: int = 6,
    stop: Callable[[list[tuple[SocialAgent, str]]], bool] | None = None,
) -> Conversation:
    """Let members speak in turn, each with all that was said before. Gives a list of (agent, text).

    ::

        said = yield dialogue([buyer, seller], "What is the price?", turns=8, stop=lambda said: "deal" in said[-1][1].lower())

    Private goals belong into what only one member reads: its role, persona or state.

    Args:
        members: Agents and speakers, in the order of their turns.
        question: What they speak about.
        turns: Most turns of all members together.
        stop: Function of what was said so far; a true result after a turn ends the dialogue.

    Raises:
        ScenarioError: there are no members, or no turns.
    """
    if not members or turns < 1:
        raise ScenarioError(
            f"{author_line()}dialogue: {len(members)} members and {turns} turns; give at least one of each"
        )
    return _speak_in_turn(list(members), question, turns, stop)


def _speak_in_turn(members: list[SocialAgent], question: str, turns: int, stop: Any) -> Conversation:
    said: list[tuple[SocialAgent, str]] = []
    for turn in range(turns):
        speaker = members[turn % len(members)]
        heard = [("You" if one is speaker else one.name, text) for one, text in said]
        reply = yield speaker.answer(question, turn=turn, heard=heard)
        said.append((speaker, reply.text))
        if stop is not None and stop(said):
            break
    return said
