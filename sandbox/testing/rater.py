"""Checks the contract of raters on a few answers, for an agent and for an observer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sandbox.embedders.base import load_embedder
from sandbox.raters.base import load_rater
from sandbox.records import Rating
from sandbox.testing.contract import Promises, called

_ITEMS = (
    ("How do I get on with my neighbour?", "Talk to them, and listen to what they say."),
    ("How do I get on with my neighbour?", "Shout at them all night."),
    ("May I read a letter that is not mine?", "No; whoever wrote it did not write it for you."),
    ("我应该总是说实话吗？", "Sí, siempre: la verdad ayuda. 真相有帮助。"),
    ("What do I owe a friend?", ""),
    ("What do I owe a friend?", "Much, and more than that. " * 40),
)
_SCALES = (7, 5)


def check_rater(
    rater: Any,
    *,
    items: Sequence[tuple[str, str]] = _ITEMS,
    rater_of: Sequence[Any] | None = None,
    embedder: Any = "hashing",
    tolerance: float = 1e-4,
) -> None:
    """Check the contract of a rater.

    * It has a ``name``, and ``rate`` returns one rating per (question, answer), in order, and an empty list for none.
    * A value is a number in [1, scale], for any scale, or None with the text that could not be parsed; never a sentinel
      number.
    * A distribution, if given, has a probability for each of 1..scale.
    * It rates any answer (empty, long, in any language) for agents and for observers.
    * The same answer has the same rating alone, in a batch and in any order.

    Args:
        rater: Its name (``name:rest``, as for ``--rater``), or a rater.
        items: (question, answer) pairs to rate.
        rater_of: Rating roles; default: an agent and an observer of tiny societies with scales of 7 and 5.
        embedder: Embedder for raters that need one.
        tolerance: Largest absolute difference between two ratings of the same answer.

    Raises:
        BrokenPromise: the message states the requirement, what was found, and how to fix it.
    """
    promises = called("rater", rater)
    fix = "let __init__ take the text after its name, and the keyword argument embedder"
    with promises.work("it is created from its name and an embedder", fix):
        made = load_rater(rater, embedder=load_embedder(embedder))
    promises.hold(
        isinstance(getattr(made, "name", None), str) and made.name,
        "it has a name, which manifests record",
        f"name is {getattr(made, 'name', None)!r}",
        "add to the class: name = 'my_rater'",
    )
    with _asking(rater_of) as somebody:
        for one in somebody:
            _check_ratings(promises, made, items, one, tolerance)


@contextmanager
def _asking(given: Sequence[Any] | None) -> Iterator[list[Any]]:
    """Yield the rating roles; societies created for them are closed afterwards."""
    if given is not None:
        yield list(given)
        return
    from sandbox.scenario.loading import load_scenario
    from sandbox.society.reviewer import Reviewer
    from sandbox.world import World

    scenario = load_scenario("value_alignment", {})
    worlds = []
    for scale in _SCALES:
        scaled = replace(scenario, rubric=replace(scenario.rubric, scale=scale))
        worlds.append(World(scaled, model="scripted:", embedder="hashing", size=2))
    try:
        yield [
            one for world in worlds for one in (Reviewer(world.members[0], world.members[1]), world.observer.scorers[0])
        ]
    finally:
        for world in worlds:
            world.close()


def _check_ratings(promises: Promises, rater: Any, items: Sequence[tuple[str, str]], one: Any, by: float) -> None:
    who = f"for {type(one).__name__} on a scale of {one.scale}"
    fix = (
        "let rate take any text; use dimension, scale, examples, known_answers and values_key of rater_of, and no other "
        "attributes of it"
    )
    with promises.work(f"it rates any answer {who}", fix):
        nothing, ratings = rater.rate([], rater_of=one), rater.rate(list(items), rater_of=one)
    promises.hold(
        list(nothing) == [] and len(ratings) == len(items) and all(isinstance(r, Rating) for r in ratings),
        "it returns one Rating per answer",
        f"{len(nothing)} ratings of no answers, {len(ratings)} of {len(items)} answers, for example {ratings[:1]}",
        "return a list of sandbox.records.Rating, as long as items",
    )
    for rating in ratings:
        _check_rating(promises, rating, one.scale)
    turned = rater.rate(list(reversed(items)), rater_of=one)[::-1]
    alone = [rater.rate([item], rater_of=one)[0] for item in items]
    for how, others in (("in another order", turned), ("alone", alone)):
        for item, first, second in zip(items, ratings, others, strict=True):
            promises.hold(
                _near(first.value, second.value, by),
                "the rating of an answer does not depend on the batch",
                f"{first.value}, then {second.value} when rated {how}, for {item[1][:40]!r}",
                "let a rating depend only on question, answer and rater_of, and keep the order of items",
            )


def _check_rating(promises: Promises, rating: Rating, scale: int) -> None:
    value, spread = rating.value, rating.distribution
    if value is None:
        promises.hold(
            isinstance(rating.raw, str),
            "a rating that could not be parsed keeps the text",
            f"{rating}",
            "return Rating(None, raw=text)",
        )
        return
    promises.hold(
        isinstance(value, int | float) and math.isfinite(value) and 1 <= value <= scale,
        f"a rating is in 1..{scale}, or None",
        f"value {value!r}",
        "use rater_of.scale; return Rating(None, raw=text) if there is no rating, never a sentinel number",
    )
    promises.hold(
        spread is None
        or (len(spread) == scale and all(p >= 0 for p in spread) and math.isclose(sum(spread), 1, abs_tol=1e-3)),
        f"a distribution has a probability for each of 1..{scale}",
        f"{spread}",
        "return one probability per rating in 1..rater_of.scale, summing to 1, or None",
    )


def _near(first: float | None, second: float | None, tolerance: float) -> bool:
    if first is None or second is None:
        return first is second
    return abs(first - second) <= tolerance
