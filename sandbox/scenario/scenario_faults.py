"""What keeps a scenario from being used: every fault at once, each with its field and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.errors import ScenarioError, nearest
from sandbox.scenario.personas import Personas
from sandbox.scenario.population import read_population
from sandbox.scenario.prompts import Prompts
from sandbox.scenario.settings import SOCIETY_SETTINGS

if TYPE_CHECKING:
    from sandbox.scenario.scenario import Scenario

Fault = tuple[str, str]

# What every run measures already, besides the rubric's dimensions D, D_draft and D_gain.
BUILT_IN_MEASURES = (
    "interactions", "failed", "rating", "consensus", "uptake", "polarisation", "divergence", "assortativity",
    "influence", "influence_gini", "rounds", "rounds_to_front", "rounds_to_product", "pareto_front", "about", "schema",
    "run", "calls", "stopped", "ended",
)  # fmt: skip


def scenario_faults(made: Scenario) -> list[Fault]:
    """Every fault of a scenario: (field, what is wrong)."""
    return [
        *_questions(made),
        *_upbringing(made.upbringing),
        *_population(made),
        *_rubric(made),
        *_functions(made),
        *_choices(made),
        *(made.prompts.faults() if isinstance(made.prompts, Prompts) else [_not("prompts", made.prompts, "Prompts")]),
        *_personas(made.personas),
        *_society(made.society),
    ]


def _not(where: str, found: Any, expected: str) -> Fault:
    return where, f"expected {expected}, found a {type(found).__name__}"


def _questions(made: Scenario) -> Iterator[Fault]:
    if not made.questions:
        yield "questions", "there are none; give at least one"
    if isinstance(made.questions, str):
        yield "questions", f"expected a list of texts, found the text {made.questions!r}; put it into a list"
        return
    for i, question in enumerate(made.questions):
        if not isinstance(question, str) or not question.strip():
            yield f"questions[{i}]", f"expected text, found {question!r}"
    if overlap := {q for q in made.questions if isinstance(q, str)} & set(made.heldout):
        yield "heldout", f"{len(overlap)} questions are also asked, as {min(overlap)!r}"


def _upbringing(given: Mapping[str, Any]) -> Iterator[Fault]:
    for label, lessons in given.items():
        for i, lesson in enumerate(lessons):
            if not all(hasattr(lesson, name) for name in ("question", "answer", "instead")):
                yield f"upbringing[{label!r}][{i}]", f"expected an Upbringing(question, answer), found {lesson!r}"


def _population(made: Scenario) -> Iterator[Fault]:
    try:
        population = read_population(made.population)
    except ScenarioError as error:
        yield "population", str(error)
        return
    if isinstance(population, str) and population.startswith("column:"):
        try:
            column_of(population, made.personas)
        except ScenarioError as error:
            yield "population", str(error)


def column_of(population: str, personas: Personas | None) -> str:
    """The column of the personas that ``column:NAME`` takes labels from.

    Raises:
        ScenarioError: there are no personas, or they have no such column.
    """
    column = population.removeprefix("column:")
    if personas is None:
        raise ScenarioError(f"{population!r} takes labels from a column of the personas, and there are none")
    if column not in personas.columns:
        raise ScenarioError(
            f"{population!r} is no column of {personas.source}; it has {', '.join(personas.columns)}."
            f"{nearest(column, personas.columns)}"
        )
    return column


def _rubric(made: Scenario) -> Iterator[Fault]:
    dimensions = made.rubric.dimensions
    if not dimensions:
        yield "rubric.dimensions", "there are none; name at least one"
    names = [d.name for d in dimensions]
    if len(set(names)) < len(names):
        yield "rubric.dimensions", f"names are used twice: {', '.join(names)}"
    for i, dimension in enumerate(dimensions):
        where = f"rubric.dimensions[{i}]"
        if not dimension.name.isidentifier() or dimension.name in BUILT_IN_MEASURES:
            yield where, f"cannot be called {dimension.name!r}: use letters, digits and _, and no name of a measure"
        if not dimension.words.strip():
            yield where, f"{dimension.name!r} has no words; say what raters are to rate, as 'how kind the answer is'"
    if not isinstance(made.rubric.scale, int) or made.rubric.scale < 2:
        yield "rubric.scale", f"{made.rubric.scale} leaves nothing to choose; use 2 or more"


def _functions(made: Scenario) -> Iterator[Fault]:
    taken = set(BUILT_IN_MEASURES)
    taken |= {f"{d.name}{end}" for d in made.rubric.dimensions for end in ("", "_draft", "_gain")}
    for name, measure in made.measures.items():
        if not callable(measure):
            yield f"measures[{name!r}]", f"expected a function of (interactions, world), found {measure!r}"
        if not str(name).isidentifier():
            yield f"measures[{name!r}]", "its name must be letters, digits and _"
        elif name in taken:
            yield f"measures[{name!r}]", "is measured already; choose another name"
    for name in ("stop", "ask", "move"):
        function = getattr(made, name)
        if function is not None and not callable(function):
            given = "world" if name == "stop" else "agent, world"
            yield name, f"expected a function of ({given}), found {function!r}"
    if not isinstance(made.protocol, str) and not callable(made.protocol):
        yield "protocol", f"expected a name or a generator function, found {made.protocol!r}"


def _choices(made: Scenario) -> Iterator[Fault]:
    if isinstance(made.options, str) or len(set(made.options)) < 2 or len(set(made.options)) < len(made.options):
        yield "options", f"expected two or more different texts, found {made.options!r}"
    elif not all(isinstance(option, str) and option.strip() == option and option for option in made.options):
        yield "options", f"expected texts without spaces around them, found {made.options!r}"
    for label, words in made.roles.items():
        if not isinstance(words, str):
            yield f"roles[{label!r}]", f"expected text, found {words!r}"


def _personas(personas: Any) -> list[Fault]:
    if personas is None:
        return []
    if not isinstance(personas, Personas):
        return [("personas", f"expected read_personas(FILE, TEMPLATE), found {personas!r}")]
    return personas.faults()


def _society(given: Mapping[str, Any]) -> Iterator[Fault]:
    for name in given:
        if name not in SOCIETY_SETTINGS:
            yield f"society[{name!r}]", f"is no setting of a society.{nearest(str(name), SOCIETY_SETTINGS)}"
