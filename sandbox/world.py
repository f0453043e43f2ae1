"""World: a Mesa model whose step is one round of conversations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mesa
import networkx as nx

from sandbox.errors import SettingsError
from sandbox.memories.text_index import TextIndex
from sandbox.metrics.round_metrics import measure_round
from sandbox.models.base import LanguageModel
from sandbox.notebook import WorldTable, rounds_with_bar
from sandbox.process_settings import fewer_collections
from sandbox.raters.base import Rater
from sandbox.records import Interaction
from sandbox.scenario.population import Population
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng
from sandbox.society.agent import SocialAgent
from sandbox.society.audience import active_agents, audience_of, question_for
from sandbox.society.births import add_agent, note_extinction, remove_agent, restore_population
from sandbox.society.event import Recipients, tell
from sandbox.society.groups import draw_groups
from sandbox.society.hearing import Hearing
from sandbox.society.kept import closed_if_refused, tells_what_is_kept
from sandbox.society.members import Members
from sandbox.society.movement import move_agents
from sandbox.society.placement import isolation_notes, place_agents, put_agents
from sandbox.society.remembering import Remembering
from sandbox.society.repair import repair_run
from sandbox.society.round_runner import RoundRunner
from sandbox.society.run_record import open_writer
from sandbox.society.schedule import another_step_allowed, release
from sandbox.society.setup import prepare_society
from sandbox.society.speaker import Speaker, find_speaker, make_speakers
from sandbox.society.staging import Staging
from sandbox.society.state import State
from sandbox.society.states import WORLD, States, call_scenario, refuse_attribute
from sandbox.store.budget import CallBudget
from sandbox.store.call_log import RunCallLog
from sandbox.store.run import Run, open_run
from sandbox.typed_settings import check_seeds

Model = str | LanguageModel


class World(WorldTable, mesa.Model):
    """A society of language-model agents and observers, and the record of its conversations.

    Args:
        scenario: A name, a path, ``module:object``, or a :class:`~sandbox.scenario.scenario.Scenario`.
        model: Language model of the agents: a URI, an alias such as ``smollm2``, or a language model. A mapping (or its
            text, for example ``good=smollm2,bad=hf:models/x``) assigns one to each label, or to shares of the agents.
        observer: Language model of the observers; by default the agents' (first) model.
        rater: Rater used by neighbours and observers: ``lm``, ``values``, ``reward:...`` or a rater; by default the
            model's default rater. The setting ``observer_rater`` gives observers another one.
        size: Side of the grid; by default the scenario's, or 4. Or give the settings ``rows`` and ``columns``.
        population: ``all_good``, ``all_bad``, ``half_half``, ``mixed_half_half``, or shares of labels
            (``good=0.7,bad=0.3`` or a mapping); by default the scenario's.
        protocol: The protocol of the conversations: a name, a path or a generator function; by default the scenario's.
        seed: Seed of all random draws.
        out: The run folder; by default a temporary one, deleted with the world.
        resume: Resume the run in ``out``, if any.
        branch: ``RUN@ROUNDS``: start from another run as it was after that many rounds, with its agents; model, seed and
            settings may differ.
        event: What happens before the first new round: a sentence that agents are told, a Python file with a function
            ``event(world)``, or a function of (world), which may change states.
        event_to: Those who are told the sentence: numbers or names of agents, or labels (``3,Ada``, ``good``); by default all.
        in_flight: Maximum number of concurrent conversations; 256 by default.
        max_calls: Cap on calls to language models, over all resumptions; the run stops between conversations.
        max_tokens_total: Cap on tokens read and written, which are known only when a call is done.
        max_cost: Cap in US dollars, by the models' settings ``price_prompt`` and ``price_completion``.
        replicas: Number of load-balanced copies of each local model; results do not depend on it.
        engine: Where the copies live: ``processes`` of this machine, or actors of a ``ray`` cluster.
        command: Command that repeats the run.
        **settings: Fields of :class:`~sandbox.scenario.settings.SocietySettings`, the scenario's own settings, and those
            of the language models, for example ``**{"model.dtype": "bfloat16"}`` (see :mod:`sandbox.models.pool`).

    Attributes:
        setup: All that was decided before the agents existed.
        members: The agents; see :class:`~sandbox.society.members.Members`.
        round: The running round, or the next one between rounds; from 0.
        metrics: Metrics of the last complete round, by name.
        on_calls: Callback, receives the number of calls to language models that finished.
        on_interactions: Callback, receives the interactions that were just stored.
        ended: Whether the scenario's stop condition ended the run.

    Raises:
        ScenarioError: the society cannot be set up; nothing has been written.
        RunExists: ``out`` holds a run and ``resume`` is False, or it holds another run.
    """

    # Hides the property of Mesa 3.5, which would write into the scenario.
    scenario: Scenario = None  # type: ignore[assignment]
    _has_begun = False

    def __init__(
        self,
        scenario: str | Scenario = "value_alignment",
        *,
        model: Model | Mapping[str, Any] = "smollm2",
        observer: Model | None = None,
        rater: str | Rater | None = None,
        size: int | None = None,
        population: Population | None = None,
        protocol: str | Callable[..., Any] | None = None,
        seed: int | None = 0,
        out: str | Path | None = None,
        resume: bool = False,
        branch: str | None = None,
        event: str | Callable[[Any], None] | None = None,
        event_to: Recipients | None = None,
        in_flight: int | None = None,
        max_calls: int | None = None,
        max_tokens_total: int | None = None,
        max_cost: float | None = None,
        replicas: int = 1,
        engine: str | None = None,
        command: str = "",
        **settings: Any,
    ) -> None:
        seed = 0 if seed is None else seed  # Mesa 3.5's batch_run passes None where it is given no seeds
        check_seeds([seed])
        super().__init__(rng=seed)
        if in_flight is not None and in_flight < 1:
            raise SettingsError(f"in_flight={in_flight} must be at least 1")
        self.budget = CallBudget(max_calls=max_calls, max_tokens_total=max_tokens_total, max_cost=max_cost)
        self.setup = setup = prepare_society(
            scenario, settings, model=model, observer=observer, rater=rater, size=size, population=population,
            protocol=protocol, seed=seed, out=None if out is None else Path(out), resume=resume, branch=branch,
            event=event, event_to=event_to, replicas=replicas, engine=engine, random=self.random,
        )  # fmt: skip
        self.budget.check_prices([*setup.speakers, *setup.speaker_models.values(), setup.observer_lm])
        self.seed, self.birth_seed, self.size, self.population = seed, setup.birth_seed, setup.size, setup.population
        self.scenario, self.society, self.space = setup.scenario, setup.society, setup.space
        self.stages, self.protocol_name = setup.stages, setup.protocol_name
        self.lm, self.observer_lm, self.embedder = setup.speakers[0], setup.observer_lm, setup.embedder
        self.rater, self.rater_names, self.observer = setup.rater, setup.rater_names, setup.observer
        self.upbringing, self.lessons, self.known_answers = setup.upbringing, setup.lessons, setup.known_answers
        brought_up = (pair.question for pairs in setup.upbringing.values() for pair in pairs)
        self.questions, self.hearing = TextIndex(setup.embedder, brought_up), Hearing()
        self.remembering = Remembering(self, setup.memory)
        self.members = Members(place_agents(self, setup))
        self._speakers = make_speakers(self, setup.speaker_models)
        self.round, self.ended, self.metrics = 0, False, dict[str, Any]()
        self.groups: Mapping[int, tuple[SocialAgent, ...]] = {}
        self.states = States(setup.scenario, self.members, is_used=setup.keeps_states)
        self.states.begin(self.members, self)
        self.notes = [*setup.notes, *isolation_notes(setup, self.members)]
        self._temporary = tempfile.TemporaryDirectory(prefix="sandbox-") if out is None else None
        self.path = Path(self._temporary.name if self._temporary is not None else str(out))
        self.on_calls: Callable[[int], None] = lambda calls: None
        self.on_interactions: Callable[[Sequence[Interaction]], None] = lambda ended: None
        self.store = open_writer(setup, self.members, self.path, notes=self.notes, command=command, resume=resume)
        self.budget.resume(self.store.manifest["tokens"])
        log = RunCallLog(self.store, self.budget, lambda: self.round)
        self.round_runner = RoundRunner(self, log, self.budget, in_flight=in_flight or 256)
        self.staging, self._earlier = Staging(self), list[dict[str, Any]]()
        self.datacollector, self._n_embedded = self._collector(), 0
        with closed_if_refused(self):
            self._restore()
        self._is_whole = not resume

    def _measure(self, interactions: Sequence[Interaction]) -> dict[str, Any]:
        return measure_round(self, interactions, self._earlier)

    @tells_what_is_kept
    def _restore(self) -> None:
        """Restore memories, positions and metrics from the record."""
        for metrics in open_run(self.path).metrics():
            self._collect(metrics)
        self.set_positions(restore_population(self))
        self.remembering.restore()
        self.staging.load_states()
        self._stop()

    def set_positions(self, places: Mapping[int, Any]) -> None:
        """Place agents on cells."""
        put_agents(self.members.everyone, places)

    def reload_from_record(self) -> None:
        """Restore round, memories, positions and metrics from the record."""
        self.round, self.metrics, self._earlier = 0, {}, []
        self.datacollector = self._collector()
        self.remembering.forget()
        self._restore()

    def recompute(self, round_: int) -> tuple[dict[str, Any], dict[int, Mapping[str, float]]]:
        """Compute the metrics, the rewards and the states of a complete round again from its record."""
        self.round, self._earlier = round_, open_run(self.path).metrics()[:round_]
        self.metrics = self._earlier[-1] if self._earlier else {}
        found = self.staging.settle_again(self.store.interactions(round_))
        return self._measure(found), {it.agent: it.rewards for it in found}

    def _collector(self) -> mesa.DataCollector:
        return mesa.DataCollector({n: lambda world, n=n: world.metrics.get(n) for n in self._measure([])})

    def _collect(self, metrics: Mapping[str, Any]) -> None:
        """Advance to the next round: these are the metrics of the complete one."""
        self.metrics = dict(metrics)
        self._earlier.append(self.metrics)
        self.round += 1
        self.steps = self.round
        self.datacollector.collect(self)

    def _stop(self) -> None:
        """Evaluate the scenario's stop condition."""
        if self.scenario.stop is None or not self.round:
            return
        self.ended = bool(call_scenario("stop", self.scenario.stop, self))
        if self.ended:
            self.running = False
        self.store.manifest["ended"] = self.round if self.ended else None

    def run(self, rounds: int = 1) -> Run:
        """Step until the run has ``rounds`` complete rounds in all, or is stopped, and open it for reading."""
        self.repair()
        for _ in rounds_with_bar(self, rounds):
            self.step()
        return open_run(self.path)

    @tells_what_is_kept
    def step(self) -> None:
        """Run one round of all active agents. If a cap stops it, ``running`` is False, and a resumed run continues it."""
        with fewer_collections(), another_step_allowed(self):
            self._run_round()

    def _run_round(self) -> None:
        self.repair()
        self._has_begun = True
        started = time.monotonic()
        kept = {it.agent: it for it in self.store.interactions(self.round)}
        self.staging.begin_round()
        note_extinction(self)
        asked = [(agent, self.question_for(agent)) for agent in self.active_agents()]
        self.embed_questions(question for _, question in asked)
        for ended in self.staging.run(asked, kept):
            self.embed_questions()  # those that its protocol made, for replays
            self.store.commit(*ended)
            kept |= {done.agent: done for done in ended}
            self.on_interactions(ended)
        if not self.capped:
            self.embed_questions()  # the upbringing of agents that recalled something for the first time
            self._finish([kept[index] for index in sorted(kept)])
        if self.capped:
            self.steps = self.round  # Mesa has counted a round that is not complete
            self.running = False
        self.store.manifest["tokens"] = self.budget.counts
        self.store.manifest["seconds"] = round(self.store.manifest["seconds"] + time.monotonic() - started, 3)
        self.store.save_manifest()

    @tells_what_is_kept
    def repair(self) -> int:
        """Repeat the failed conversations of a resumed run, once, before the first step: the number that was replaced."""
        if self._is_whole:
            return 0
        self._is_whole = True
        repaired = repair_run(self)
        self.store.manifest["tokens"] = self.budget.counts
        self.store.save_manifest()
        return repaired

    def _finish(self, interactions: Sequence[Interaction]) -> None:
        said = self.remembering.end_round(interactions)
        told = self.staging.settle_round(interactions)
        notes = self.remembering.rewrite()
        if self.capped:
            return
        self.embed_questions()  # what memories were given
        interactions = self.staging.reward(interactions)
        metrics, moves, changes = self._measure(interactions), move_agents(self), self.staging.take_changes()
        states, rewards = self.states.recorded(), {it.agent: it.rewards for it in interactions}
        self.store.finish_round(self.round, said, metrics, moves, states, told, notes, rewards, changes)
        self.staging.end_round(interactions)
        self._collect(metrics)
        self._stop()

    def embed_questions(self, questions: Iterable[str] = ()) -> None:
        """Embed new questions, in one batch, and store all embeddings that are not yet stored."""
        self.questions.add(questions)
        if fresh := self.questions.since(self._n_embedded):
            self.store.add_embeddings(fresh)
        self._n_embedded = len(self.questions.texts)

    def question_for(self, agent: SocialAgent) -> str:
        """Question of an agent in this round: by the scenario's ``ask``, else number (round * N + agent) mod Q."""
        return question_for(agent, self)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._has_begun and name not in self.__dict__ and not hasattr(type(self), name):
            refuse_attribute("world", "world_state", name)
        super().__setattr__(name, value)

    @property
    def protocol(self) -> Callable[..., Any]:
        """The protocol of the running stage."""
        return self.stages[self.stage]

    @property
    def stage(self) -> str:
        """Name of the running stage; that of the protocol where there are no stages."""
        return self.staging.stage

    @property
    def state(self) -> State:
        """State of the world, as of the end of the last stage."""
        return self.states.world

    @property
    def state_before(self) -> State:
        """State of the world when the round began, as the previous round left it."""
        return self.states.before(WORLD)

    def said(self, stage: str) -> Mapping[int, Interaction]:
        """Interactions of an earlier stage of this round; see :meth:`sandbox.society.staging.Staging.said`."""
        return self.staging.said(stage)

    def last(self, agent: SocialAgent) -> Interaction | None:
        """An agent's newest interaction that did not fail; see :meth:`sandbox.society.staging.Staging.last`."""
        return self.staging.last(agent)

    def speaker(self, name: str) -> Speaker:
        """One of the scenario's ``speakers``, which are no members; see :class:`~sandbox.society.speaker.Speaker`."""
        return find_speaker(name, self._speakers)

    def tell(self, text: str, to: Recipients | None = None) -> None:
        """Tell agents (by default all) a sentence, from now on in their prompts; where states may be changed."""
        tell(self, text, to)

    def add(self, **given: Any) -> SocialAgent:
        """Add an agent; see :meth:`sandbox.society.context.SocietyContext.add`."""
        return add_agent(self, **given)

    def remove(self, agent: SocialAgent) -> None:
        """Remove an agent; see :meth:`sandbox.society.agent.SocialAgent.remove`."""
        remove_agent(self, agent)

    @property
    def capped(self) -> bool:
        """Whether a cap on calls, tokens or dollars stopped the run."""
        return self.round_runner.capped

    @property
    def previous(self) -> Mapping[int, Interaction]:
        """Interactions of the previous round, by agent; empty in the first round."""
        return self.staging.previous

    def active_agents(self) -> list[SocialAgent]:
        """Agents that are asked in this round, by index: the scenario's ``asked``, else all; or the active share of them."""
        self.groups = draw_groups(self)
        return active_agents(self)

    def audience(self, agent: SocialAgent) -> list[SocialAgent]:
        """Agents who review the agent's draft in this round."""
        return audience_of(agent, self, keyed_rng(self.seed, self.round, agent.index, "audience"))

    def weight(self, agent: SocialAgent, other: SocialAgent) -> float:
        """Weight of the link by which an agent hears another; see :mod:`sandbox.society.neighborhood`."""
        return float(self.space.weight(agent, other))

    def node(self, agent: SocialAgent) -> Mapping[str, Any]:
        """Attributes of the node on which an agent is, as the network's file has them; empty elsewhere."""
        return self.space.node(agent)

    def interaction(self, agent: SocialAgent, question: str, **fields: Any) -> Interaction:
        """Record of a conversation in this round; see :meth:`sandbox.society.context.SocietyContext.interaction`."""
        about = {"round": self.round, "agent": agent.index, "label": agent.label, "protocol": self.protocol_name}
        return Interaction(question=question, **{**about, **fields})

    def max_calls_of(self, agent: SocialAgent) -> int:
        """Most calls to language models of an agent's conversation, or its group's, as the protocol declares it."""
        return self.setup.max_calls(self.groups.get(agent.index, agent), self)

    def expected_calls(self, rounds: int) -> int:
        """Most calls to language models that ``rounds`` rounds make, estimated from a sample of the agents."""
        some = (asked := self.active_agents())[:: max(1, len(asked) // 500)]
        return round(rounds * len(asked) * sum(map(self.max_calls_of, some)) / max(1, len(some)))

    def survey(self, questions: Any, **settings: Any) -> Any:
        """Let every agent answer questions, as it is after the last complete round: see :meth:`sandbox.Run.survey`."""
        models = dict(self.setup.models)
        settings = {"scenario": self.scenario, "model": models.get("", models), "at": self.round} | settings
        return open_run(self.path).survey(questions, **settings)

    def social_graph(self) -> nx.DiGraph[int]:
        """Graph of the reviews so far; see :func:`sandbox.metrics.social_graph.social_graph`."""
        return open_run(self.path).social_graph()

    def close(self) -> None:
        """Close the run folder, so that other processes may write to it, and end the copies of models."""
        for part in (self.round_runner, self.store, self.setup.pool):
            part.close()
        release(self)
