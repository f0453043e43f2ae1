"""The reviews and the conversations of each round, as the report's player shows them beside the map. Knows no page.

Both are a fair sample where a run is large, so that the page stays small; how many there are is told beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.seeding import keyed_rng
from visualize.page.conversations import said_in
from visualize.page.data import PageData

# Of all rounds together, and of one round: more reviews are sampled.
_REVIEWS, _OF_ROUND = 15_000, 1_000
# Size of the conversations of all rounds together, as JSON, and length of a text; in characters.
_SAID, _TEXT = 700_000, 300
# Half of the side of the graph, in its units, for positions in [-1, 1].
_REACH = 10


def graph_places(data: PageData, order: Sequence[int]) -> list[list[float]]:
    """The place of each agent in the graph, the same in all rounds: x to the right and y downwards, in [2, 22]."""
    standing = data.graph_positions()
    return [[round(12 + _REACH * standing[agent][0], 2), round(12 - _REACH * standing[agent][1], 2)] for agent in order]


def reviews_by_round(
    data: PageData, rounds: Sequence[int], order: Sequence[int], palette: dict[str, int]
) -> list[dict[str, Any]]:
    """The reviews of each round.

    Args:
        data: The run.
        rounds: The rounds.
        order: The agents, in the order in which the player has them.
        palette: Numbers of colours; colours of reviews are added.

    Returns:
        Of each round ``n`` (number of reviews) and ``arrows``: place of the reviewer and of the author in ``order``, and number
        of the colour (-1 without a rating).
    """
    place, found = {agent: i for i, agent in enumerate(order)}, []
    most = min(_OF_ROUND, max(20, _REVIEWS // len(rounds)))
    for round_ in rounds:
        known, n = data.reviews(round_)
        kept = sorted(keyed_rng("player", round_).sample(range(len(known)), most)) if len(known) > most else None
        arrows = [
            [place[one["reviewer"]], place[one["author"]],
             -1 if one["colour"] is None else palette.setdefault(one["colour"], len(palette))]
            for one in (known if kept is None else [known[i] for i in kept])
            if one["reviewer"] in place and one["author"] in place
        ]  # fmt: skip
        found.append({"n": n, "arrows": arrows})
    return found


def said_by_round(
    data: PageData, rounds: Sequence[int], order: Sequence[int], names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """What was said in each round; long texts are cut.

    Args:
        data: The run.
        rounds: The rounds.
        order: The agents, in the order in which the player has them.
        names: Their names.

    Returns:
        Of each round ``n`` (number of conversations that did not fail) and ``kept``: of each conversation the place of its
        agent in ``order``, the question, and what was said, as pairs of who or what, and text. If not all fit, those of some
        agents are kept, evenly and others in each round.
    """
    place = {agent: i for i, agent in enumerate(order)}
    found, room = [], _SAID // len(rounds)
    for round_ in rounds:
        held = [it for agent, it in sorted(data.round(round_).items()) if it.error is None and agent in place]
        told = [
            [place[it.agent], _cut(it.question), [[what, _cut(text)] for what, text in said_in(it, names)]]
            for it in held
        ]
        size = len(json.dumps(told))
        if size > room:
            most = max(1, room * len(told) // size)
            told = [told[(i * len(told) // most + round_) % len(told)] for i in range(most)]
        found.append({"n": len(held), "kept": told})
    return found


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]} …"
