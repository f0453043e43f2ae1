"""Replies of models with local weights: of failed requests and of choices, and what is wrong with a request."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sandbox.models.base import Reply, Request
from sandbox.models.thoughts import THOUGHTS_ALONE, has_thoughts_alone, without_thoughts


def failed_reply(error: str, prompt_tokens: int = 0) -> Reply:
    """A reply that says why the request failed."""
    return Reply("", None, prompt_tokens, 0, "error", error)


def written_reply(text: str, prompt_tokens: int, tokens: int, reason: str, cached_tokens: int = 0) -> Reply:
    """The reply of a text; thoughts are no part of it, and thoughts alone are no reply."""
    if has_thoughts_alone(text):
        return Reply("", None, prompt_tokens, tokens, "error", THOUGHTS_ALONE)
    return Reply(without_thoughts(text), None, prompt_tokens, tokens, reason, cached_tokens=cached_tokens)


def chosen_reply(choices: Sequence[str], nats: Sequence[float], prompt_tokens: int) -> Reply:
    """The reply to a request with choices, from the log-probability of each (nats): the most probable, with probabilities."""
    top = max(nats)
    weights = [math.exp(n - top) for n in nats]
    probabilities = {c: w / sum(weights) for c, w in zip(choices, weights, strict=True)}
    return Reply(max(probabilities, key=probabilities.__getitem__), probabilities, prompt_tokens)


def request_fault(request: Request) -> str:
    """Faults of the numbers of a request, as text; empty if there are none."""
    faults = []
    if request.max_tokens < 1:
        faults.append(f"max_tokens is {request.max_tokens}, expected at least 1")
    if not 0 <= request.temperature < math.inf:
        faults.append(f"temperature is {request.temperature}, expected 0 or more")
    if not 0 < request.top_p <= 1:
        faults.append(f"top_p is {request.top_p}, expected more than 0 and at most 1")
    if "" in request.stop:
        faults.append("a stop string is empty")
    return "; ".join(faults)
