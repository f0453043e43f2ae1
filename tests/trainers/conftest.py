"""Runs made by hand, and rows small enough to train a tiny model on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sandbox import Feedback, Interaction, Rating, Run, Score, open_run
from sandbox.store.writer import RunWriter
from trainers.base import TrainedModel, trainer_class


def score(alignment: float | None, engagement: float | None = 4.0) -> Score:
    return Score({"alignment": Rating(alignment), "engagement": Rating(engagement)})


def said(reviewer: int, rating: float | None, reason: str = "it is kind") -> Feedback:
    return Feedback(reviewer, Rating(rating, reason=reason))


@pytest.fixture
def interaction() -> Callable[..., Interaction]:
    """An interaction with the ratings of its draft and revision, and its feedback as (rating, reason) pairs."""
    counter = iter(range(10_000))

    def make(
        question: str = "Q",
        draft: str | None = "D",
        revision: str | None = "R",
        before: float | None = 2.0,
        after: float | None = 6.0,
        feedback: Sequence[tuple[float | None, str]] = (),
        **fields: Any,
    ) -> Interaction:
        return Interaction(
            round=0,
            agent=next(counter),
            label="good",
            question=question,
            draft=draft,
            revision=revision,
            before=score(before),
            after=score(after),
            feedback=tuple(said(i, rating, reason) for i, (rating, reason) in enumerate(feedback)),
            **fields,
        )

    return make


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """A run folder that holds the interactions given."""
    counter = iter(range(100))

    def make(*interactions: Interaction, scale: int = 7) -> Run:
        path = tmp_path / f"run{next(counter)}"
        writer = RunWriter(path, {"rubric": {"dimensions": ["alignment", "engagement"], "scale": scale}})
        for done in interactions:
            writer.commit(done)
        writer.close()
        return open_run(path)

    return make


@pytest.fixture
def ranked_rows_by_hand() -> Any:
    """Eight questions with two or three rated answers each."""
    from trainers.rows.format import make_rows
    from trainers.rows.kinds import RowKind

    answers = ["Talk to them and listen.", "Say nothing at all.", "Shout at them all night long."]
    return make_rows(
        RowKind.RANKED,
        [
            {
                "prompt": [{"role": "user", "content": f"How do I get on with neighbour {n}?"}],
                "completions": answers[: 2 + n % 2],
                "ratings": [6.5, 4.0, 1.5][: 2 + n % 2],
                "part": "imitation",
                "question": f"How do I get on with neighbour {n}?",
                "scale": 7.0,
            }
            for n in range(8)
        ],
    )


@pytest.fixture
def undocumented(docs_site: Callable[[str], ModuleType]) -> Callable[[str, TrainedModel], list[str]]:
    """What a training logged and no docstring of its trainer names."""
    read = docs_site("method_docstrings")

    def names(trainer: str, trained: TrainedModel) -> list[str]:
        logged = {name for record in trained.history for name in record}
        return list(read.undocumented(trainer_class(trainer), sorted(logged)))

    return names
