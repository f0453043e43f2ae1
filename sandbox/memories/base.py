"""The contract of memories: what an agent remembers of a society, and what of it enters its prompts.

A memory is made for each agent. It is given what happened to the agent, in order and only at barriers: within a stage all
conversations read the same memories, so that no result depends on the order of replies. It keeps no file: when a run is
resumed, a new one is given the same from the record. Knows no agents.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sandbox import registry
from sandbox.conversation.steps import Call
from sandbox.errors import BrokenPlugin
from sandbox.memories.text_index import TextIndex
from sandbox.plugin_defaults import construct
from sandbox.scenario.prompts import Prompts
from sandbox.scenario.settings import SocietySettings
from sandbox.typed_settings import check_settings, parameter_faults, parameters, refuse, typed

UPBRINGING = -1  # the round of what an agent begins with


@dataclass(frozen=True, slots=True)
class Item:
    """Something that happened to an agent, or that its memory wrote.

    Attributes:
        round: The round; ``UPBRINGING`` for what the agent began with.
        kind: ``answer``: the agent's final answer to a question; ``heard``: what was said to it; ``note``: what its memory
            wrote (:meth:`Memory.rewrite`).
        text: The answer, what was said, or the note.
        question: The question of an answer.
        speaker: Name of the speaker of what was heard.
        importance: In [0, 1]: of an answer, the mean rating by neighbours; of what was heard, as ``agent.hear`` was told; None
            if it is not known.
    """

    round: int
    kind: Literal["answer", "heard", "note"]
    text: str
    question: str = ""
    speaker: str = ""
    importance: float | None = None


@dataclass(frozen=True, slots=True)
class Recollection:
    """What an agent recalls for a question.

    Attributes:
        text: What is recalled, for the record.
        prompt: Its part of the prompt, with the space that follows it.
        question: The remembered question, where one was recalled with its answer; else empty.
    """

    text: str
    prompt: str
    question: str = ""


@dataclass(frozen=True)
class Owner:
    """What a memory may use of its agent and of the world.

    Attributes:
        name: Name of the agent.
        prompts: Prompt templates of the scenario.
        society: Settings of the society.
        texts: Embeddings of texts, shared by all agents, and recorded for replays.
        now: Returns the running round.
        send: Returns a call to the agent's language model, with a message, a purpose and a maximum number of tokens; None where
            no agent is asked, for example in a chat.
    """

    name: str
    prompts: Prompts
    society: SocietySettings
    texts: TextIndex
    now: Callable[[], int] = lambda: 0
    send: Callable[[str, str, int], Call] | None = None

    @property
    def round(self) -> int:
        """The running round."""
        return self.now()

    def ask(self, text: str, purpose: str, *, max_tokens: int) -> Call:
        """Ask the agent's own language model; to be yielded. Gives a :class:`~sandbox.models.base.Reply`.

        Args:
            text: The message, behind the agent's system prompt.
            purpose: Any text; with the round and the agent it determines the request's random seed.
            max_tokens: Maximum length of the reply.

        Raises:
            BrokenPlugin: it is asked where there are no calls.
        """
        if self.send is None:
            raise BrokenPlugin("a memory may ask its agent's language model only in rewrite()")
        return self.send(text, f"memory: {purpose}", max_tokens)

    def line(self, item: Item) -> str:
        """An item as a line of a prompt."""
        return line_of(self.prompts, item)

    def listed(self, items: Sequence[Item]) -> str:
        """Items as a list, one line each."""
        return "\n".join(f"- {self.line(item)}" for item in items)


def line_of(prompts: Prompts, item: Item) -> str:
    """An item as a line of a prompt."""
    if item.kind == "answer":
        return prompts.remembered_answer.format(question=item.question, answer=item.text)
    if item.kind == "heard":
        return prompts.remembered_heard.format(speaker=item.speaker, text=item.text)
    return item.text


class Memory(Protocol):
    """The interface of a memory; it is made with ``rest`` (the text after its name), ``owner`` and its settings.

    Besides, a memory may have

    * ``remembers``: ``everything`` (the default), or ``answers``: it is then given the agent's answers only, and on resume only
      the last one to each question;
    * ``rewrite()``, called at the end of each round when it was given the round's items: a generator that yields
      ``owner.ask(...)`` and returns a text, recorded and given back as a ``note``; or None for nothing. It changes
      nothing itself. ``max_calls`` is the most calls that it makes, by default 1;
    * ``embeds = True``, if it embeds the line of each item that it is given: those of all agents are then one batch.
    """

    def remember(self, items: Sequence[Item]) -> None:
        """Take over items, in order."""
        ...

    def recall(self, question: str) -> Recollection | None:
        """What is recalled for a question; None for nothing. It changes nothing."""
        ...


@dataclass(frozen=True)
class MemoryKind:
    """A kind of memory, with its settings.

    Attributes:
        name: Name in the manifest.
        made: The class, or function, that makes one.
        rest: The text after its name.
        settings: Its settings, those that were given.
    """

    name: str
    made: Callable[..., Any]
    rest: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def remembers(self) -> str:
        """``everything`` or ``answers``."""
        return str(getattr(self.made, "remembers", "everything"))

    @property
    def rewrites(self) -> bool:
        """Whether it writes notes."""
        return callable(getattr(self.made, "rewrite", None))

    @property
    def max_calls(self) -> int:
        """The most calls of an agent's memory at the end of a round."""
        return int(getattr(self.made, "max_calls", 1)) if self.rewrites else 0

    def make(self, owner: Owner) -> Memory:
        """Make the memory of an agent, still empty.

        Raises:
            BrokenPlugin: it cannot be made, or lacks a method.
        """
        made = construct(f"memory {self.name!r}", self.made, self.rest, self.settings, {"owner": owner})
        lacking = [name for name in ("remember", "recall") if not callable(getattr(made, name, None))]
        if lacking:
            raise BrokenPlugin(f"memory {self.name!r} has no {' and no '.join(lacking)}, which it needs")
        return made


def load_memory(name: str | Callable[..., Any], settings: Mapping[str, Any]) -> MemoryKind:
    """Load a kind of memory by ``name`` or ``name:rest``.

    Args:
        name: ``nearest``, ``stream``, ``summary`` or an installed plugin; ``./mine.py:Mine``; or the class of one.
        settings: Its settings, also as text.

    Raises:
        UnknownPlugin: no memory has that name.
        SettingsError: it has no such setting, or a value is out of range.
        BrokenPlugin: the plugin is no class or function.
    """
    kind, rest, made = "", "", name
    if name == "nearest":  # the default, also where this version's entry points have not been installed yet
        from sandbox.memories.nearest import NearestMemory

        kind, made = name, NearestMemory
    elif isinstance(name, str):
        kind, _, rest = name.partition(":")
        if kind not in {plugin.name for plugin in registry.plugins("memories")}:
            kind, rest = name, ""  # ./mine.py:Mine, or module:Mine
        made = registry.load("memories", kind)
    if not callable(made):
        raise BrokenPlugin(f"memory {name!r} is {made!r}; expected a class that takes rest='' and owner")
    kind = kind or getattr(made, "__name__", type(made).__name__)
    owner = f"memory {kind!r}"
    known = [own for own in parameters(made) if own not in ("rest", "owner")]
    check_settings(owner, settings, known)
    function = made.__init__ if inspect.isclass(made) else made
    values = typed(owner, settings, typing.get_type_hints(function))
    hints = typing.get_type_hints(function, include_extras=True)
    refuse(owner, parameter_faults(values, hints))
    return MemoryKind(kind if not rest else f"{kind}:{rest}", made, rest, values)
