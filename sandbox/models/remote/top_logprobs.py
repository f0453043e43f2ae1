"""Probabilities of choices from the top log-probabilities of a server."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_SPACE = " \t\r\nĠ▁"  # some servers send tokens in the spelling of the vocabulary


def choice_probs(positions: Iterable[Mapping[str, float]], choices: Sequence[str]) -> dict[str, float] | None:
    """Compute the probability of each choice.

    Uses the first position at which choices are likelier than all other tokens, so that ``Rating: 5`` is read at its digit;
    otherwise the first at which a choice is among the top tokens. White space around tokens is ignored. A choice that is
    not among the top tokens, or that consists of several tokens, has probability 0.

    Args:
        positions: For each position, the log-probability in nats of each top token.
        choices: The choices.

    Returns:
        Probabilities that sum to 1; None if no position contains a choice.
    """
    found: dict[str, float] | None = None
    for tops in positions:
        mass = dict.fromkeys(choices, 0.0)
        for token, nats in tops.items():
            if (word := token.strip(_SPACE)) in mass:
                mass[word] += math.exp(min(nats, 0.0))
        total = math.fsum(mass.values())
        if total > 0.5 or (total > 0 and found is None):
            found = {choice: p / total for choice, p in mass.items()}
        if total > 0.5:
            break
    return found


def positions(logprobs: Any) -> Iterator[dict[str, float]]:
    """The top tokens at each position of a reply, from the ``logprobs`` of OpenAI's chat or completion API.

    Entries of another format are skipped.
    """
    if not isinstance(logprobs, dict):
        return
    content, legacy = logprobs.get("content"), logprobs.get("top_logprobs")
    if isinstance(content, list):
        for place in content:
            if isinstance(place, dict):
                tops = place.get("top_logprobs")
                shown = [place, *tops] if isinstance(tops, list) else [place]
                yield _numbers([(t.get("token"), t.get("logprob")) for t in shown if isinstance(t, dict)])
    elif isinstance(legacy, list):
        for tops in legacy:
            if isinstance(tops, dict):
                yield _numbers(tops.items())


def _numbers(tops: Iterable[tuple[Any, Any]]) -> dict[str, float]:
    return {
        token: nats
        for token, nats in tops
        if isinstance(token, str) and isinstance(nats, (float, int)) and not math.isnan(nats)
    }
