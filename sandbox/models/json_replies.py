"""Replies of a given form: schemas are checked, JSON and numbers are read from replies, and examples are made.

Knows no language model. Schemas are those of JSON Schema, as the library ``jsonschema`` reads them.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any

from sandbox.errors import ScenarioError, author_line
from sandbox.models.base import Reply, Request
from sandbox.seeding import keyed_rng

_MOST_CHOICES = 101  # whole numbers among which a model chooses


def check_schema(schema: Any) -> str:
    """Check a schema and return it as JSON text, in which form requests hold it.

    Raises:
        ScenarioError: it is no JSON Schema; names the fault and the author's line.
    """
    import jsonschema

    try:
        if not isinstance(schema, Mapping):
            raise TypeError(f"a mapping is expected, not a {type(schema).__name__}")
        text = json.dumps(schema, ensure_ascii=False)
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        place = "".join(f"[{part!r}]" for part in error.absolute_path)
        raise ScenarioError(f"{author_line()}the schema{place} is not a JSON Schema: {error.message}") from None
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"{author_line()}the schema is not a JSON Schema: {error}") from None
    return text


def read_json(text: str, schema: str) -> tuple[Any, str]:
    """Find the first JSON value in a reply that fits a schema.

    Args:
        text: The reply; words and code fences around the value are ignored.
        schema: From :func:`check_schema`.

    Returns:
        The value and "", or None and what is wrong.
    """
    import jsonschema

    shape = json.loads(schema)
    check = jsonschema.validators.validator_for(shape)(shape)
    fault = "it contains no JSON"
    for start in _starts(text, shape):
        try:
            value, _ = json.JSONDecoder(parse_constant=_refuse).raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        error = next(iter(sorted(check.iter_errors(value), key=str)), None)
        if error is None:
            return value, ""
        place = "".join(f"[{part!r}]" for part in error.absolute_path)
        fault = f"{place + ': ' if place else ''}{error.message}"
    return None, fault


def read_number(text: str, low: float, high: float) -> tuple[float | int | None, str]:
    """Find the first number of a reply that lies within bounds.

    Args:
        text: The reply.
        low: Lowest number. If both bounds are whole numbers, only whole numbers are read.
        high: Highest number.

    Returns:
        The number and "", or None and what is wrong.
    """
    whole = isinstance(low, int) and isinstance(high, int)
    found = re.findall(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w])", text)
    numbers = [float(one.replace(",", "")) for one in found]
    for number in numbers:
        if low <= number <= high and (not whole or number == int(number)):
            return (int(number) if whole else number), ""
    if not numbers:
        return None, "it contains no number"
    return None, f"{numbers[0]:g} is not a {'whole ' if whole else ''}number from {low} to {high}"


def whole_numbers(low: float, high: float) -> tuple[str, ...]:
    """The whole numbers from ``low`` to ``high``, as texts to choose among; none if bounds are not whole or too far apart."""
    if not (isinstance(low, int) and isinstance(high, int)) or high - low >= _MOST_CHOICES:
        return ()
    return tuple(map(str, range(low, high + 1)))


def field_choices(shape: Mapping[str, Any]) -> tuple[str, ...]:
    """The JSON texts among which a field's value is to be chosen; none where it is written freely."""
    if "const" in shape:
        return (json.dumps(shape["const"], ensure_ascii=False),)
    if "enum" in shape:
        return tuple(json.dumps(value, ensure_ascii=False) for value in shape["enum"])
    if shape.get("type") == "boolean":
        return ("true", "false")
    if shape.get("type") == "integer" and {"minimum", "maximum"} <= set(shape):
        return whole_numbers(shape["minimum"], shape["maximum"])
    return ()


def draw_choice(reply: Reply, request: Request) -> str:
    """Draw one of a request's choices by its probability, at the request's temperature; the most probable one at 0."""
    probs = reply.choice_probs
    if probs is None or request.temperature <= 0:
        return reply.text
    weights = [max(p, 0.0) ** (1 / request.temperature) for p in probs.values()]
    return keyed_rng(request.seed, "choice").choices(list(probs), weights)[0] if sum(weights) > 0 else reply.text


def example(shape: Mapping[str, Any], draw: random.Random) -> Any:
    """A value of a schema, for placeholder replies: types, choices, bounds and lengths are kept."""
    if choices := field_choices(shape):
        return json.loads(draw.choice(choices))
    for key in ("anyOf", "oneOf", "allOf"):
        if shape.get(key):
            return example(shape[key][0], draw)
    kind = shape.get("type", "object" if "properties" in shape else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: example(inner, draw) for name, inner in shape.get("properties", {}).items()}
    if kind == "array":
        return [example(shape.get("items", {}), draw) for _ in range(max(1, shape.get("minItems", 1)))]
    if kind in ("number", "integer"):
        low = shape.get("minimum", shape.get("exclusiveMinimum", 0))
        high = shape.get("maximum", low + 10)
        return draw.randint(int(low), int(high)) if kind == "integer" else round(draw.uniform(low, high), 2)
    return None if kind == "null" else "It depends on what the people who live there have agreed on before."


def _starts(text: str, shape: Mapping[str, Any]) -> list[int]:
    """Where JSON may begin: at braces and brackets; at once for schemas of other values."""
    kinds = shape.get("type", "object")
    if kinds in ("object", "array"):
        return [found.start() for found in re.finditer(r"[{\[]", text)][:64]
    return [found.start() for found in re.finditer(r'[-{\["\dtfn]', text)][:64]


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
