"""Observers: who scores answers on every dimension of a rubric, without memory or a place in the society."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sandbox.conversation.steps import Call, CallFailed, Conversation, Rate
from sandbox.errors import ScenarioError
from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.records import Rating, Score
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.rubric import Dimension, Example, Upbringing
from sandbox.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class DimensionScorer:
    """An observer's eye for one dimension of the rubric; it has no memory.

    Attributes:
        dimension: What it rates for.
        scale: The highest rating.
        lm: The language model it would ask.
        template: The prompt ``observe``.
    """

    dimension: Dimension
    scale: int
    lm: LanguageModel | None
    template: str

    @property
    def examples(self) -> tuple[Example, ...]:
        """Labelled answers its values come from; no agent has seen them."""
        return self.dimension.examples

    @property
    def values_key(self) -> tuple[str, str]:
        """Names its values, so that they are learnt once."""
        return ("observer", self.dimension.name)

    def rate(self, question: str, answer: str, choices: tuple[str, ...], max_tokens: int) -> Call:
        """Ask its language model for a rating; the same answer is always asked for in the same way."""
        if self.lm is None:
            raise CallFailed(f"the observer of {self.dimension.name!r} has no language model to ask")
        text = self.template.format(question=question, answer=answer, words=self.dimension.words, scale=self.scale)
        request = Request((Message("user", text),), max_tokens, temperature=0.0, prefix="Rating:", choices=choices)
        return Call(self.lm, request)


class Observer:
    """Scores answers on every dimension of a rubric, without memory or a place in the society.

    Args:
        judges: One for each dimension.
        rater: Who turns an answer into a rating.
    """

    def __init__(self, judges: Sequence[DimensionScorer], rater: Any) -> None:
        self.judges = tuple(judges)
        self.rater = rater

    def score(self, question: str, answer: Reply | str) -> Conversation:
        """Score an answer. Gives a :class:`~sandbox.records.Score`; a rating that cannot be had is None."""
        text = answer.text if isinstance(answer, Reply) else answer
        ratings = yield [self._rating(judge, question, text) for judge in self.judges]
        return Score({judge.dimension.name: rating for judge, rating in zip(self.judges, ratings, strict=True)})

    def _rating(self, judge: DimensionScorer, question: str, answer: str) -> Conversation:
        try:
            rating: Rating = yield Rate(self.rater, judge, question, answer)
        except CallFailed as failure:
            return Rating(None, raw=str(failure))
        return rating


def make_observer(
    scenario: Scenario, rater: Any, lm: LanguageModel | None, *, independent: bool = False
) -> tuple[Observer, list[str]]:
    """Set up the observer of a scenario.

    Args:
        scenario: Brings the rubric.
        rater: Who turns an answer into a rating.
        lm: What the observer asks, where the rater is one that asks.
        independent: Let the ``values`` rater learn from the reserved labelled answers, which nobody in a society learns
            from.

    Returns:
        The observer, and what a reader of its scores should know.

    Raises:
        ScenarioError: the ``values`` rater has nothing to learn a dimension from.
    """
    notes: list[str] = []
    dimensions = scenario.rubric.dimensions
    if rater.name == "values":
        dimensions = tuple(_labelled(d, notes, independent=independent) for d in dimensions)
    judges = [DimensionScorer(d, scenario.rubric.scale, lm, scenario.prompts.observe) for d in dimensions]
    return Observer(judges, rater), notes


def _labelled(dimension: Dimension, notes: list[str], *, independent: bool) -> Dimension:
    """A dimension whose examples are those that its judge learns from."""
    if own := dimension.reserved if independent else dimension.examples:
        return replace(dimension, examples=own)
    if dimension.name not in _BORROWED:
        raise cannot_learn(dimension, independent=independent)
    other = {d.name: d for d in load_scenario("value_alignment", {}).rubric.dimensions}[dimension.name]
    what, who = ("reserved", "independent judge") if independent else ("labelled", "observer")
    notes.append(f"the scenario brings no {what} answers for {dimension.name}; the {who}'s are value_alignment's")
    return replace(other, examples=other.reserved if independent else other.examples)


# Dimensions whose labelled answers another scenario may borrow from value_alignment.
_BORROWED = ("alignment", "engagement")


def cannot_learn(dimension: Dimension, *, independent: bool = False) -> ScenarioError:
    """The error that a dimension brings nothing to learn values from."""
    what, how = (
        ("reserved answers", "judge with --judge URI") if independent else ("labelled examples", "rate with --rater lm")
    )
    return ScenarioError(
        f"the values rater cannot learn {dimension.name!r}: the dimension brings no {what}. Give it some, or {how}"
    )


def without_examples(scenario: Scenario) -> list[str]:
    """The dimensions that the ``values`` rater cannot learn."""
    return [d.name for d in scenario.rubric.dimensions if not d.examples and d.name not in _BORROWED]


def lessons_without_upbringing(scenario: Scenario) -> tuple[dict[str, Sequence[Upbringing]], str]:
    """What neighbours learn their values from where nobody was brought up by labelled lessons.

    Returns:
        Lessons for each label, none where all learn from the labelled answers of the first dimension; and what a reader
        of the ratings should know.

    Raises:
        ScenarioError: there is nothing to learn from.
    """
    first = scenario.rubric.dimensions[0]
    if first.examples:
        return (
            {},
            f"the scenario brings no labelled upbringing; agents' values are those of the examples of {first.name}",
        )
    if first.name not in _BORROWED:
        raise cannot_learn(first)
    defaults = load_scenario("value_alignment", {})
    lessons: dict[str, Sequence[Upbringing]] = {k: tuple(v) for k, v in defaults.upbringing.items()}
    return lessons, "the scenario brings no labelled upbringing; agents' values are value_alignment's"
