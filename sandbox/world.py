"""The society: a Mesa model whose step is one round of conversations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mesa
import networkx as nx
import numpy as np

from sandbox import registry
from sandbox.embedders.base import load_embedder
from sandbox.errors import RunExists, SettingsError, nearest
from sandbox.metrics.round_metrics import own_measures, round_metrics
from sandbox.models.base import LanguageModel
from sandbox.models.pool import split_model_settings
from sandbox.raters.base import Rater, load_rater
from sandbox.records import Interaction
from sandbox.scenario.population import Population, deal_models, read_models, read_population
from sandbox.scenario.rubric import Upbringing
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng, keyed_seed
from sandbox.society.agent import SocialAgent
from sandbox.society.audience import draw_audience
from sandbox.society.memory import QuestionIndex
from sandbox.society.observer import lessons_without_upbringing, make_observer, without_examples
from sandbox.society.placement import cells_at, place_agents
from sandbox.society.repair import repair_run
from sandbox.society.round_runner import RoundRunner
from sandbox.society.run_record import open_writer
from sandbox.society.setup import assign_people, check_prior_run, find_prior_run, resolve_settings
from sandbox.society.space import make_space
from sandbox.store.budget import check_prices
from sandbox.store.call_log import RunCallLog
from sandbox.store.run import Run, open_run

Model = str | LanguageModel


class World(mesa.Model):
    """A place full of language-model agents, its observers, and the record of what they say.

    Args:
        scenario: A name, a path, ``module:object``, or a :class:`~sandbox.scenario.scenario.Scenario`.
        model: What agents speak through: a URI, an alias such as ``smollm2``, or a language model. A mapping (or its
            text, as ``good=smollm2,bad=hf:models/x``) gives one to each label, or to shares of the agents.
        observer: What observers speak through; by default the agents' (first) model.
        rater: Who rates for neighbours and observers: ``lm``, ``values``, ``reward:...`` or a rater; by default the
            one that suits the model. Setting ``observer_rater`` gives observers another.
        size: Side of the grid; there are ``size * size`` agents unless the setting ``agents`` says otherwise.
        population: ``all_good``, ``all_bad``, ``half_half``, ``mixed_half_half``, or shares of labels
            (``good=0.7,bad=0.3`` or a mapping); by default the scenario's.
        protocol: The conversation: a name, a path or a generator function; by default the scenario's.
        seed: Keys every random stream.
        out: The run's folder; by default a temporary one that goes with the world.
        resume: Go on with the run in ``out``, if there is one.
        branch: ``RUN@ROUNDS``: begin where another run stood after so many rounds, with its agents as they are; model,
            seed and settings may be others.
        in_flight: Conversations at once, at most.
        max_calls: Stop before more than so many calls to language models in all, at a whole interaction.
        max_tokens_total: The same for tokens read and written, which are known only when a call is done.
        max_cost: The same for money, in US dollars, by the models' settings ``price_prompt`` and ``price_completion``.
        replicas: Copies of each local model, which share the work; the results are those of one.
        engine: Where copies live: ``processes`` of this machine, or actors of a ``ray`` cluster.
        command: How to repeat the run, for the manifest.
        **settings: Fields of :class:`~sandbox.scenario.settings.SocietySettings`, and the scenario's own settings; and of
            the language models, as ``**{"model.dtype": "bfloat16"}`` (see :mod:`sandbox.models.pool`).

    Attributes:
        members: The agents, in the order of their indices.
        upbringing: For each label, what its agents may be born remembering.
        lessons: For each label, what the ``values`` rater learns its agents' values from.
        round: The round that runs, or will run next, from 0.
        metrics: The measures of the last complete round.
        on_calls: Told how many calls to language models have just ended; set it to watch.
        on_interactions: Told which interactions have just ended and are kept; set it to watch.
        ended: Whether the scenario's own stop condition did.

    Raises:
        ScenarioError: the society cannot be set up; nothing has been written then.
        RunExists: ``out`` holds a run and ``resume`` is False, or holds another run.
    """

    # Ours: Mesa 3.5 has a property of this name, which would write into what it is given.
    scenario: Scenario = None  # type: ignore[assignment]

    def __init__(
        self,
        scenario: str | Scenario = "value_alignment",
        *,
        model: Model | Mapping[str, Any] = "smollm2",
        observer: Model | None = None,
        rater: str | Rater | None = None,
        size: int = 4,
        population: Population | None = None,
        protocol: str | Callable[..., Any] | None = None,
        seed: int | None = 0,
        out: str | Path | None = None,
        resume: bool = False,
        branch: str | None = None,
        in_flight: int | None = None,
        max_calls: int | None = None,
        max_tokens_total: int | None = None,
        max_cost: float | None = None,
        replicas: int = 1,
        engine: str | None = None,
        command: str = "",
        **settings: Any,
    ) -> None:
        seed = 0 if seed is None else seed  # Mesa 3.5's batch_run hands None on where it is given no seeds
        super().__init__(rng=seed)
        self.seed, self.size = seed, size
        self.voices, settings = split_model_settings(settings, replicas=replicas, engine=engine)
        self.notes: list[str] = []
        self.society, self.scenario = resolve_settings(scenario, size, settings)
        protocol = self.scenario.protocol if protocol is None else protocol
        self.protocol_name = protocol if isinstance(protocol, str) else getattr(protocol, "__name__", "protocol")
        self.protocol = registry.load("protocols", protocol) if isinstance(protocol, str) else protocol
        if out is not None and not resume and (Path(out) / "manifest.json").exists():
            raise RunExists(f"{out} already holds a run; add --resume to go on with it, or choose another --out")
        for name, count in (("in_flight", in_flight), ("max_calls", max_calls), ("max_tokens_total", max_tokens_total)):
            if count is not None and count < 1:
                raise SettingsError(f"{name}={count} must be at least 1")
        if max_cost is not None and not max_cost > 0:
            raise SettingsError(f"max_cost={max_cost} must be more than 0, in US dollars")
        models = read_models(model)
        self.origin = find_prior_run(None if out is None else Path(out), branch)
        self.birth_seed = seed if self.origin is None else self.origin.birth_seed
        network_seed = keyed_seed(self.birth_seed, "network") % 2**32
        self.space = make_space(self.society, size, random=self.random, seed=network_seed)
        n = len(self.space.places()) if self.society.agents is None else self.society.agents
        self.origin = check_prior_run(self.origin, population, size, n)
        if population is None and branch is not None and self.origin is not None:
            population = self.origin.population
        self.population = read_population(self.scenario.population if population is None else population)
        personas, dealt = assign_people(self, n)
        speakers = deal_models(models, dealt, keyed_rng(self.birth_seed, "models"))

        distinct = dict(_distinct(speakers))
        loaded = dict(zip(distinct, self.voices.load_agents(distinct.values()), strict=True))
        self.lm = next(iter(loaded.values()))
        self.observer_lm = self.lm if observer is None else self.voices.load_observer(observer, loaded.values())
        suits: str = getattr(self.lm, "default_embedder", "minilm")
        self.embedder = load_embedder(self.society.embedder or suits, **self.voices.embedder)
        self.questions = QuestionIndex(self.embedder)
        self._set_up_minds(rater, dealt)
        self.members = place_agents(self, dealt, [loaded[_key(s)] for s in speakers], personas)

        # Outlives the world only if somebody else holds on to it.
        self._temporary = tempfile.TemporaryDirectory(prefix="sandbox-") if out is None else None
        check_prices(max_cost, [*loaded.values(), self.observer_lm])
        self.path = Path(self._temporary.name if self._temporary is not None else str(out))
        self.ended = False
        self.on_calls: Callable[[int], None] = lambda calls: None
        self.on_interactions: Callable[[Sequence[Interaction]], None] = lambda ended: None
        self.store = open_writer(self, command, resume=resume, branch=branch, models=models)
        self.calls = RunCallLog(self.store, max_calls=max_calls, max_tokens=max_tokens_total, max_cost=max_cost)
        self.talks = RoundRunner(self, self.calls, in_flight=in_flight or 256)
        self.round = 0
        self.metrics: dict[str, Any] = {}
        self._earlier: list[dict[str, Any]] = []
        self._previous: tuple[int, dict[int, Interaction]] = (0, {})
        self.datacollector = self._collector()
        self._n_embedded = 0
        self._restore()
        self._is_whole = not resume

    # -- setting up -------------------------------------------------------------------------------------------

    def _set_up_minds(self, rater: str | Rater | None, dealt: Sequence[str]) -> None:
        """Who rates, for neighbours and observers, and what agents of each label are brought up to say."""
        chosen = rater if rater is not None else self.lm.default_rater
        is_default = rater is None or getattr(rater, "is_default", False)
        if is_default and getattr(chosen, "name", chosen) == "values" and (lacking := without_examples(self.scenario)):
            chosen = "lm"
            self.notes.append(
                f"values cannot be learnt for {', '.join(lacking)}, which bring no labelled answers: the language model is "
                "asked to rate, and small ones are poor judges"
            )
        self.rater = load_rater(chosen, embedder=self.embedder)
        theirs = self.society.observer_rater
        observing = self.rater if theirs is None else load_rater(theirs, embedder=self.embedder)
        name = chosen if isinstance(chosen, str) else self.rater.name
        self.observer_rater_name = theirs if theirs is None or isinstance(theirs, str) else observing.name
        self.rater_names = {"neighbours": name, "observer": self.observer_rater_name or name}
        self.upbringing: dict[str, Sequence[Upbringing]] = {k: tuple(v) for k, v in self.scenario.upbringing.items()}
        self.lessons = self.upbringing
        known = ", ".join(self.upbringing) or "none"
        self.notes += [
            f"agents labelled {label} are born without memories; labels the scenario brings up: {known}."
            f"{nearest(label, self.upbringing)}"
            for label in sorted(set(dealt) - set(self.upbringing))
            if self.upbringing
        ]
        if self.rater.name == "values" and not any(p.instead for v in self.upbringing.values() for p in v):
            self.lessons, note = lessons_without_upbringing(self.scenario)
            self.notes.append(note)
        self.observer, notes = make_observer(self.scenario, observing, self.observer_lm)
        self.notes += notes

    def _measure(self, interactions: Sequence[Interaction]) -> dict[str, Any]:
        found = round_metrics(
            interactions,
            [d.name for d in self.scenario.rubric.dimensions],
            scale=self.scenario.rubric.scale,
            label_of=lambda agent: self.members[agent].label,
            earlier=self._earlier,
        )
        return found | own_measures(self.scenario, interactions, self)

    def _restore(self) -> None:
        """Bring memories, places and measures to where the record stands."""
        for agent, question, answer in self.store.memories():
            self.members[agent].memory.remember(question, answer)
        if moves := self.store.moves():
            latest = {agent: (x, y) for agent, x, y in moves}
            self.set_positions(dict(zip(latest, cells_at(self, list(latest.values())), strict=True)))
        for metrics in open_run(self.path).metrics():
            self._collect(metrics)
        self._stop()

    def set_positions(self, places: Mapping[int, Any]) -> None:
        """Put agents, by index, where they lived at some time."""
        # Everybody leaves before anybody arrives: a place may be full on the way.
        for agent in places:
            self.members[agent].cell = None
        for agent, place in places.items():
            self.members[agent].cell = place

    def reset_memories(self) -> None:
        """Leave agents with what they were born remembering."""
        for agent in self.members:
            agent.forget()

    def reload_from_record(self) -> None:
        """Stand where the record stands, whatever was done since."""
        self.round, self.metrics, self._earlier, self._previous = 0, {}, [], (0, {})
        self.datacollector = self._collector()
        self.reset_memories()
        self._restore()

    def recompute_metrics(self, round_: int) -> dict[str, Any]:
        """The measures of a round that is complete, as its record stands."""
        self.round, self._earlier = round_, open_run(self.path).metrics()[:round_]
        return self._measure(self.store.interactions(round_))

    def _collector(self) -> mesa.DataCollector:
        return mesa.DataCollector(model_reporters={name: _reporter(name) for name in self._measure([])})

    def _collect(self, metrics: Mapping[str, Any]) -> None:
        """A round is complete: these are its measures."""
        self.metrics = dict(metrics)
        self._earlier.append(self.metrics)
        self.round += 1
        self.steps = self.round
        self.datacollector.collect(self)

    def _stop(self) -> None:
        """See whether the society has come to its end, as its scenario has it."""
        if self.scenario.stop is None or not self.round:
            return
        self.ended = bool(self.scenario.stop(self))
        if self.ended:
            self.running = False
        self.store.manifest["ended"] = self.round if self.ended else None

    # -- running ----------------------------------------------------------------------------------------------

    def run(self, rounds: int = 1) -> Run:
        """Step until the run has ``rounds`` complete rounds in all, and return it to be read."""
        self.repair()
        while self.round < rounds and self.running:
            self.step()
        return open_run(self.path)

    def step(self) -> None:
        """One round: agents are asked their questions; memories are written when all are done.

        A cap may stop it at a whole interaction; ``running`` is then False, and the same round goes on when the run is
        resumed.
        """
        try:
            self._run_round()
        except BaseException:
            _step_again(self)
            raise

    def _run_round(self) -> None:
        self.repair()
        started = time.monotonic()
        kept = {it.agent: it for it in self.store.interactions(self.round)}
        asked = [(agent, self.question_for(agent)) for agent in self.active_agents()]
        self._embed_new_questions(question for _, question in asked)
        left = [pair for pair in asked if pair[0].index not in kept]
        for ended in self.talks.run(left):
            self.store.commit(*ended)
            kept |= {done.agent: done for done in ended}
            self.on_interactions(ended)
        self.store.manifest["tokens"] = self.calls.counts
        self.store.manifest["seconds"] = round(self.store.manifest["seconds"] + time.monotonic() - started, 3)
        if self.capped:
            self.steps = self.round  # Mesa has counted a round that is not complete
            self.running = False
        else:
            self._embed_new_questions(
                ()
            )  # agents have met others than they were asked: those they were brought up with
            self._finish([kept[index] for index in sorted(kept)])
        self.store.save_manifest()

    def repair(self) -> int:
        """Of a resumed run, hold the conversations again that failed; done once, before anything else.

        Returns:
            How many kept interactions were replaced; see :mod:`sandbox.society.repair`.
        """
        if self._is_whole:
            return 0
        self._is_whole = True
        mended = repair_run(self)
        self.store.manifest["tokens"] = self.calls.counts
        self.store.save_manifest()
        return mended

    def _finish(self, interactions: Sequence[Interaction]) -> None:
        memories = [
            (it.agent, it.question, it.final) for it in interactions if it.error is None and it.final is not None
        ]
        for index, question, answer in memories:
            self.members[index].memory.remember(question, answer)
        metrics = self._measure(interactions)
        self.store.finish_round(self.round, memories, metrics, self._move())
        self._previous = (self.round + 1, {it.agent: it for it in interactions})
        self._collect(metrics)
        self._stop()

    def _move(self) -> list[tuple[int, int, int]]:
        """Let agents go where they want; (agent, x, y) of those that moved."""
        moved: list[tuple[int, int, int]] = []
        if self.scenario.move is None and not self.society.movement:
            return moved
        for agent in self.members:
            place = self._destination(agent)
            if place is not None and place is not agent.cell:
                agent.move_to(place)
                moved.append((agent.index, *self.space.position(agent)))
        return moved

    def _destination(self, agent: SocialAgent) -> Any | None:
        if self.scenario.move is not None:
            return self.scenario.move(agent, self)
        draw = keyed_rng(self.seed, self.round, agent.index, "move")
        if draw.random() >= self.society.movement:
            return None
        free = self.space.free_near(agent)
        return draw.choice(free) if free else None

    def _embed_new_questions(self, questions: Iterable[str]) -> None:
        """Embed questions not met before, all at once, and keep what they are."""
        self.questions.add(questions)
        self.store.add_embeddings(self.questions.since(self._n_embedded))
        self._n_embedded = len(self.questions.questions)

    def question_for(self, agent: SocialAgent) -> str:
        """What an agent is asked this round: what the scenario's ``ask`` says, else number (round * N + agent) mod Q."""
        if self.scenario.ask is not None:
            return self.scenario.ask(agent, self)
        questions = self.scenario.questions
        return questions[(self.round * len(self.members) + agent.index) % len(questions)]

    @property
    def capped(self) -> bool:
        """Whether a cap on calls, tokens or money stopped the run."""
        return self.talks.capped

    @property
    def previous(self) -> Mapping[int, Interaction]:
        """The interactions of the round before, by agent; empty in the first. What agents said is there to be heard."""
        if self._previous[0] != self.round:
            before = self.store.interactions(self.round - 1) if self.round else []
            self._previous = (self.round, {it.agent: it for it in before})
        return self._previous[1]

    def active_agents(self) -> list[SocialAgent]:
        """Who is asked this round: all agents, or the active share of them, drawn anew each round."""
        n = len(self.members)
        if self.society.active >= 1:
            return self.members
        draw = np.random.default_rng(keyed_seed(self.seed, self.round, "active"))
        chosen = draw.choice(n, max(1, round(self.society.active * n)), replace=False, shuffle=False)
        return [self.members[i] for i in np.sort(chosen)]

    def audience(self, agent: SocialAgent) -> list[SocialAgent]:
        """Who reviews the agent's draft this round."""
        near = [other.index for other in self.space.neighbors(agent)]
        draw = keyed_rng(self.seed, self.round, agent.index, "audience")
        return [self.members[i] for i in draw_audience(self.society, agent.index, near, len(self.members), draw)]

    def calls_of(self, agent: SocialAgent) -> int:
        """Calls to language models that Back-Scatter around an agent makes at most."""
        n = self.society.reviewers
        if self.society.audience == "local":
            n = min(n, len(self.space.neighbors(agent)))
        a_review = (self.rater.name == "lm") + (not self.society.score_only)
        observed = 2 * len(self.observer.judges) if self.observer.rater.name == "lm" else 0
        return 2 + observed + n * a_review

    def expected_calls(self, rounds: int) -> int:
        """Calls to language models that so many rounds of Back-Scatter make, foreseen from some of the agents."""
        asked = self.active_agents()
        some = asked[:: max(1, len(asked) // 500)]
        return round(rounds * len(asked) * sum(map(self.calls_of, some)) / len(some))

    def social_graph(self) -> nx.DiGraph[int]:
        """Who has reviewed whom so far; see :func:`sandbox.metrics.social_graph.social_graph`."""
        return open_run(self.path).social_graph()

    def close(self) -> None:
        """Let other processes write to the run."""
        self.talks.close()
        self.store.close()
        self.voices.close()


def _reporter(name: str) -> Callable[[World], Any]:
    return lambda world: world.metrics[name]


def _key(model: Model) -> Any:
    return model if isinstance(model, str) else id(model)


def _distinct(models: Sequence[Model]) -> list[tuple[Any, Model]]:
    return list({_key(m): (_key(m), m) for m in models}.values())


def _step_again(world: World) -> None:
    """After a step that raised, let the next one run.

    Since Mesa 3.5 a step is an event that schedules the next when it ends; without this, later steps do nothing, and
    say nothing of it.
    """
    world.steps = world.round
    schedule = getattr(world, "_default_schedule", None)
    if schedule is not None:
        schedule.pause()
        schedule.resume()
