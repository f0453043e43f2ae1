"""Observers: score answers on every dimension of a rubric; they have no memory and no place in the society."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sandbox.conversation.steps import Call, CallFailed, Conversation, Rate
from sandbox.errors import ScenarioError
from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.raters.base import Rater
from sandbox.records import Rating, Score
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.rubric import Dimension, Example, Upbringing
from sandbox.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class DimensionScorer:
    """An observer in its role as rater of one dimension; see :class:`~sandbox.raters.base.RatingRole`.

    Attributes:
        dimension: The dimension that it rates.
        scale: The highest rating.
        lm: Language model for raters that ask one; None where there is none.
        template: Text of the prompt ``observe``.
        known_answers: Answers of people from which raters learn what an answer is.
    """

    dimension: Dimension
    scale: int
    lm: LanguageModel | None
    template: str
    known_answers: tuple[tuple[str, str], ...] = ()

    @property
    def examples(self) -> tuple[Example, ...]:
        """Labelled answers from which its values are learnt; no agent has seen them."""
        return self.dimension.examples

    @property
    def values_key(self) -> tuple[str, str]:
        """Key of its learnt values."""
        return ("observer", self.dimension.name)

    def rate(self, question: str, answer: str, choices: tuple[str, ...], max_tokens: int) -> Call:
        """Ask its language model for a rating, at temperature 0: the same answer gives the same request."""
        if self.lm is None:
            raise CallFailed(f"the observer of {self.dimension.name!r} has no language model to ask")
        text = self.template.format(question=question, answer=answer, words=self.dimension.words, scale=self.scale)
        request = Request((Message("user", text),), max_tokens, temperature=0.0, prefix="Rating:", choices=choices)
        return Call(self.lm, request)


class Observer:
    """Scores answers on every dimension of a rubric, without memory or a place in the society.

    Args:
        scorers: One for each dimension.
        rater: Rater used for every dimension.
    """

    def __init__(self, scorers: Sequence[DimensionScorer], rater: Rater) -> None:
        self.scorers = tuple(scorers)
        self.rater = rater

    def score(self, question: str, answer: Reply | str) -> Conversation:
        """Score an answer. Gives a :class:`~sandbox.records.Score`; a rating whose call failed is None."""
        text = answer.text if isinstance(answer, Reply) else answer
        ratings = yield [self._rating(scorer, question, text) for scorer in self.scorers]
        return Score({scorer.dimension.name: rating for scorer, rating in zip(self.scorers, ratings, strict=True)})

    def _rating(self, scorer: DimensionScorer, question: str, answer: str) -> Conversation:
        try:
            rating: Rating = yield Rate(self.rater, scorer, question, answer)
        except CallFailed as failure:
            return Rating(None, raw=str(failure))
        return rating


def make_observer(
    scenario: Scenario, rater: Rater, lm: LanguageModel | None, *, independent: bool = False
) -> tuple[Observer, list[str]]:
    """Make the observer of a scenario.

    Args:
        scenario: Its rubric and prompts are used.
        rater: Rater used for every dimension.
        lm: Language model for raters that ask one.
        independent: Let the rater learn from the reserved labelled answers, which no agent learns from.

    Returns:
        The observer, and warnings for readers of its scores.

    Raises:
        ScenarioError: a dimension has no labelled answers for the ``values`` rater.
    """
    notes: list[str] = []
    dimensions = scenario.rubric.dimensions
    known: tuple[tuple[str, str], ...] = ()
    if learns_from_labels(rater):
        dimensions = tuple(_labelled(d, notes, independent=independent) for d in dimensions)
        known = known_answers(dimensions)
    scorers = [DimensionScorer(d, scenario.rubric.scale, lm, scenario.prompts.observe, known) for d in dimensions]
    return Observer(scorers, rater), notes


def learns_from_labels(rater: Rater) -> bool:
    """Whether a rater needs labelled answers, as ``values`` and ``probe`` do."""
    return bool(getattr(rater, "learns_from_labels", False))


def known_answers(dimensions: Sequence[Dimension]) -> tuple[tuple[str, str], ...]:
    """(question, answer) pairs of people that dimensions bring as examples, good and bad, each once."""
    return tuple(dict.fromkeys((e.question, e.answer) for d in dimensions for e in d.examples))


def with_borrowed_answers(scenario: Scenario) -> tuple[Dimension, ...]:
    """The dimensions of a scenario, those of value_alignment's names with its labelled answers where they have none."""
    return tuple(
        _labelled(d, [], independent=False) if d.examples or d.name in _BORROWED else d
        for d in scenario.rubric.dimensions
    )


def _labelled(dimension: Dimension, notes: list[str], *, independent: bool) -> Dimension:
    """The dimension with the examples that its scorer learns from."""
    if own := dimension.reserved if independent else dimension.examples:
        return replace(dimension, examples=own)
    if dimension.name not in _BORROWED:
        raise cannot_learn(dimension, independent=independent)
    other = {d.name: d for d in load_scenario("value_alignment", {}).rubric.dimensions}[dimension.name]
    what, who = ("reserved", "independent judge") if independent else ("labelled", "observer")
    notes.append(f"the scenario brings no {what} answers for {dimension.name}; the {who}'s are value_alignment's")
    return replace(other, examples=other.reserved if independent else other.examples)


# Scenarios without labelled answers for these dimensions use those of value_alignment.
_BORROWED = ("alignment", "engagement")


def cannot_learn(dimension: Dimension, *, independent: bool = False) -> ScenarioError:
    """The error that a dimension has no labelled answers to learn values from."""
    what, how = (
        ("reserved answers (Dimension.reserved)", "judge with --judge URI")
        if independent
        else ("labelled examples (Dimension.examples)", "rate with --rater lm, or judge with --judge URI")
    )
    who = "independent judge" if independent else "values rater"
    return ScenarioError(f"the {who} cannot learn {dimension.name!r}: the dimension has no {what}. Add some, or {how}")


def without_examples(scenario: Scenario) -> list[str]:
    """Names of the dimensions that the ``values`` rater cannot learn."""
    return [d.name for d in scenario.rubric.dimensions if not d.examples and d.name not in _BORROWED]


def without_reserved(scenario: Scenario) -> list[str]:
    """Names of the dimensions that an independent judge cannot learn: those without reserved answers of their own.

    A dimension whose own examples replace value_alignment's does not borrow its reserved answers.
    """
    return [d.name for d in scenario.rubric.dimensions if not d.reserved and (d.examples or d.name not in _BORROWED)]


def lessons_without_upbringing(scenario: Scenario) -> tuple[dict[str, Sequence[Upbringing]], str]:
    """Lessons for the ``values`` rater in a scenario without labelled upbringing.

    Returns:
        Lessons by label, empty where all agents learn from the labelled answers of the first dimension; and a warning for
        readers of the ratings.

    Raises:
        ScenarioError: there are no labelled answers to learn from.
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
