"""A memory that breaks a promise is told which one."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import Recollection
from sandbox.testing import BrokenPromise, check_memory


class Good:
    """Recalls the last thing."""

    def __init__(self, rest: str = "", *, owner: Any) -> None:
        self.owner = owner
        self.kept: list[Any] = []

    def remember(self, items: Any) -> None:
        self.kept += items

    def recall(self, question: str) -> Any:
        return Recollection(self.kept[-1].text, self.kept[-1].text) if self.kept else None


class Text(Good):
    def recall(self, question: str) -> Any:
        return "a text"


class Empty(Good):
    def recall(self, question: str) -> Any:
        return Recollection(self.kept[0].text, "")


class Counting(Good):
    asked = 0

    def recall(self, question: str) -> Any:
        self.asked += 1
        return Recollection(f"{self.asked}", "")


class Batch(Good):
    def remember(self, items: Any) -> None:
        self.kept = items[:1]


class Shared(Good):
    everything: list[Any] = []  # noqa: RUF012

    def remember(self, items: Any) -> None:
        self.kept = self.everything
        self.everything += items

    def recall(self, question: str) -> Any:
        return Recollection(self.everything[-1].text, "") if self.everything else None


class Number(Good):
    def rewrite(self) -> Any:
        yield self.owner.ask("Sum up.", "sum", max_tokens=8)
        return 3


class Eager(Good):
    def rewrite(self) -> Any:
        reply = yield self.owner.ask("Sum up.", "sum", max_tokens=8)
        self.kept.clear()
        return reply.text


class Forgetful(Good):
    """Counts the calls of remember, which are fewer where it is restored."""

    def __init__(self, rest: str = "", *, owner: Any) -> None:
        super().__init__(owner=owner)
        self.rounds: set[int] = set()

    def remember(self, items: Any) -> None:
        super().remember(items)
        self.rounds.add(self.owner.round)

    def recall(self, question: str) -> Any:
        return Recollection(f"{len(self.rounds)}", "") if self.kept else None


def test_a_good_one_passes() -> None:
    check_memory(Good)
    check_memory("stream", items=2, decay=0.5)


@pytest.mark.parametrize(
    ("memory", "promise"),
    [
        (Text, "recall gives a Recollection or None"),
        (Empty, "it recalls for any question when it is empty"),
        (Counting, "recalling changes nothing"),
        (Batch, "what is recalled depends on the items and their order alone"),
        (Shared, "agents share nothing"),
        (Number, "rewrite gives a text or None"),
        (Eager, "rewrite changes nothing itself"),
        (Forgetful, "a society that is interrupted and resumed has the record of one that was not"),
        (Good(owner=None), "it is made with its settings"),
    ],
)
def test_what_is_broken_is_named(memory: Any, promise: str) -> None:
    with pytest.raises(BrokenPromise) as raised:
        check_memory(memory)
    assert f"violates the contract: {promise}" in str(raised.value)
