"""The contract of raters: (question, answer) -> rating, on behalf of an agent or an observer.

Neighbours and observers rate through the same interface. Built-in raters also have ``steps``, a generator that rates one
answer, so that the scheduler can batch the calls of all who rate. Knows no agents.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sandbox import registry
from sandbox.plugin_defaults import complete, construct
from sandbox.records import Rating

if TYPE_CHECKING:
    from sandbox.conversation.steps import Call
    from sandbox.scenario.rubric import Dimension, Example


class RatingRole(Protocol):
    """On whose behalf an answer is rated: an agent as reviewer, or an observer on one dimension."""

    @property
    def dimension(self) -> Dimension:
        """The dimension that is rated."""
        ...

    @property
    def scale(self) -> int:
        """The highest rating; the lowest is 1."""
        ...

    @property
    def examples(self) -> Sequence[Example]:
        """Labelled answers from which the ``values`` rater learns."""
        ...

    @property
    def known_answers(self) -> tuple[tuple[str, str], ...]:
        """(question, answer) pairs of people, good and bad, from which raters learn what an answer is."""
        ...

    @property
    def values_key(self) -> Hashable:
        """Key under which the learnt values are cached."""
        ...

    def rate(self, question: str, answer: str, choices: tuple[str, ...], max_tokens: int) -> Call:
        """The call that asks its language model for a rating, one of ``choices``."""
        ...


class Rater(Protocol):
    """The interface of a rater.

    Attributes:
        name: Name in the manifest.
    """

    name: str

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: RatingRole) -> list[Rating]:
        """Rate (question, answer) pairs on behalf of ``rater_of``, one rating per pair and in their order."""
        ...


def load_rater(spec: str | Rater, *, embedder: Any) -> Rater:
    """Load a rater by ``name`` or ``name:rest``, for example ``values`` or ``reward:./my-reward-model``.

    Args:
        spec: The name, or a rater, which needs only ``rate``: its name is by default that of its class.
        embedder: Embedder for raters that need one.

    Raises:
        UnknownPlugin: no rater has that name.
        BrokenPlugin: it has no ``rate``, or its plugin cannot be called with the text after its name.
    """
    given, name = spec, type(spec).__name__
    if isinstance(spec, str):
        name, _, rest = spec.partition(":")
        given = construct(f"rater {name!r}", registry.load("raters", name), rest, {}, {"embedder": embedder})
    made: Rater = complete("rater", given, "rate", {"name": lambda: name})
    return made
