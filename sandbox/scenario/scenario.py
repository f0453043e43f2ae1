"""Scenario: questions, upbringing, rubric, prompts and rules of a society, checked when it is made.

Knows no models, grids or run folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.errors import ScenarioError, nearest
from sandbox.notebook import ScenarioTable
from sandbox.scenario.measure import Measures, measure_faults
from sandbox.scenario.personas import Personas
from sandbox.scenario.population import Population, column_of, read_population
from sandbox.scenario.prompts import Prompts
from sandbox.scenario.reward import Reward, Rewards, read_rewards, reward_faults
from sandbox.scenario.rubric import Rubric, Upbringing
from sandbox.scenario.settings import MAX_SIZE, NETWORK_FILES, SOCIETY_SETTINGS, is_society_setting


@dataclass(frozen=True, repr=False)
class Scenario(ScenarioTable):
    """The configuration of a society; only ``questions`` is required.

    ::

        scenario = Scenario(questions=["May one pick fruit from a tree that hangs over the fence?"])

    Attributes:
        name: Name of the scenario; by default that of its file or entry point.
        questions: Questions for agents; agent i of N gets question (round * N + i) mod len(questions).
        upbringing: For each label, question-answer pairs that its agents may start with. The population settings use the
            labels ``good`` and ``bad``.
        population: ``all_good``, ``all_bad``, ``half_half``, ``mixed_half_half``, shares of labels, or ``column:C``, which
            takes the label of each agent from column C of its persona, or attribute C of its node in a network of a file.
        rubric: The dimensions that answers are rated on.
        prompts: Prompt templates.
        protocol: Name of the protocol, or a generator function.
        heldout: Questions for evaluation, which no agent is asked.
        move: Function of (agent, world) that returns the cell an agent moves to after a round, or None to stay. By default
            agents move at random, as the setting ``movement`` says.
        source: Origin of the questions, for the manifest.
        personas: Personas of the agents; see :func:`sandbox.scenario.personas.read_personas`.
        roles: For each label, a description of its agents in their prompts, before the persona.
        options: Options of a choice, in protocols that ask for one.
        ask: Function of (agent, world) that returns the agent's question of the round, in place of the rule for
            ``questions``; :func:`one_a_round` asks all agents the same.
        asked: Function of (world) that returns the agents (or their indices) that are asked in the round; by default all. The
            setting ``active`` draws a share of them.
        groups: Function of (world) that returns the groups of a round: lists of agents (or their indices), each agent in one at
            most. The protocol is then started once for each group, as ``protocol(members, question, world)`` with the question
            of the first member, and returns a list with an interaction of each member. Agents in no group are not asked.
        measures: Own measures of a round, by name: functions of (interactions, world), with failed interactions included,
            that return a number, or None if there is no value. ``world.metrics`` holds the metrics of the previous round, so
            that a measure can depend on its own last value. The first line of the docstring describes the measure.
            :class:`~sandbox.scenario.measure.Measure` adds the unit, the limits and the panel of the plot.
        reward: Rewards of an agent for its turn in a round, by name: functions of (interaction, world) that return a number,
            or None if there is none; or one function, which gives its name. :class:`~sandbox.scenario.reward.Reward` adds a
            discount of later rounds' rewards. Training rows are made from them: ``sandbox dataset RUN --reward NAME``.
        state: State that each agent begins with: a mapping, or a function of (agent, world). Protocols, prompts
            (``{state[purse]}``, ``{world_state[tax]}``) and measures read ``agent.state``; only ``settle``,
            ``before_round``, ``after_round`` and ``events`` change it.
        world_state: State that the world begins with, ``world.state``: a mapping, or a function of (world).
        stages: Protocols of a round, one after the other in place of ``protocol``: names or generator functions. All
            conversations of a stage end before the next begins; ``world.said(STAGE)`` are those of an earlier stage.
        settle: Function of (world, interactions) that is called after each stage, with its interactions in the order of agents,
            failed ones included; ``world.stage`` is the name of the stage. It may change states.
        before_round: Function of (world) that is called before each round; it may change states.
        after_round: Function of (world) that is called after each round, behind its last ``settle`` and before its measures;
            it may change states.
        events: For numbers of rounds (``world.round``, from 0), functions of (world) that are called before that round, behind
            ``before_round``; they may change states. ``open_run(RUN).events()`` lists those that took place.
        speakers: System prompts of speakers that are no members (a moderator, a news desk), by name; protocols get one by
            ``world.speaker(name)``. Their language model is that of the first agent, or ``model={name: URI}``.
        stop: Function of (world) that is called after each round; a true result ends the run.
        size: Side of the grid, where the run gives none; by default 4.
        rows: Rows of a grid that is not square, with ``columns`` in place of ``size``.
        columns: Columns of such a grid.
        society: Defaults for settings of :class:`~sandbox.scenario.settings.SocietySettings`, for example
            ``{"reviewers": 2}``; settings of the run take precedence.

    Raises:
        ScenarioError: lists every fault with its field.
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
    speakers: Mapping[str, str] = field(default_factory=dict)
    ask: Callable[[Any, Any], str] | None = None
    asked: Callable[[Any], Sequence[Any]] | None = None
    groups: Callable[[Any], Sequence[Sequence[Any]]] | None = None
    measures: Measures = field(default_factory=dict)
    reward: Rewards = field(default_factory=dict)
    stop: Callable[[Any], bool] | None = None
    size: int | None = None
    rows: int | None = None
    columns: int | None = None
    society: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] | Callable[[Any, Any], Mapping[str, Any]] = field(default_factory=dict)
    world_state: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] = field(default_factory=dict)
    stages: Sequence[str | Callable[..., Any]] = ()
    settle: Callable[[Any, list[Any]], None] | None = None
    before_round: Callable[[Any], None] | None = None
    after_round: Callable[[Any], None] | None = None
    events: Mapping[int, Callable[[Any], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = [f"  {where}: {what}" for where, what in scenario_faults(self)]
        if faults:
            raise ScenarioError(f"scenario {self.name or 'without a name'!r} cannot be used:\n" + "\n".join(faults))

    @property
    def rewards(self) -> dict[str, Reward]:
        """The rewards by name."""
        return read_rewards(self.reward)

    @property
    def protocol_name(self) -> str:
        """Name of the protocol, or names of the stages joined by ``+``."""
        return "+".join(map(function_name, self.stages or (self.protocol,)))


def function_name(given: str | Callable[..., Any]) -> str:
    """Name of a protocol that is given by its name or as a function."""
    return given if isinstance(given, str) else getattr(given, "__name__", "protocol")


def one_a_round(agent: Any, world: Any) -> str:
    """For ``Scenario.ask``: ask all agents the same question, number ``round`` mod the number of questions."""
    questions: Sequence[str] = world.scenario.questions
    return questions[world.round % len(questions)]


Fault = tuple[str, str]

# Names of metrics of every run, besides the rubric's dimensions D, D_draft and D_gain.
BUILT_IN_MEASURES = (
    "interactions", "failed", "rating", "consensus", "uptake", "polarisation", "divergence", "assortativity",
    "influence", "influence_gini", "rounds", "rounds_to_front", "rounds_to_product", "pareto_front", "about", "schema",
    "run", "calls", "stopped", "ended",
)  # fmt: skip


def scenario_faults(made: Scenario) -> list[Fault]:
    """List every fault of a scenario: (field, what is wrong)."""
    return [
        *_questions(made),
        *_upbringing(made.upbringing),
        *_population(made),
        *_rubric(made),
        *_functions(made),
        *reward_faults(made.reward),
        *_choices(made),
        *(made.prompts.faults() if isinstance(made.prompts, Prompts) else [_not("prompts", made.prompts, "Prompts")]),
        *_personas(made.personas),
        *_society(made.society),
        *_grid(made),
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
        yield "heldout", f"contains {len(overlap)} of the questions, for example {min(overlap)!r}"


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
    is_network = (
        Path(str(made.society.get("neighborhood", ""))).suffix in NETWORK_FILES
    )  # whose nodes may have the column
    if isinstance(population, str) and population.startswith("column:") and not is_network:
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
            yield (
                where,
                f"{dimension.name!r} has no words; describe what raters rate, for example 'how kind the answer is'",
            )
    if not isinstance(made.rubric.scale, int) or made.rubric.scale < 2:
        yield "rubric.scale", f"{made.rubric.scale} must be at least 2"


def _functions(made: Scenario) -> Iterator[Fault]:
    taken = set(BUILT_IN_MEASURES)
    taken |= {f"{d.name}{end}" for d in made.rubric.dimensions for end in ("", "_draft", "_gain")}
    for name in made.measures:
        if not str(name).isidentifier():
            yield f"measures[{name!r}]", "its name must be letters, digits and _"
        elif name in taken:
            yield f"measures[{name!r}]", "is the name of a built-in metric; choose another"
    yield from measure_faults(made.measures)
    arguments = {"stop": "world", "ask": "agent, world", "move": "agent, world", "settle": "world, interactions"}
    of_world = dict.fromkeys(("asked", "groups", "before_round", "after_round"), "world")
    for name, given in {**arguments, **of_world}.items():
        function = getattr(made, name)
        if function is not None and not callable(function):
            yield name, f"expected a function of ({given}), found {function!r}"
    yield from _states(made)
    if made.groups is not None and made.asked is not None:
        yield "groups", "asked is given too; leave agents out of the groups instead"
    if made.groups is not None and any(isinstance(one, str) for one in made.stages or (made.protocol,)):
        yield (
            "groups",
            "need protocols of (members, question, world) of your own; a protocol given by its name takes one agent",
        )
    if not isinstance(made.protocol, str) and not callable(made.protocol):
        yield "protocol", f"expected a name or a generator function, found {made.protocol!r}"


def _states(made: Scenario) -> Iterator[Fault]:
    for name in ("state", "world_state"):
        given = getattr(made, name)
        if not isinstance(given, Mapping) and not callable(given):
            yield name, f"expected a mapping or a function, found {given!r}"
    if not isinstance(made.events, Mapping):
        yield "events", f"expected a mapping of rounds to functions of (world), found {made.events!r}"
        return
    for round_, function in made.events.items():
        if not isinstance(round_, int) or round_ < 0 or not callable(function):
            yield (
                f"events[{round_!r}]",
                f"expected the number of a round and a function of (world), found {function!r}",
            )
    if isinstance(made.stages, str) or not isinstance(made.stages, Sequence):
        yield "stages", f"expected a list of protocols, found {made.stages!r}"
        return
    names = [function_name(stage) for stage in made.stages]
    for i, stage in enumerate(made.stages):
        if not isinstance(stage, str) and not callable(stage):
            yield f"stages[{i}]", f"expected a name or a generator function, found {stage!r}"
    if len(set(names)) < len(names):
        yield "stages", f"names are used twice: {', '.join(names)}; give each stage a function of its own"
    if made.stages and made.protocol != "back_scatter":
        yield "stages", "protocol is given too; give one of the two"


def _choices(made: Scenario) -> Iterator[Fault]:
    if isinstance(made.options, str) or len(set(made.options)) < 2 or len(set(made.options)) < len(made.options):
        yield "options", f"expected two or more different texts, found {made.options!r}"
    elif not all(isinstance(option, str) and option.strip() == option and option for option in made.options):
        yield "options", f"expected texts without spaces around them, found {made.options!r}"
    for name in ("roles", "speakers"):
        for label, words in getattr(made, name).items():
            if not isinstance(words, str):
                yield f"{name}[{label!r}]", f"expected text, found {words!r}"


def _personas(personas: Any) -> list[Fault]:
    if personas is None:
        return []
    if not isinstance(personas, Personas):
        return [("personas", f"expected read_personas(FILE, TEMPLATE), found {personas!r}")]
    return personas.faults()


def _society(given: Mapping[str, Any]) -> Iterator[Fault]:
    for name in given:
        if not is_society_setting(str(name)):
            yield f"society[{name!r}]", f"is not a setting of the society.{nearest(str(name), SOCIETY_SETTINGS)}"


def _grid(made: Scenario) -> Iterator[Fault]:
    given = {name: value for name in ("size", "rows", "columns") if (value := getattr(made, name)) is not None}
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SIZE:
            yield name, f"expected a whole number from 1 to {MAX_SIZE}, found {value!r}"
    if "size" in given and len(given) > 1:
        yield "size", "rows or columns are given too; give either size, or rows and columns"
    elif given and "size" not in given and len(given) == 1:
        yield "rows" if "rows" in given else "columns", "give both rows and columns, or size for a square"
