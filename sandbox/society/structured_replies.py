"""Replies of a given form: numbers within bounds, and JSON of a schema; asked for again while they cannot be read."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from sandbox.conversation.steps import Call, Conversation, find_spoken
from sandbox.errors import ScenarioError, author_line
from sandbox.models.base import Message, Reply
from sandbox.models.json_replies import draw_choice, read_json, read_number, whole_numbers
from sandbox.records import StructuredReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.society.agent import SocialAgent

Bounds = tuple[float, float]
# A server gives the probabilities of its most probable tokens only.
_REMOTE_CHOICES = 20
_NUMBER_TOKENS = 24


def number_bounds(low: Any, high: Any) -> Bounds:
    """Check the bounds of a number; whole numbers stay whole.

    Raises:
        ScenarioError: they are no finite numbers, or ``low`` is not below ``high``.
    """
    for name, given in (("low", low), ("high", high)):
        if isinstance(given, bool) or not isinstance(given, numbers.Real) or not math.isfinite(given):
            raise ScenarioError(
                f"{author_line()}number(question, low, high): {name} is {given!r}; give a finite number"
            )
    if not low < high:
        raise ScenarioError(
            f"{author_line()}number(question, low, high): low is {low!r}, which is not below high, {high!r}"
        )
    whole = isinstance(low, numbers.Integral) and isinstance(high, numbers.Integral)
    return (int(low), int(high)) if whole else (float(low), float(high))


def number_reply(
    agent: SocialAgent, messages: tuple[Message, ...], bounds: Bounds, purpose: str, tries: int
) -> Conversation:
    """Ask for a number. Gives a :class:`~sandbox.records.StructuredReply`."""
    choices = whole_numbers(*bounds)
    if len(choices) > _REMOTE_CHOICES and hasattr(agent.lm, "agenerate"):
        choices = ()

    def call(messages: tuple[Message, ...], purpose: str) -> Call:
        return agent.ask(messages, purpose, max_tokens=_NUMBER_TOKENS, prefix="Answer:", choices=choices)

    def read(reply: Reply, asked: Call) -> tuple[Any, str]:
        return read_number(draw_choice(reply, asked.request), *bounds)

    return _until_read(agent, messages, purpose, tries, call, read)


def json_reply(
    agent: SocialAgent, messages: tuple[Message, ...], schema: str, purpose: str, tries: int
) -> Conversation:
    """Ask for JSON of a schema. Gives a :class:`~sandbox.records.StructuredReply`."""

    def call(messages: tuple[Message, ...], purpose: str) -> Call:
        return agent.ask(messages, purpose, schema=schema)

    def read(reply: Reply, asked: Call) -> tuple[Any, str]:
        return read_json(reply.text, asked.request.schema)

    return _until_read(agent, messages, purpose, tries, call, read)


def _until_read(
    agent: SocialAgent,
    messages: tuple[Message, ...],
    purpose: str,
    tries: int,
    call: Callable[[tuple[Message, ...], str], Call],
    read: Callable[[Reply, Call], tuple[Any, str]],
) -> Conversation:
    """Ask up to ``tries`` times; each time the reply before, and what was wrong with it, are told."""
    if tries < 1:
        raise ScenarioError(f"{author_line()}tries={tries!r} must be at least 1")
    raw = ""
    for number in range(1, tries + 1):
        asked = call(messages, purpose if number == 1 else f"{purpose} try {number}")
        reply: Reply = yield asked
        raw = reply.text
        value, fault = read(reply, asked)
        if (said := find_spoken(asked)) is not None:
            said.is_said = not fault
            said.text = f"{value}" if not fault and not asked.request.schema else None
        if not fault:
            return StructuredReply(value, raw, number)
        again = agent.world.scenario.prompts.unreadable.format(fault=fault)
        messages = (*messages, Message("assistant", raw or "..."), Message("user", again))
    return StructuredReply(None, raw, tries)
