"""Who turns (question, answer) into a rating: the language model, a values vector, or a reward model.

Neighbours and observers rate through the same seam. A rater is asked on behalf of somebody (``rater_of``), which
has ``dimension`` (what is rated), ``scale``, ``examples`` (labelled answers its values come from) and
``values_key``. Built-in raters also give ``steps``, a generator, so that the scheduler can batch what they wait for
across all who rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sandbox import registry
from sandbox.records import Rating

if TYPE_CHECKING:
    pass


class Rater(Protocol):
    """What every rater promises."""

    name: str

    def rate(self, items: Sequence[tuple[str, str]], *, rater_of: Any) -> list[Rating]:
        """Rate (question, answer) pairs as ``rater_of`` would, in order."""
        ...


def load_rater(spec: str | Rater, *, embedder: Any) -> Rater:
    """Find a rater by ``name`` or ``name:rest``, as ``values`` or ``reward:./my-reward-model``.

    Raises:
        UnknownPlugin: there is none of that name.
    """
    if not isinstance(spec, str):
        return spec
    name, _, rest = spec.partition(":")
    made: Rater = registry.load("raters", name)(rest, embedder=embedder)
    return made
