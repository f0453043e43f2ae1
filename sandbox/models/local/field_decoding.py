"""JSON by a schema from a model that continues a given beginning: field after field, each written or chosen.

The names of fields, braces and quotes are given, so that the reply is JSON whatever the model; values with few possibilities
are drawn from their probabilities. Schemas that are not objects of plain fields are left to the model's own words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sandbox.models.base import Reply, Request
from sandbox.models.json_replies import draw_choice, field_choices
from sandbox.seeding import keyed_seed

_PLAIN = ("string", "number", "integer", "boolean")
_NUMBER_TOKENS = 12


def plain_fields(schema: str) -> dict[str, dict[str, Any]] | None:
    """Fields of a schema whose values are texts, numbers or choices; None if it has others, or is no object."""
    shape = json.loads(schema)
    fields = shape.get("properties")
    if shape.get("type", "object") != "object" or not fields:
        return None
    plain = all(isinstance(one, dict) and (field_choices(one) or one.get("type") in _PLAIN) for one in fields.values())
    return fields if plain else None


def with_schemas(generate: Callable[[Sequence[Request]], list[Reply]], requests: Sequence[Request]) -> list[Reply]:
    """Answer requests of any kind: those with a schema of :func:`plain_fields` field after field, all others as they are."""
    is_by_field = [bool(request.schema) and plain_fields(request.schema) is not None for request in requests]
    if not any(is_by_field):
        return generate(requests)
    fields = iter(write_fields(generate, [one for one, by in zip(requests, is_by_field, strict=True) if by]))
    others = iter(generate([one for one, by in zip(requests, is_by_field, strict=True) if not by]))
    return [next(fields) if by else next(others) for by in is_by_field]


def write_fields(generate: Callable[[Sequence[Request]], list[Reply]], requests: Sequence[Request]) -> list[Reply]:
    """Answer requests with a schema of plain fields.

    Args:
        generate: Of a model that continues ``Request.prefix``.
        requests: Requests whose schema has :func:`plain_fields`.

    Returns:
        Replies with JSON as their text; tokens of all fields are counted.
    """
    fields = [list((plain_fields(request.schema) or {}).items()) for request in requests]
    written = ["{"] * len(requests)
    replies = [Reply("") for _ in requests]
    for place in range(max(map(len, fields), default=0)):
        open_ones = [i for i, own in enumerate(fields) if place < len(own) and replies[i].error is None]
        asked = []
        for i in open_ones:
            name, shape = fields[i][place]
            head = f"{written[i]}{', ' if place else ''}{json.dumps(name, ensure_ascii=False)}:"
            asked.append(_field(requests[i], shape, head, place))
        for i, request, reply in zip(open_ones, asked, generate(asked), strict=True):
            tokens = (
                replies[i].prompt_tokens + reply.prompt_tokens,
                replies[i].completion_tokens + reply.completion_tokens,
            )
            replies[i] = replace(reply, choice_probs=None, prompt_tokens=tokens[0], completion_tokens=tokens[1])
            written[i] = request.prefix.removesuffix('"').rstrip() + " " + _value(reply, request, fields[i][place][1])
    return [
        reply if reply.error is not None else replace(reply, text=f"{text}}}", finish_reason="stop")
        for reply, text in zip(replies, written, strict=True)
    ]


def _field(request: Request, shape: dict[str, Any], head: str, place: int) -> Request:
    """The request for one field's value."""
    own = replace(request, schema="", seed=keyed_seed(request.seed, "field", place))
    if choices := field_choices(shape):
        return replace(own, prefix=f"{head} ", choices=choices)
    if shape.get("type") == "string":
        return replace(own, prefix=f'{head} "', stop=('"', "\n"))
    return replace(own, prefix=head, stop=(",", "}", "\n"), max_tokens=min(_NUMBER_TOKENS, request.max_tokens))


def _value(reply: Reply, request: Request, shape: dict[str, Any]) -> str:
    """JSON of a field's value."""
    if request.choices:
        return draw_choice(reply, request)
    if shape.get("type") == "string":
        text = reply.text
        for stop in request.stop:
            text = text.partition(stop)[0]
        return json.dumps(text.strip(), ensure_ascii=False)
    found = re.search(r"-?\d+(?:\.\d+)?", reply.text.replace(",", ""))
    if found is None:
        return "null"
    return str(round(float(found.group()))) if shape.get("type") == "integer" else str(float(found.group()))
