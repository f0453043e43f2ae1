"""What an interaction leaves behind: frozen records, and nothing that runs.

The records know nothing of language models, files or trainers; everything that happens in a society is one
:class:`Interaction`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Rating:
    """How good somebody found an answer.

    Attributes:
        value: From 1 to the scale of the rubric (7 in the paper), or None when it could not be read.
        distribution: Probabilities of 1, 2, ..., scale, when the rater gives them.
        reason: Why, in words; empty where the rater gives none.
        raw: The text the rating was read from, kept when ``value`` is None.
    """

    value: float | None
    distribution: tuple[float, ...] | None = None
    reason: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one neighbour said of a draft.

    Attributes:
        reviewer: Index of the agent who spoke.
        rating: Its rating, with the reason in words.
    """

    reviewer: int
    rating: Rating


@dataclass(frozen=True, slots=True)
class Score:
    """An observer's ratings of one answer, one for each dimension of the rubric."""

    ratings: Mapping[str, Rating] = field(default_factory=dict)

    def value(self, dimension: str) -> float | None:
        """The rating on ``dimension``, or None where there is none."""
        rating = self.ratings.get(dimension)
        return None if rating is None else rating.value


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody picked of a few options.

    Attributes:
        probs: How likely each option was, summing to 1; 1 for the one that was said where the model gives none. None
            when the reply could not be read.
        raw: The reply, kept when ``probs`` is None.
    """

    probs: Mapping[str, float] | None
    raw: str = ""

    @property
    def best(self) -> str | None:
        """The likeliest option, the first of equals; None when the reply could not be read."""
        return None if self.probs is None else max(self.probs, key=self.probs.__getitem__)

    def draw(self, stream: random.Random) -> str | None:
        """An option drawn by its probability; None when the reply could not be read."""
        if self.probs is None:
            return None
        return stream.choices(list(self.probs), list(self.probs.values()))[0]


@dataclass(frozen=True, slots=True)
class Interaction:
    """One conversation around one agent, as it ended.

    Attributes:
        round: From 0.
        agent: Index of the agent in the centre, from 0.
        label: Its label, as ``good`` or ``bad``.
        question: What it was asked.
        draft: Its first answer; None when the interaction failed before.
        feedback: What its audience said, in the order of the audience.
        revision: Its answer after the feedback; None when there was none.
        before: The observer's score of the draft.
        after: The observer's score of the revision.
        recalled: The remembered (question, answer) that was told to the agent, if any.
        protocol: Name of the protocol.
        error: Why the interaction failed; None when it did not.
        extra: What a protocol adds of its own, as JSON can hold it.
    """

    round: int
    agent: int
    label: str
    question: str
    draft: str | None = None
    feedback: tuple[Feedback, ...] = ()
    revision: str | None = None
    before: Score = field(default_factory=Score)
    after: Score = field(default_factory=Score)
    recalled: tuple[str, str] | None = None
    protocol: str = "back_scatter"
    error: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> str | None:
        """What the agent ended up saying: the revision, else the draft."""
        return self.revision if self.revision is not None else self.draft

    def faults(self) -> list[str]:
        """What keeps the record from being kept: fields that hold something else than they should."""
        kinds: dict[str, type | tuple[type, ...]] = {
            "label": str, "question": str, "draft": (str, type(None)), "revision": (str, type(None)),
            "before": Score, "after": Score, "protocol": str, "error": (str, type(None)),
        }  # fmt: skip
        found = [
            f"{name} is a {type(value).__name__}" + ("; take its .text" if hasattr(value, "text") else "")
            for name, kind in kinds.items()
            if not isinstance(value := getattr(self, name), kind)
        ]
        found += [f"feedback holds a {type(said).__name__}" for said in self.feedback if not isinstance(said, Feedback)]
        if self.extra:
            try:
                json.dumps(dict(self.extra))
            except (TypeError, ValueError) as error:
                found.append(f"extra is not what JSON can hold: {error}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """The record as plain JSON types; ``from_dict`` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Interaction:
        """Read back what :meth:`as_dict` wrote."""
        fields = dict(data)
        fields["feedback"] = tuple(Feedback(f["reviewer"], _rating(f["rating"])) for f in data["feedback"])
        fields["before"] = _score(data["before"])
        fields["after"] = _score(data["after"])
        fields["recalled"] = tuple(data["recalled"]) if data["recalled"] else None
        return cls(**fields)


def _rating(data: Mapping[str, Any]) -> Rating:
    distribution = data["distribution"]
    return Rating(data["value"], None if distribution is None else tuple(distribution), data["reason"], data["raw"])


def _score(data: Mapping[str, Any]) -> Score:
    return Score({name: _rating(rating) for name, rating in data["ratings"].items()})


class RecordedRun(Protocol):
    """What measures read of a run; :class:`sandbox.store.run.Run` satisfies it."""

    @property
    def rounds(self) -> int:
        """Number of complete rounds."""
        ...

    @property
    def dimensions(self) -> list[str]:
        """Names of the rubric's dimensions."""
        ...

    @property
    def scale(self) -> int:
        """The highest rating."""
        ...

    @property
    def own_measures(self) -> dict[str, str]:
        """The scenario's own measures: name and description."""
        ...

    def interactions(self, round_: int | None = None, *, agent: int | None = None) -> list[Interaction]:
        """Interactions of one round, or of all; of one agent, or of all."""
        ...

    def agents(self) -> pd.DataFrame:
        """One row an agent: index, name, label, position."""
        ...

    def metrics(self) -> list[dict[str, Any]]:
        """Measures of each complete round."""
        ...
