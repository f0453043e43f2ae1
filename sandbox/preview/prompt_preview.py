"""Preview of prompts: runs one conversation with placeholder replies, and records every request."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.conversation.scheduler import run_conversations
from sandbox.errors import ScenarioError, nearest
from sandbox.models.base import Request
from sandbox.models.scripted import ScriptedModel
from sandbox.scenario.prompts import Prompts
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import is_society_setting
from sandbox.society.agent import SocialAgent
from sandbox.society.setup import resolve_settings
from sandbox.world import World

_SIDE = 3
_MOST = 36  # agents of a scenario's own grid that are previewed
_NOTES = {
    "recalled": "'recalled' is included only if the agent remembers a similar question",
    "heard": "'heard' is included only if other agents have spoken",
    "told": "'told' is included only if an event told the agent something",
    "remembered": "'remembered' is included only if the agent remembers anything",
    "summarise": "sent at the end of a round, as often as the setting memory.every says",
}
# Templates that are whole messages; others are parts of one.
_WHOLE = ("answer", "choose", "number", "structured", "argue", "rate", "reason", "observe", "summarise")
_ROUNDS_AHEAD = 1000  # that are searched for one in which memories are rewritten


@dataclass(frozen=True)
class RenderedPrompt:
    """A request as a language model sees it.

    Attributes:
        templates: Names of its templates in :class:`~sandbox.scenario.prompts.Prompts`; none for a protocol's own text.
        messages: (role, text) pairs.
        prefix: Required beginning of the reply.
        choices: Options of a choice; empty for free text.
        max_tokens: Maximum length of the reply.
        note: A remark.
    """

    templates: tuple[str, ...]
    messages: tuple[tuple[str, str], ...]
    prefix: str
    choices: tuple[str, ...]
    max_tokens: int
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the request as plain JSON types."""
        return dataclasses.asdict(self)


class _Traced(str):
    """A template that records its filled-in texts."""

    name: str
    filled: dict[str, str]

    def format(self, *args: object, **fields: object) -> str:
        made = str.format(self, *args, **fields)
        if made.strip():
            self.filled[made] = self.name
        return made


def render_prompts(
    scenario: str | Scenario,
    *,
    protocol: str | None = None,
    label: str | None = None,
    event: str | Callable[[Any], None] | None = None,
    **settings: Any,
) -> list[RenderedPrompt]:
    """Run a scenario's conversation around one agent with placeholder replies, and return each kind of request once.

    Args:
        scenario: As for :class:`~sandbox.world.World`.
        protocol: The protocol; by default the scenario's.
        label: Label of the agent; by default that of the first agent.
        event: An event that took place before; a sentence is told to all agents.
        **settings: Settings of the society and the scenario.

    Returns:
        The requests, in the order in which they are made.

    Raises:
        ScenarioError: the scenario is invalid, or no agent has the label.
    """
    settings = {name: value for name, value in settings.items() if name not in ("rows", "columns")}
    society, made, _ = resolve_settings(scenario, _SIDE, settings | {"agents": "none"})
    # Its own grid, where that is small: groups and questions may be made for as many agents.
    rows, columns = made.rows or made.size or _MOST, made.columns or made.size or _MOST
    is_own = rows * columns <= _MOST
    filled: dict[str, str] = {}
    own = {name: _trace(name, text, filled) for name, text in vars(made.prompts).items()}
    # Every memory is recalled, so that its prompt is shown.
    traced = dataclasses.replace(made, prompts=Prompts(**own), society={**made.society, "recall_distance": 2.0})
    given = {k: v for k, v in settings.items() if is_society_setting(k)}
    if not is_own and society.on_grid:  # as many as there is room for
        wanted = resolve_settings(
            scenario, max(rows, columns), {"agents": settings["agents"]} if "agents" in settings else {}
        )
        given["agents"] = None if wanted[0].agents is None else min(wanted[0].agents, _SIDE**2 * society.capacity)
    model = ScriptedModel()
    world = World(
        traced,
        model=model,
        rater="lm",
        protocol=protocol,
        embedder="hashing",
        event=event,
        size=None if is_own else _SIDE,
        **given,
    )
    try:
        centre = next((a for a in world.members if label in (None, a.label)), None)
        if centre is None:
            labels = sorted({a.label for a in world.members})
            raise ScenarioError(
                f"no agent is labelled {label!r}.{nearest(str(label), labels)} Labels: {', '.join(labels)}"
            )
        # From the second round on there is something to hear and to recall.
        world.step()
        leaders = world.active_agents()
        if world.groups:
            centre = next(
                (a for a in leaders if any(label in (None, b.label) for b in world.groups[a.index])), leaders[0]
            )
        question = world.question_for(centre)
        world.embed_questions([question])
        shown: dict[tuple[str, ...], RenderedPrompt] = {}
        for stage in world.stages:
            model.history.clear()
            world.staging.stage = stage
            if (failure := world.round_runner.run_one(centre, question)) is not None:
                raise failure
            for request in model.history:
                one = _shown(request, filled)
                if len(world.stages) > 1:
                    one = dataclasses.replace(one, note="; ".join(filter(None, (f"in the stage {stage}", one.note))))
                shown.setdefault((stage, *(one.templates or (one.messages[-1][1],))), one)
        for request in _rewriting(world, centre, model):
            one = _shown(request, filled)
            shown.setdefault(("", *(one.templates or (one.messages[-1][1],))), one)
        return list(shown.values())
    finally:
        world.close()


def unused_prompts(prompts: Prompts, shown: Sequence[RenderedPrompt]) -> list[str]:
    """Names of messages that a scenario words itself, and that no request shown has used."""
    used = {name for one in shown for name in one.templates}
    return [n for n in _WHOLE if n != "summarise" and n not in used and getattr(prompts, n) != getattr(Prompts(), n)]


def _rewriting(world: World, agent: SocialAgent, model: ScriptedModel) -> list[Request]:
    """The requests with which an agent's memory is rewritten, if it is; the world is of no use afterwards."""
    model.history.clear()
    for _ in range(_ROUNDS_AHEAD if world.remembering.kind.rewrites else 0):
        if (talk := agent.memory.rewrite()) is not None:  # type: ignore[attr-defined]
            run_conversations([talk])
            break
        world.round += 1
    return list(model.history)


def _trace(name: str, text: str, filled: dict[str, str]) -> _Traced:
    traced = _Traced(text)
    traced.name, traced.filled = name, filled
    return traced


def _shown(request: Request, filled: dict[str, str]) -> RenderedPrompt:
    """Find the templates of a request by their filled-in texts."""
    asked = request.messages[-1].content
    everything = "\n".join(m.content for m in request.messages)
    found = {name for text, name in filled.items() if name not in _WHOLE and text in everything}
    found |= {name for text, name in filled.items() if name in _WHOLE and text == asked}
    found.discard("reason_prefix")  # it is part of a quoted reason
    if filled.get(request.prefix) == "reason_prefix":
        found.add("reason_prefix")
    if "revise" in found:
        found.discard("answer")  # the message is the question itself
    names = tuple(name for name in Prompts.__dataclass_fields__ if name in found)
    note = "; ".join(_NOTES[name] for name in names if name in _NOTES)
    messages = tuple((m.role, m.content) for m in request.messages)
    return RenderedPrompt(names, messages, request.prefix, request.choices, request.max_tokens, note)
