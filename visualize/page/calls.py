"""What the dashboard and the report show of calls to language models: plain JSON types, by the part that each call gave.

Knows no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.store.call_index import RecordedCall

_ORIGINS = {"asked": "asked by this run", "recalled": "recalled from the record, not asked again"}


def show_calls(calls: Sequence[RecordedCall], names: Mapping[int, str]) -> dict[str, list[dict[str, Any]]]:
    """The calls of an interaction by the part that they gave.

    Args:
        calls: Its calls.
        names: Names of agents by index.

    Returns:
        Of each part its calls: ``who`` was asked, ``purpose``, ``facts`` (name, value), ``messages`` (role, text), ``reply``.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for call in calls:
        found.setdefault(call.part, []).append(_show(call, names))
    return found


def _show(call: RecordedCall, names: Mapping[int, str]) -> dict[str, Any]:
    request, reply = call.request, call.reply
    facts = {
        "model": call.model,
        "origin": _ORIGINS[call.origin],
        "seed": request.seed,
        "tokens": f"{reply.prompt_tokens} read, {reply.completion_tokens} written of at most {request.max_tokens}",
        "sampling": f"temperature {request.temperature:g}, top_p {request.top_p:g}",
        "stop": ", ".join(map(repr, request.stop)),
        "required beginning": request.prefix,
        "choices": ", ".join(request.choices),
        "schema": request.schema,
        "finished by": reply.finish_reason,
        "probabilities": _probabilities(call),
        "key": call.key,
        "found by": "" if call.found_by == "seed" else "its texts: it has no seed of its own",
    }
    return {
        "who": _who(call.agent, names),
        "purpose": _purpose(call, names),
        "facts": [[name, str(value)] for name, value in facts.items() if value != ""],
        "messages": [[message.role, message.content] for message in request.messages],
        "reply": reply.text,
    }


def _probabilities(call: RecordedCall) -> str:
    """The probability of each choice, and what is made of them where the reply alone would mislead."""
    shares = ", ".join(f"{name} {share:.3f}" for name, share in (call.reply.choice_probs or {}).items())
    is_drawn = call.purpose.rpartition(": ")[2].startswith(("choose ", "number "))
    return f"{shares}; the reply is the likeliest, and a draw may take another" if shares and is_drawn else shares


def _who(agent: int | None, names: Mapping[int, str]) -> str:
    if agent is None:
        return "observer"
    return names.get(agent, f"Agent {agent + 1}") if agent >= 0 else f"speaker {-1 - agent}"


def _purpose(call: RecordedCall, names: Mapping[int, str]) -> str:
    """The purpose, with agents by their names."""
    start, word, number = call.purpose.rpartition(" ")
    is_agent = start.endswith((" of", " with")) or start in ("rate of", "reason of")
    return f"{start}{word}{_who(int(number), names)}" if is_agent and number.isdigit() else call.purpose
