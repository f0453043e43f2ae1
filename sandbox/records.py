"""Frozen records of a run: interactions with their feedback, ratings and scores.

Everything that happens in a society is recorded as an :class:`Interaction`. Knows no language models, files or trainers.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sandbox.notebook import InteractionTable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Rating:
    """A rating of an answer.

    Attributes:
        value: From 1 to the scale of the rubric (7 in the paper); None if it could not be parsed.
        distribution: Probabilities of 1, 2, ..., scale, if the rater gives them.
        reason: The reason in words; empty if the rater gives none.
        raw: The text the rating was parsed from, kept if ``value`` is None.
    """

    value: float | None
    distribution: tuple[float, ...] | None = None
    reason: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """The review of a draft by one agent, or what it said without a rating; :meth:`unrated` makes the latter.

    Attributes:
        reviewer: Index of the reviewer.
        rating: Its rating, with the reason in words.
        kind: ``rating``; or ``said`` where none was asked for: ``rating`` then holds what was said as its reason, and no value.
    """

    reviewer: int
    rating: Rating
    kind: Literal["rating", "said"] = "rating"

    @classmethod
    def unrated(cls, reviewer: int, text: str) -> Feedback:
        """What an agent said of an answer, or beside it, without rating it."""
        return cls(reviewer, Rating(None, reason=text), "said")


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that was said to an agent, without a rating; see :meth:`sandbox.society.agent.SocialAgent.hear`.

    Attributes:
        agent: Index of the agent that heard it.
        speaker: Index of the agent that said it; None for a speaker that is no agent.
        name: Name of the speaker.
        text: What was said.
        importance: In [0, 1]; None if it was not given.
        step: When in its round: 0 before the first stage, 1 in the first stage, 2 behind it, 3 in the second stage, and so on.
    """

    agent: int
    speaker: int | None
    name: str
    text: str
    importance: float | None = None
    step: int = 1


@dataclass(frozen=True, slots=True)
class Utterance:
    """What an agent said to one prompt in its own conversation; recorded where the scenario has rewards.

    Attributes:
        purpose: Purpose of the call, for example ``answer 0`` or ``choose 0``; see
            :meth:`sandbox.society.agent.SocialAgent.ask`.
        question: The question of the interaction, or of its stage.
        key: Key of the call, under which the run folder holds the prompt and the reply.
        text: The option that a choice came to (drawn by :meth:`Choice.draw`, else the most probable), or a number; None where
            it is the text of the reply.
        stage: Name of the stage.
    """

    purpose: str
    question: str
    key: str
    text: str | None = None
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """An observer's ratings of one answer, by dimension of the rubric."""

    ratings: Mapping[str, Rating] = field(default_factory=dict)

    def value(self, dimension: str) -> float | None:
        """The rating on ``dimension``, or None if there is none."""
        rating = self.ratings.get(dimension)
        return None if rating is None else rating.value


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice among a few options.

    Attributes:
        probs: Probability of each option; 1 for the option named in the reply if the model gives no probabilities. None if
            the reply could not be parsed.
        raw: The reply, kept if ``probs`` is None.
        on_draw: Callback, receives the option that was drawn.
    """

    probs: Mapping[str, float] | None
    raw: str = ""
    on_draw: Callable[[str], Any] | None = field(default=None, repr=False, compare=False)

    @property
    def best(self) -> str | None:
        """The most probable option, the first on ties; None if the reply could not be parsed."""
        return None if self.probs is None else max(self.probs, key=self.probs.__getitem__)

    def draw(self, stream: random.Random) -> str | None:
        """Draw an option by its probability; None if the reply could not be parsed."""
        if self.probs is None:
            return None
        option = stream.choices(list(self.probs), list(self.probs.values()))[0]
        if self.on_draw is not None:
            self.on_draw(option)
        return option


@dataclass(frozen=True, slots=True)
class StructuredReply:
    """A reply that was asked for as a number, or as JSON of a schema.

    Attributes:
        value: The checked value; None if no reply could be read.
        raw: The last reply of the model, as it was written.
        tries: Number of replies that were asked for.
    """

    value: Any
    raw: str = ""
    tries: int = 1


@dataclass(frozen=True, slots=True, repr=False)
class Interaction(InteractionTable):
    """One finished conversation around one agent.

    Attributes:
        round: The round, from 0.
        agent: Index of the agent that was asked, from 0.
        label: Its label, for example ``good`` or ``bad``.
        question: The question it was asked.
        draft: Its first answer; None if the interaction failed before it.
        feedback: Reviews by its audience, in the order of the audience.
        revision: Its answer after the feedback; None if there was none.
        before: The observer's score of the draft.
        after: The observer's score of the revision.
        recalled: The remembered (question, answer) in the agent's prompt, if any.
        protocol: Name of the protocol.
        error: Why the interaction failed; None if it did not.
        extra: Further results of the protocol, JSON-serialisable.
        heard: What agents heard in the conversation, in order.
        utterances: What the agent itself said in it; empty where the scenario has no rewards.
        rewards: Rewards of the agent's turn, by name, without those that are None; known from the end of the round on.
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
    heard: tuple[Heard, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    rewards: Mapping[str, float] = field(default_factory=dict)

    @property
    def final(self) -> str | None:
        """The final answer: the revision, else the draft."""
        return self.revision if self.revision is not None else self.draft

    def faults(self) -> list[str]:
        """List the fields whose values cannot be stored."""
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
        found += [f"heard holds a {type(one).__name__}" for one in self.heard if not isinstance(one, Heard)]
        if self.rewards:
            found.append("rewards are given, which are computed at the end of the round; use Scenario(reward=...)")
        if self.extra:
            for key, value in self.extra.items():
                try:
                    json.dumps({key: value})
                except (TypeError, ValueError) as error:
                    found.append(f"extra[{key!r}] cannot be stored as JSON: {error}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types; ``from_dict`` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Interaction:
        """Make a record from the result of :meth:`as_dict`."""
        fields = dict(data)
        fields["feedback"] = tuple(
            Feedback(f["reviewer"], _rating(f["rating"]), f.get("kind", "rating")) for f in data["feedback"]
        )
        fields["heard"] = tuple(Heard(**one) for one in data.get("heard", ()))
        fields["utterances"] = tuple(Utterance(**one) for one in data.get("utterances", ()))
        fields["before"] = _score(data["before"])
        fields["after"] = _score(data["after"])
        fields["recalled"] = tuple(data["recalled"]) if data["recalled"] else None
        return cls(**fields)


def _rating(data: Mapping[str, Any]) -> Rating:
    distribution = data["distribution"]
    return Rating(data["value"], None if distribution is None else tuple(distribution), data["reason"], data["raw"])


def _score(data: Mapping[str, Any]) -> Score:
    return Score({name: _rating(rating) for name, rating in data["ratings"].items()})


# The last word of keys of ``Interaction.extra`` and of states under which whole numbers name agents, and are no quantities.
AGENT_WORDS = frozenset({"agent", "partner", "opponent", "reviewer", "to", "id", "index"})


def names_agent(key: str) -> bool:
    """Whether the last word of a key says that its value names an agent: ``partner``, ``best_partner``, ``deal.to``.

    Such numbers are not averaged and colour no map. See ``AGENT_WORDS``.
    """
    return re.split(r"[._\s-]", key.lower())[-1] in AGENT_WORDS


class RecordedRun(Protocol):
    """The part of a run that metrics read; :class:`sandbox.store.run.Run` satisfies it."""

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
        """One row per agent: index, name, label, position."""
        ...

    def metrics(self) -> list[dict[str, Any]]:
        """Metrics of each complete round."""
        ...
