"""What a society talks about: questions, upbringing, rubric and prompts, checked when made.

A scenario knows nothing of models, grids or files on disk beyond its own questions: the world brings those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sandbox.errors import ScenarioError, nearest
from sandbox.scenario.personas import Personas
from sandbox.scenario.population import Population, column_of, read_population
from sandbox.scenario.prompts import Prompts
from sandbox.scenario.rubric import Rubric, Upbringing
from sandbox.scenario.settings import SOCIETY_SETTINGS

Measure: TypeAlias = Callable[[list[Any], Any], float | None]


@dataclass(frozen=True)
class Scenario:
    """Everything a society needs to be told; all but the questions has a default.

    ::

        scenario = Scenario(questions=["May one pick fruit from a tree that hangs over the fence?"])

    Attributes:
        name: As it is listed; by default that of its file or entry point.
        questions: What agents are asked; agent i of N gets question (round * N + i) mod len(questions).
        upbringing: For each label, what its agents may be brought up to say. The labels ``good`` and ``bad``
            are those of the population settings.
        population: ``all_good``, ``all_bad``, ``half_half``, ``mixed_half_half``, shares of labels, or ``column:C``: the
            label of each agent stands in column C of its persona.
        rubric: What answers are rated for.
        prompts: How agents and observers are spoken to.
        protocol: The conversation: a name, or a generator function.
        heldout: Questions no agent is ever asked, for evaluation.
        move: Where an agent goes after a round: given the agent and the world it returns a cell, or None to stay. By
            default agents move as the society's ``movement`` says.
        source: Where the questions came from, for the manifest.
        personas: Who agents are, one by one; see :func:`sandbox.scenario.personas.read_personas`.
        roles: For each label, what its agents are told of themselves, before their persona.
        options: What an agent may choose among, where the protocol asks for a choice.
        ask: What an agent is asked in a round, given the agent and the world, in place of the rule for ``questions``;
            :func:`one_a_round` asks all agents the same.
        measures: Own measures of a round, by name: functions of its interactions (a list, failed ones too) and the
            world, that return a number, or None where there is nothing to say. ``world.metrics`` still holds the
            measures of the round before, so a measure may carry a state on. The docstring's first line says what it is.
        stop: Whether the society has come to its end, asked after each round, given the world.
        society: Defaults for settings of :class:`~sandbox.scenario.settings.SocietySettings`, as ``{"reviewers": 2}``;
            a run may say otherwise.

    Raises:
        ScenarioError: every fault found, with its field.
    """

    name: str = ""
    questions: Sequence[str] = ()
    upbringing: Mapping[str, Sequence[Upbringing]] = field(default_factory=dict)
    population: Population = "half_half"
    rubric: Rubric = field(default_factory=Rubric)
    prompts: Prompts = field(default_factory=Prompts)
    protocol: str | Callable[..., Any] = "back_scatter"
    heldout: Sequence[str] = ()
    move: Callable[[Any, Any], Any] | None = None
    source: str = ""
    personas: Personas | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ("yes", "no")
    ask: Callable[[Any, Any], str] | None = None
    measures: Mapping[str, Measure] = field(default_factory=dict)
    stop: Callable[[Any], bool] | None = None
    society: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = [f"  {where}: {what}" for where, what in scenario_faults(self)]
        if faults:
            raise ScenarioError(f"scenario {self.name or 'without a name'!r} cannot be used:\n" + "\n".join(faults))

    @property
    def protocol_name(self) -> str:
        """Name of the conversation."""
        return self.protocol if isinstance(self.protocol, str) else self.protocol.__name__


def one_a_round(agent: Any, world: Any) -> str:
    """Ask all agents the same question, number ``round`` mod their number: for ``Scenario.ask``."""
    questions: Sequence[str] = world.scenario.questions
    return questions[world.round % len(questions)]


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
