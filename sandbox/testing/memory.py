"""Checks the contract of memories on a few items, and in a society that is interrupted and resumed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.conversation.scheduler import run_conversations
from sandbox.conversation.steps import Call
from sandbox.embedders.base import load_embedder
from sandbox.memories.base import UPBRINGING, Item, Memory, MemoryKind, Owner, Recollection, load_memory
from sandbox.memories.text_index import TextIndex
from sandbox.models.base import Message, Request
from sandbox.models.scripted import ScriptedModel
from sandbox.scenario.prompts import Prompts
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import SocietySettings
from sandbox.store.run import open_run
from sandbox.testing.contract import Promises, called
from sandbox.world import World

_ITEMS = (
    Item(
        UPBRINGING, "answer", "No; whoever wrote it did not write it for you.", "May I read a letter that is not mine?"
    ),
    Item(0, "heard", "The bridge is closed. {braces} 桥已关闭", speaker="the mayor", importance=1.0),
    Item(0, "answer", "", "What do I owe a friend?"),
    Item(1, "heard", "", speaker=""),
    Item(1, "answer", "Much, and more than that. " * 40, "What do I owe a friend?", importance=0.25),
)
_QUESTIONS = ("What do I owe a friend?", "¿Puedo cruzar el puente? 我可以过桥吗？", "", "word " * 500)
_ROUNDS = 4


def check_memory(memory: Any, **settings: Any) -> None:
    """Check the contract of a memory.

    * It is made with ``rest``, ``owner`` and its settings, and has ``remember(items)`` and ``recall(question)``.
    * ``recall`` gives a :class:`~sandbox.memories.base.Recollection` or None, for any question and any items, also none.
    * Recalling changes nothing, and what is recalled does not depend on whether items came one by one or all at once: so that a
      memory that is restored from the record is the one that was.
    * Agents share nothing.
    * ``rewrite``, if it has one, yields ``owner.ask(...)``, gives a text or None, and changes nothing itself.
    * A society that is interrupted after each round, and resumed, has the record of one that was not.

    Args:
        memory: Its name (``name:rest``, as for ``--set memory``), or its class.
        **settings: Its settings.

    Raises:
        BrokenPromise: the message states the requirement, what was found, and how to fix it.
    """
    promises = called("memory", memory)
    with promises.work("it is made with its settings", "let __init__ take rest='' and the keyword argument owner"):
        kind = load_memory(memory, settings)
        made = _made(kind)
    _check_recall(promises, kind, made)
    _check_rewrite(promises, kind)
    _check_society(promises, memory, settings)


def _made(kind: MemoryKind, items: Sequence[Item] = ()) -> Memory:
    model = ScriptedModel()
    texts = TextIndex(load_embedder("hashing"))

    def send(text: str, purpose: str, max_tokens: int) -> Call:
        del purpose
        return Call(model, Request((Message("user", text),), max_tokens))

    found = kind.make(Owner("Ada", Prompts(), SocietySettings(), texts, now=lambda: 2, send=send))
    if items:
        found.remember(items)
    return found


def _recalled(promises: Promises, memory: Memory, *, when: str) -> list[Recollection | None]:
    with promises.work(f"it recalls for any question {when}", "let recall take any text, and return None for nothing"):
        found = [memory.recall(question) for question in _QUESTIONS]
    for one in found:
        good = one is None or (
            isinstance(one, Recollection) and isinstance(one.text, str) and isinstance(one.prompt, str)
        )
        promises.hold(
            good,
            "recall gives a Recollection or None",
            f"{one!r}",
            "return Recollection(text=what is recalled, prompt=its part of the prompt), or None",
        )
    return found


def _check_recall(promises: Promises, kind: MemoryKind, empty: Memory) -> None:
    nothing = _recalled(promises, empty, when="when it is empty")
    whole = _made(kind, _ITEMS)
    first = _recalled(promises, whole, when="of any items")
    promises.hold(
        _recalled(promises, whole, when="again") == first,
        "recalling changes nothing",
        "another recollection for the same question",
        "let recall depend on the items, the question and owner.round alone, and set nothing",
    )
    parts = _made(kind)
    for item in _ITEMS:
        _recalled(promises, parts, when="between two items")
        parts.remember([item])
    promises.hold(
        _recalled(promises, parts, when="of items that came one by one") == first,
        "what is recalled depends on the items and their order alone",
        "another recollection when the items came one by one, with questions between",
        "let remember do the same for [a, b] as for [a] and then [b]",
    )
    promises.hold(
        _recalled(promises, empty, when="beside others") == nothing,
        "agents share nothing",
        "an empty memory recalls what another was given",
        "keep items on self, made in __init__, and not on the class or the module",
    )


def _check_rewrite(promises: Promises, kind: MemoryKind) -> None:
    if not kind.rewrites:
        return
    memory = _made(kind, _ITEMS)
    before = _recalled(promises, memory, when="before it is rewritten")
    with promises.work(
        "rewrite can be run", "let rewrite be, or return, a generator that yields owner.ask(...), or None"
    ):
        talk = memory.rewrite()  # type: ignore[attr-defined]
        found = None if talk is None else run_conversations([talk])[0]
    promises.hold(
        isinstance(found, str | None),
        "rewrite gives a text or None",
        f"a {type(found).__name__}",
        "return the text of the reply: reply = yield owner.ask(...); return reply.text",
    )
    promises.hold(
        _recalled(promises, memory, when="after it was rewritten") == before,
        "rewrite changes nothing itself",
        "another recollection after it",
        "take the new text over in remember, from the item of kind 'note' that holds it",
    )


def _talk(agent: Any, question: str, world: Any) -> Any:
    reply = yield agent.answer(question)
    for other in world.audience(agent):
        other.hear(reply, from_=agent)
    return world.interaction(agent, question, draft=reply.text, recalled=agent.recall(question))


def _check_society(promises: Promises, memory: Any, settings: dict[str, Any]) -> None:
    scenario = Scenario(name="check", questions=["May I?", "Must I?", "Shall we?"], protocol=_talk)
    given = {f"memory.{name}": value for name, value in settings.items()}

    def live(out: Path, rounds: int) -> None:
        world = World(
            scenario, model="scripted:", rater="lm", embedder="hashing", size=2, out=out, resume=True, memory=memory,
            **given,
        )  # fmt: skip
        try:
            world.run(rounds)
        finally:
            world.close()

    with tempfile.TemporaryDirectory() as folder:
        with promises.work("a society runs with it", "let it take what agents answer and hear in any society"):
            live(Path(folder) / "whole", _ROUNDS)
            for rounds in range(1, _ROUNDS + 1):
                live(Path(folder) / "parts", rounds)
        records = [open_run(Path(folder) / name) for name in ("whole", "parts")]
        whole, parts = ([run.interactions(), run.notes()] for run in records)
        failed = [it.error for it in records[0].interactions() if it.error is not None]
    promises.hold(not failed, "no interaction fails by it", f"{failed[:1]}", "let recall raise nothing")
    promises.hold(
        whole == parts,
        "a society that is interrupted and resumed has the record of one that was not",
        "another record",
        "keep nothing that does not follow from the items that remember is given: no clock, no random numbers, no files",
    )
