"""Preparation of a society: everything that is decided before its agents exist.

Whatever can be refused is refused here, before the run folder is written.
"""

from __future__ import annotations

import random as stdlib_random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox import registry
from sandbox.embedders.base import load_embedder
from sandbox.errors import RunExists, SettingsError, nearest
from sandbox.memories.base import MemoryKind, load_memory
from sandbox.models.base import LanguageModel
from sandbox.models.pool import ModelPool, split_model_settings
from sandbox.raters.base import Rater, load_rater
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.personas import Persona
from sandbox.scenario.population import Population, deal_models, read_models, read_population
from sandbox.scenario.rubric import Upbringing
from sandbox.scenario.scenario import Scenario, function_name
from sandbox.scenario.settings import (
    DEFAULT_SIZE,
    SOCIETY_SETTINGS,
    SocietySettings,
    is_society_setting,
    with_memory_settings,
)
from sandbox.seeding import keyed_rng, keyed_seed
from sandbox.society.agent_names import agent_names
from sandbox.society.event import Event, Recipients, read_event
from sandbox.society.observer import (
    Observer,
    known_answers,
    learns_from_labels,
    lessons_without_upbringing,
    make_observer,
    with_borrowed_answers,
    without_examples,
)
from sandbox.society.people import assign_people, check_node_fields
from sandbox.society.prior_run import PriorRun, check_prior_run, find_prior_run
from sandbox.society.space import draw_homes, make_space
from sandbox.society.upbringing import distance_for_share, draw_upbringing
from sandbox.store.run import open_run
from sandbox.typed_settings import make_settings

# Number of questions from which the distance for recall is found, where a share is given.
_CALIBRATED_AGENTS, _CALIBRATED_QUESTIONS = 64, 256


@dataclass(frozen=True)
class SocietySetup:
    """All that is decided of a society before its agents exist.

    Attributes:
        scenario: The scenario.
        source: How it was given: ``scenario``, its name or path (None for an object), and ``settings``, its own.
        society: Settings of the society.
        stages: The protocols of a round, in order, by name: generator functions of (agent, question, world).
        protocol_name: Name of the protocol, or names of the stages joined by ``+``.
        max_calls: Most calls to language models of an agent's conversations in a round, a function of (agent, world).
        size: Side of the grid; the longer one if it is not square.
        seed: Seed of all random draws.
        birth_seed: Seed of what agents begin with; that of the first run, in a branch.
        population: Labels of the agents, as asked for.
        models: Language models of the agents, as asked for: ``""``, labels or shares as keys.
        branch: ``RUN@ROUNDS``, as asked for.
        prior: Agents taken over from the run that is resumed or branched from, if any.
        event: What happens before the first round that the run makes of its own, if anything.
        space: The grid or network, still empty.
        labels: Label of each agent.
        personas: Persona of each agent; empty where the scenario has none.
        speakers: Language model of each agent.
        loaded: Language models of agents that are loaded.
        speaker_models: Language model of each of the scenario's ``speakers``, by name.
        observer_lm: Language model of the observers.
        pool: The language models, each loaded once.
        embedder: Embeds questions and answers.
        memory: Kind of the agents' memories.
        rater: Rater used by neighbours.
        rater_names: Names of the raters of ``neighbours`` and ``observer``.
        observer_rater_name: Name of the observers' rater where it differs from the neighbours'; else None.
        observer: Scores answers on every dimension of the rubric.
        upbringing: For each label, the answers that its agents may begin with.
        lessons: For each label, the labelled answers from which the ``values`` rater learns.
        known_answers: (question, answer) pairs of people from which neighbours' raters learn what an answer is.
        notes: Warnings for the manifest.
    """

    scenario: Scenario
    source: Mapping[str, Any]
    society: SocietySettings
    stages: Mapping[str, Callable[..., Any]]
    protocol_name: str
    max_calls: Callable[..., int]
    size: int
    seed: int
    birth_seed: int
    population: Population
    models: Mapping[str, Any]
    branch: str | None
    prior: PriorRun | None
    event: Event | None
    space: Any
    labels: Sequence[str]
    personas: Sequence[Persona]
    speakers: Sequence[LanguageModel]
    loaded: dict[Any, LanguageModel]
    speaker_models: Mapping[str, LanguageModel]
    observer_lm: LanguageModel
    pool: ModelPool
    embedder: Any
    memory: MemoryKind
    rater: Rater
    rater_names: Mapping[str, str]
    observer_rater_name: str | None
    observer: Observer
    upbringing: Mapping[str, Sequence[Upbringing]]
    lessons: Mapping[str, Sequence[Upbringing]]
    known_answers: tuple[tuple[str, str], ...]
    notes: Sequence[str]

    @property
    def keeps_states(self) -> bool:
        """Whether states are kept even if the scenario says nothing of them."""
        return self.event is not None or (self.prior is not None and self.prior.has_states)

    def load_model(self, model: str | LanguageModel) -> LanguageModel:
        """A language model of agents, loaded once."""
        key = _model_key(model)
        if key not in self.loaded:
            [self.loaded[key]] = self.pool.load_agents([model])
        return self.loaded[key]


def prepare_society(
    scenario: str | Scenario,
    settings: Mapping[str, Any],
    *,
    model: Any,
    observer: str | LanguageModel | None,
    rater: str | Rater | None,
    size: int | None,
    population: Population | None,
    protocol: str | Callable[..., Any] | None,
    seed: int,
    out: Path | None,
    resume: bool,
    branch: str | None,
    event: str | Callable[[Any], None] | None,
    event_to: Recipients | None,
    replicas: int,
    engine: str | None,
    random: stdlib_random.Random,
) -> SocietySetup:
    """Read the settings of a society, load its models and assign labels, personas and models to its agents.

    Args:
        scenario: A name, a path, ``module:object``, or a scenario.
        settings: Settings of the society, the scenario, the language models and the embedder.
        model: Language models of the agents; see :func:`sandbox.scenario.population.read_models`.
        observer: Language model of the observers; None for the agents' first.
        rater: Rater of neighbours, and of observers by default; None for the model's default.
        size: Side of the grid; None for the scenario's, or 4.
        population: Labels of the agents; None for the scenario's.
        protocol: The protocol; None for the scenario's.
        seed: Seed of all random draws.
        out: The run folder; None for a temporary one.
        resume: Whether a run in ``out`` is to be resumed.
        branch: ``RUN@ROUNDS``, to take over the agents of another run.
        event: What happens before the first new round; see :func:`sandbox.society.event.read_event`.
        event_to: Those who are told, where it is a sentence.
        replicas: Number of copies of each local model.
        engine: Where the copies live; see :class:`~sandbox.models.replicas.replicas.Replicas`.
        random: Generator of the space.

    Raises:
        SandboxError: the society cannot be set up.
    """
    of_memory = {name: value for name, value in settings.items() if name.startswith("memory.")}
    others = {name: value for name, value in settings.items() if name not in of_memory}
    pool, settings = split_model_settings(others, replicas=replicas, engine=engine)
    own = {name: value for name, value in settings.items() if name not in SOCIETY_SETTINGS}
    source = {"scenario": scenario if isinstance(scenario, str) else None, "settings": own}
    society, scenario, size = resolve_settings(scenario, size, {**settings, **of_memory})
    memory = load_memory(society.memory, society.memory_settings)
    society = replace(society, memory=memory.name, memory_settings=dict(memory.settings))
    if society.recall_turns and not hasattr(memory.made, "nearest"):
        raise SettingsError(
            f"recall_turns={society.recall_turns} is for memories that recall answers one by one, as memory=nearest does; "
            f"memory={memory.name} does not: use recall_turns=0"
        )
    given = [protocol] if protocol is not None else [*scenario.stages] or [scenario.protocol]
    stages = {function_name(one): registry.load("protocols", one) if isinstance(one, str) else one for one in given}
    if out is not None and not resume and (out / "manifest.json").exists():
        raise RunExists(f"{out} already holds a run; add --resume to continue it, or choose another --out")
    models = read_models(model)
    prior = find_prior_run(out, branch)
    birth_seed = seed if prior is None else prior.birth_seed
    space = make_space(society, size, random=random, seed=keyed_seed(birth_seed, "network") % 2**32)
    n = len(space.places()) if society.agents is None else society.agents
    check_node_fields(scenario, space)
    prior = check_prior_run(prior, population, society.shape(size), n)
    if population is None and branch is not None and prior is not None:
        population = prior.population
    population = read_population(scenario.population if population is None else population)
    if prior is None:
        homes = draw_homes(space, n, society.capacity, birth_seed)
        nodes, shape = (
            [{} if _replays_unnamed(models) else space.attributes(home) for home in homes],
            society.shape(size),
        )
        personas, dealt, notes = assign_people(scenario, population, nodes, shape, seed=seed, birth_seed=birth_seed)
    else:
        personas, dealt, notes = list(prior.personas), list(prior.labels), []
    named = agent_names(personas, scenario.personas) if prior is None else prior.names
    happening = read_event(event, event_to, prior=prior, labels=dealt if prior is None else prior.living, names=named)

    of_speakers = {name: given for name, given in models.items() if name in scenario.speakers}
    of_members = {name: given for name, given in models.items() if name not in of_speakers}
    assigned = deal_models(of_members, dealt, keyed_rng(birth_seed, "models"))
    distinct = {_model_key(one): one for one in (*assigned, *of_speakers.values())}
    loaded = dict(zip(distinct, pool.load_agents(distinct.values()), strict=True))
    lm = next(iter(loaded.values()))
    observer_lm = lm if observer is None else pool.load_observer(observer, loaded.values())
    default_embedder: str = getattr(lm, "default_embedder", "minilm")
    embedder = load_embedder(society.embedder or default_embedder, **pool.embedder)

    chosen, choice_notes = _choose_rater(rater, lm, scenario)
    own_rater = load_rater(chosen, embedder=embedder)
    name = chosen if isinstance(chosen, str) else own_rater.name
    society = _with_candidates(society, own_rater, prior)
    society = _with_recall_distance(society, scenario, dealt, birth_seed, embedder)
    asked = society.observer_rater
    observer_rater = own_rater if asked is None else load_rater(asked, embedder=embedder)
    observer_rater_name = asked if asked is None or isinstance(asked, str) else observer_rater.name
    upbringing: dict[str, Sequence[Upbringing]] = {k: tuple(v) for k, v in scenario.upbringing.items()}
    lessons, lesson_notes = _lessons(scenario, upbringing, own_rater)
    observers, observer_notes = make_observer(scenario, observer_rater, observer_lm)
    return SocietySetup(
        scenario=scenario,
        source=source,
        society=society,
        stages=stages,
        protocol_name="+".join(stages),
        max_calls=_most_calls([*stages.values()]),
        size=size,
        seed=seed,
        birth_seed=birth_seed,
        population=population,
        models=models,
        branch=branch,
        prior=prior,
        event=happening,
        space=space,
        labels=dealt,
        personas=personas,
        speakers=[loaded[_model_key(one)] for one in assigned],
        loaded=loaded,
        speaker_models={name: loaded[_model_key(of_speakers.get(name, assigned[0]))] for name in scenario.speakers},
        observer_lm=observer_lm,
        pool=pool,
        embedder=embedder,
        memory=memory,
        rater=own_rater,
        rater_names={"neighbours": name, "observer": observer_rater_name or name},
        observer_rater_name=observer_rater_name,
        observer=observers,
        upbringing=upbringing,
        lessons=lessons,
        known_answers=known_answers(with_borrowed_answers(scenario)) if learns_from_labels(own_rater) else (),
        notes=(
            *space.notes,
            *notes,
            *choice_notes,
            *_unknown_labels(dealt, upbringing),
            *lesson_notes,
            *observer_notes,
        ),
    )


def _most_calls(stages: Sequence[Callable[..., Any]]) -> Callable[..., int]:
    most = registry.load("protocols", "back_scatter").max_calls

    def other(asked: Any, world: Any) -> int:
        return sum(most(one, world) for one in asked) if isinstance(asked, tuple) else int(most(asked, world))

    each = [getattr(stage, "max_calls", None) or other for stage in stages]
    return each[0] if len(each) == 1 else lambda agent, world: sum(most(agent, world) for most in each)


def resolve_settings(
    scenario: str | Scenario, size: int | None, settings: Mapping[str, Any]
) -> tuple[SocietySettings, Scenario, int]:
    """Settings of the society, the scenario, and the (longer) side of the grid: by default that of the scenario, or 4.

    Raises:
        SettingsError: a setting belongs to neither, or cannot be read.
        ScenarioError: the society or the scenario is inconsistent.
    """
    own = {k: v for k, v in settings.items() if is_society_setting(k)}
    shaped = [name for name in ("rows", "columns") if own.get(name) not in (None, "none")]
    if size is not None and shaped:
        raise SettingsError(f"size={size} and {' and '.join(shaped)} are given; give either size, or rows and columns")
    make_settings("the society", SocietySettings, with_memory_settings(own)).check(size or DEFAULT_SIZE)
    try:
        made = load_scenario(scenario, {k: v for k, v in settings.items() if k not in own})
    except SettingsError as error:
        unknown = [name for name in settings if f"no setting {name!r}" in str(error)]
        meant = "".join(nearest(name, SOCIETY_SETTINGS) for name in unknown if "Did you mean" not in str(error))
        raise SettingsError(f"{error}; of the society: {', '.join(sorted(SOCIETY_SETTINGS))}.{meant}") from None
    begun = {**made.society, **({} if made.rows is None else {"rows": made.rows, "columns": made.columns})}
    if size is not None or shaped:  # what was asked for replaces the grid of the scenario
        begun = {name: value for name, value in begun.items() if name not in ("rows", "columns")}
    society = make_settings("the society", SocietySettings, with_memory_settings(own, begun))
    side = (made.size or DEFAULT_SIZE) if size is None else size
    society.check(side)
    shape = society.shape(side)
    if shape[0] == shape[1]:  # a square is the same however it is asked for
        society = replace(society, rows=None, columns=None)
    return society, made, max(shape)


def _with_candidates(society: SocietySettings, rater: Rater, prior: PriorRun | None) -> SocietySettings:
    """Fill in the number of candidates, and whether drafts are kept, where they are not given.

    A resumed run keeps the settings it began with; runs recorded before there were candidates had one, and took every revision.
    """
    candidates, keep = society.candidates, society.keep_draft
    if prior is not None and prior.rounds is None:
        began = open_run(prior.path).manifest["settings"]
        candidates = began.get("candidates", 1) if candidates is None else candidates
        keep = began.get("keep_draft", False) if keep is None else keep
    candidates = int(getattr(rater, "default_candidates", 1)) if candidates is None else candidates
    return replace(society, candidates=candidates, keep_draft=candidates > 1 if keep is None else keep)


def _with_recall_distance(
    society: SocietySettings, scenario: Scenario, labels: Sequence[str], birth_seed: int, embedder: Any
) -> SocietySettings:
    """Set the recall distance by ``recall_share``, from what the first agents begin with."""
    if society.recall_share is None:
        return society
    memories = [
        [p.question for p in draw_upbringing(scenario.upbringing.get(label, ()), society, birth_seed, index)]
        for index, label in enumerate(labels[:_CALIBRATED_AGENTS])
    ]
    questions = list(dict.fromkeys(scenario.questions))[:_CALIBRATED_QUESTIONS]
    distance = distance_for_share(questions, memories, society.recall_share, embedder)
    return replace(society, recall_distance=distance)


def _replays_unnamed(models: Mapping[str, Any]) -> bool:
    """Whether a run is replayed that was recorded before nodes gave agents their names: its prompts have none."""
    replayed = [str(one).removeprefix("replay:") for one in models.values() if str(one).startswith("replay:")]
    return any("attributes" not in open_run(path).manifest.get("network", {"attributes": ()}) for path in replayed)


def _model_key(model: str | LanguageModel) -> Any:
    return model if isinstance(model, str) else id(model)


def _choose_rater(rater: str | Rater | None, lm: LanguageModel, scenario: Scenario) -> tuple[str | Rater, list[str]]:
    """The rater asked for, or the model's default where the scenario has what it needs; and warnings."""
    chosen = rater if rater is not None else lm.default_rater
    is_default = rater is None or getattr(rater, "is_default", False)
    if is_default and getattr(chosen, "name", chosen) == "values" and (lacking := without_examples(scenario)):
        note = (
            f"values cannot be learnt for {', '.join(lacking)}: the scenario has no labelled answers. The language model rates "
            "instead; small models are poor judges"
        )
        return "lm", [note]
    return chosen, []


def _lessons(
    scenario: Scenario, upbringing: Mapping[str, Sequence[Upbringing]], rater: Rater
) -> tuple[Mapping[str, Sequence[Upbringing]], list[str]]:
    """What the ``values`` rater learns from, by label; and warnings."""
    if not learns_from_labels(rater) or any(p.instead for pairs in upbringing.values() for p in pairs):
        return upbringing, []
    lessons, note = lessons_without_upbringing(scenario)
    return lessons, [note]


def _unknown_labels(dealt: Sequence[str], upbringing: Mapping[str, Sequence[Upbringing]]) -> list[str]:
    """A warning for each label without upbringing, in a scenario that has some."""
    if not upbringing:
        return []
    return [
        f"agents labelled {label} start without memories; labels with an upbringing: {', '.join(upbringing)}."
        f"{nearest(label, upbringing)}"
        for label in sorted(set(dealt) - set(upbringing))
    ]
