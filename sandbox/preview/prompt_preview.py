"""Shows what a scenario's prompts come to: one conversation is held with made-up replies, and every request is kept."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sandbox.errors import ScenarioError, nearest
from sandbox.models.base import Request
from sandbox.models.scripted import ScriptedModel
from sandbox.scenario.prompts import Prompts
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import SOCIETY_SETTINGS
from sandbox.society.setup import resolve_settings
from sandbox.world import World

_SIDE = 3
_NOTES = {
    "recalled": "'recalled' stands there only where the agent remembers a question like this one",
    "heard": "'heard' stands there only where there is something to hear",
}
# Templates that are all that is asked; others are parts of a message.
_WHOLE = ("answer", "choose", "argue", "rate", "reason", "observe")


@dataclass(frozen=True)
class RenderedPrompt:
    """A request as a language model sees it.

    Attributes:
        templates: Which of :class:`~sandbox.scenario.prompts.Prompts` it was made of; none for a protocol's own words.
        messages: (role, text).
        prefix: What the reply must start with.
        choices: What it is to pick one of, if anything.
        max_tokens: The reply's length at most.
        note: What to know of it.
    """

    templates: tuple[str, ...]
    messages: tuple[tuple[str, str], ...]
    prefix: str
    choices: tuple[str, ...]
    max_tokens: int
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return dataclasses.asdict(self)


class _Traced(str):
    """A template that notes what it came to."""

    name: str
    filled: dict[str, str]

    def format(self, *args: object, **fields: object) -> str:
        made = str.format(self, *args, **fields)
        if made.strip():
            self.filled[made] = self.name
        return made


def render_prompts(
    scenario: str | Scenario, *, protocol: str | None = None, label: str | None = None, **settings: Any
) -> list[RenderedPrompt]:
    """Hold a scenario's conversation around one agent with made-up replies, and show each kind of request once.

    Args:
        scenario: As for :class:`~sandbox.world.World`.
        protocol: The conversation; by default the scenario's.
        label: Of the agent in the centre; by default the first agent's.
        **settings: Of the society and the scenario.

    Returns:
        In the order in which they are asked.

    Raises:
        ScenarioError: the scenario cannot be used, or no agent has the label.
    """
    _, made = resolve_settings(scenario, _SIDE, settings)
    filled: dict[str, str] = {}
    own = {name: _trace(name, text, filled) for name, text in vars(made.prompts).items()}
    # Everything remembered is told, so that the prompt for it is seen.
    traced = dataclasses.replace(made, prompts=Prompts(**own), society={**made.society, "recall_distance": 2.0})
    given = {k: v for k, v in settings.items() if k in SOCIETY_SETTINGS}
    model = ScriptedModel()
    world = World(traced, model=model, rater="lm", protocol=protocol, embedder="hashing", size=_SIDE, **given)
    try:
        centre = next((a for a in world.members if label in (None, a.label)), None)
        if centre is None:
            labels = sorted({a.label for a in world.members})
            raise ScenarioError(
                f"no agent is labelled {label!r}.{nearest(str(label), labels)} Labels: {', '.join(labels)}"
            )
        # In the second round there is something to hear and to remember.
        world.step()
        question = world.question_for(centre)
        world._embed_new_questions([question])
        model.history.clear()
        if (failure := world.talks.run_one(centre, question)) is not None:
            raise failure
        shown: dict[tuple[str, ...], RenderedPrompt] = {}
        for request in model.history:
            one = _shown(request, filled)
            shown.setdefault(one.templates or (one.messages[-1][1],), one)
        return list(shown.values())
    finally:
        world.close()


def _trace(name: str, text: str, filled: dict[str, str]) -> _Traced:
    traced = _Traced(text)
    traced.name, traced.filled = name, filled
    return traced


def _shown(request: Request, filled: dict[str, str]) -> RenderedPrompt:
    """Tell from what templates came to which of them a request is made of."""
    asked = request.messages[-1].content
    everything = "\n".join(m.content for m in request.messages)
    found = {name for text, name in filled.items() if name not in _WHOLE and text in everything}
    found |= {name for text, name in filled.items() if name in _WHOLE and text == asked}
    found.discard("reason_prefix")  # the reason it began is quoted
    if filled.get(request.prefix) == "reason_prefix":
        found.add("reason_prefix")
    if "revise" in found:
        found.discard("answer")  # the question itself is all that it is asked
    names = tuple(name for name in Prompts.__dataclass_fields__ if name in found)
    note = "; ".join(_NOTES[name] for name in names if name in _NOTES)
    messages = tuple((m.role, m.content) for m in request.messages)
    return RenderedPrompt(names, messages, request.prefix, request.choices, request.max_tokens, note)
