"""How likely each of a few strings is, read from the likeliest tokens that a server shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_SPACE = " \t\r\nĠ▁"  # some servers send tokens as their vocabulary spells them


def choice_probs(positions: Iterable[Mapping[str, float]], choices: Sequence[str]) -> dict[str, float] | None:
    """How likely each choice is.

    The first position where choices are likelier than all else counts, so that ``Rating: 5`` is read at its digit;
    failing that, the first where one is among the likeliest tokens at all. Tokens count without white space around
    them. A choice that is not among them has probability 0; so has one that takes several tokens.

    Args:
        positions: Log-probability in nats of each of the likeliest tokens, by token.
        choices: The strings.

    Returns:
        Summing to 1; None where no position shows a choice.
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
    """The likeliest tokens at each position of a reply, from the ``logprobs`` of OpenAI's chat or completion API.

    What is not in either's form is passed over.
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
