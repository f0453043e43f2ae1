"""SocietyEnv: a society as an environment for reinforcement learning, stepped action by action or by whole episodes.

The society runs on its own engine: see :mod:`sandbox.environment.learner` for how it is paused. Knows no trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sandbox.conversation.steps import Paused
from sandbox.environment.episode import Episode, Observation
from sandbox.environment.learner import Action, Learner
from sandbox.environment.rewards import EpisodeRecord
from sandbox.errors import ScenarioError, SettingsError, nearest
from sandbox.folders import next_free_name
from sandbox.models.base import LanguageModel
from sandbox.models.catalog import load_model
from sandbox.scenario.reward import Reward
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng
from sandbox.society.setup import resolve_settings
from sandbox.world import World

Model = str | LanguageModel
Policy: TypeAlias = "LanguageModel | Callable[[Observation], Action]"
Step: TypeAlias = tuple[list[Observation], dict[int, float], bool, bool, dict[str, Any]]


class SocietyEnv:
    """A society in which one learner acts, and everyone else is a model that does not learn.

    The interface follows Gymnasium, and PettingZoo's parallel environments where several agents share the learner: all
    observations that can be answered at the same time are returned together.

    Args:
        scenario: A name, a path, ``module:object`` or a :class:`~sandbox.scenario.scenario.Scenario`, with a reward.
        learner: Who learns: the index of an agent, or a label, whose agents share the learner; None for all agents.
        others: Language model of the other agents: a URI or a language model, for example ``scripted:``.
        league: Models of the other agents, of which each episode draws one by its seed, in place of ``others``: for example
            the learner's earlier selves.
        reward: Name of the scenario's reward; by default its first.
        rounds: Length of an episode, in rounds.
        failed_reward: Reward of a round in which the agent's conversation failed, for example because its reply could not be
            read; by default there is none, and nothing is learnt from the round.
        out: Folder that keeps the run folder of each episode; by default they are temporary.
        uri: URI of the learner in the record.
        **settings: Further settings of :class:`~sandbox.world.World`, for example ``size=3`` or ``observer="scripted:"``.

    Attributes:
        reward: Name of the reward.
        world: The society of the running episode, or of the last one; None before the first.
        agents: Indices of the learner's agents.

    Raises:
        ScenarioError: the scenario has no reward.
        SettingsError: a setting is invalid.
    """

    def __init__(
        self,
        scenario: str | Scenario,
        *,
        learner: int | str | None = None,
        others: Model | None = None,
        league: Sequence[Model] = (),
        reward: str | None = None,
        rounds: int = 1,
        failed_reward: float | None = None,
        out: str | Path | None = None,
        uri: str = "learner:",
        **settings: Any,
    ) -> None:
        if rounds < 1:
            raise SettingsError(f"rounds={rounds} must be at least 1")
        if learner is not None and others is None and not league:
            raise SettingsError(
                f"learner={learner!r} leaves other agents without a language model; give others='scripted:', or a URI, "
                "or league"
            )
        if others is not None and league:
            raise SettingsError("others and league are given; give the models of the other agents in one of them")
        own = {name: value for name, value in settings.items() if "." not in name and name not in _OF_WORLD}
        _, found, _ = resolve_settings(scenario, settings.get("size"), own)
        self.reward, self._reward = _find_reward(found, reward)
        self.scenario, self.learner, self.rounds = scenario, learner, rounds
        self._league: list[Model] = [*league] or ([] if others is None else [others])
        self._loaded: dict[Model, LanguageModel] = {}  # models are kept while the environment is
        self._failed, self._out, self._uri, self._settings = failed_reward, out, uri, settings
        self.world: World | None = None
        self.agents: tuple[int, ...] = ()
        self._model = Learner(uri)
        self._record = EpisodeRecord(0)
        self._is_over = True

    def reset(self, seed: int = 0) -> list[Observation]:
        """Begin an episode, and return the first observations, by agent.

        Args:
            seed: Seed of the society, and of the draw from the league.

        Raises:
            SandboxError: the society cannot be set up, or failed.
        """
        self.close()
        self._model = Learner(self._uri)
        others, name = self._draw_others(seed), _key_of(self.learner)
        out = None
        if self._out is not None:
            Path(self._out).mkdir(parents=True, exist_ok=True)
            out = next_free_name(Path(self._out), f"seed-{seed}")
        model: Any = self._model if self.learner is None else {"": others, name: self._model}
        watched: dict[str, Any] = {} if others is None or "observer" in self._settings else {"observer": others}
        self.world = world = World(self.scenario, model=model, seed=seed, out=out, **watched, **self._settings)
        self.agents = tuple(agent.index for agent in world.members if agent.lm is self._model)
        if not self.agents:
            labels = sorted({agent.label for agent in world.members})
            known = f"labels are {', '.join(labels)}; agents are numbered from 0 to {len(world.members) - 1}"
            self.close()
            raise SettingsError(f"no agent is learner={self.learner!r}: {known}.{nearest(str(self.learner), labels)}")
        discount = self._reward.discount
        opponents = () if others is None or self.learner is None else (getattr(others, "uri", str(others)),)
        self._record = EpisodeRecord(seed, opponents, self.agents, self.reward, discount, self._failed)
        self._is_over = False
        observations, _ = self._advance()
        return observations

    def step(self, actions: Sequence[Action] | Mapping[str, Action]) -> Step:
        """Answer all observations, and run the society until the learner is asked again or the episode ends.

        Args:
            actions: One text for each observation, in their order; or by their keys. A
                :class:`~sandbox.models.base.Reply` is taken as it is, with its probabilities of the choices.

        Returns:
            The next observations; the rewards of the rounds that ended, by agent; whether the scenario's stop condition ended
            the episode (terminated); whether its length did, or a cap on calls (truncated); and ``round``, ``rewards``
            (those of each round that ended, by agent; None where there was none) and, at the end, ``episode``.

        Raises:
            SettingsError: there is no running episode, or the actions do not fit the observations.
            SandboxError: the society failed.
        """
        if self._is_over or self.world is None:
            raise SettingsError("no episode is running; begin one with reset(seed)")
        if isinstance(actions, Mapping):
            keys = [one.key for one in self._model.waiting]
            if unknown := [key for key in actions if key not in keys]:
                raise SettingsError(f"no observation has the key {unknown[0]!r}; keys are {', '.join(keys)}")
            actions = [actions[key] for key in keys if key in actions]
        for observation, reply in self._model.take(actions):
            self._record.add(observation, reply)
        self.world.reload_from_record()
        observations, ended = self._advance()
        rewards = {
            a: sum(one[a] or 0.0 for one in ended if a in one) for a in self.agents if any(a in o for o in ended)
        }
        terminated = self._is_over and self.world.ended
        truncated = self._is_over and not terminated
        infos: dict[str, Any] = {"round": self.world.round, "rewards": ended}
        if self._is_over:
            infos["episode"] = self.episode
        return observations, rewards, terminated, truncated, infos

    def _advance(self) -> tuple[list[Observation], list[dict[int, float | None]]]:
        """Run rounds until the learner is asked or the episode ends: observations, and rewards of the rounds that ended."""
        world, ended = self.world, []
        assert world is not None  # for mypy
        try:
            while world.round < self.rounds and world.running:
                before = world.round
                world.step()
                if world.round > before:
                    ended.append(self._record.end_round(before, world.previous))
                    self._model.forget()
        except Paused:
            return list(self._model.waiting), ended
        except BaseException:
            self.close()
            raise
        self._is_over = True
        self._record.finish(world.round, terminated=world.ended)
        world.close()
        return [], ended

    @property
    def episode(self) -> Episode:
        """The episode so far; rewards and credits are known from the end of each round on."""
        return self._record.episode()

    def rollout(
        self, policy: Policy, episodes: int = 1, seed: int = 0, *, seeds: Sequence[int] = (), concurrent: int = 8
    ) -> list[Episode]:
        """Play whole episodes.

        Args:
            policy: A function of an observation that returns an action; or a language model, which receives the requests of all
                concurrent episodes in one batch.
            episodes: Number of episodes.
            seed: Seed of the first; the others have the numbers that follow.
            seeds: Seeds of the episodes, in place of ``episodes`` and ``seed``.
            concurrent: Number of episodes that are played at a time; results do not depend on it.
        """
        numbers = list(seeds) or list(range(seed, seed + episodes))
        played: list[Episode] = []
        for start in range(0, len(numbers), max(1, concurrent)):
            played += self._play(policy, numbers[start : start + max(1, concurrent)])
        return played

    def _play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
        """Play some episodes in lockstep."""
        copies = [self, *(self.copy() for _ in seeds[1:])]
        try:
            waiting = [env.reset(seed) for env, seed in zip(copies, seeds, strict=True)]
            while any(waiting):
                actions = iter(_act(policy, [one for observed in waiting for one in observed]))
                given = [[next(actions) for _ in observed] for observed in waiting]
                waiting = [env.step(own)[0] if own else [] for env, own in zip(copies, given, strict=True)]
            return [env.episode for env in copies]
        finally:
            for env in copies[1:]:
                env.close()

    def copy(self) -> SocietyEnv:
        """A further environment with the same settings and models, without a running episode."""
        made = object.__new__(type(self))
        made.__dict__ = {**self.__dict__, "world": None, "agents": (), "_is_over": True}
        made._model, made._record = Learner(self._uri), EpisodeRecord(0)
        return made

    def close(self) -> None:
        """Abandon the running episode, if any; what was said in it stays in its record."""
        self._is_over = True
        self._model.waiting = []
        if self.world is not None:
            self.world.close()

    def __enter__(self) -> SocietyEnv:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _draw_others(self, seed: int) -> Model | None:
        if not self._league:
            return None
        drawn = self._league[0] if len(self._league) == 1 else keyed_rng(seed, "league").choice(self._league)
        of_models = any(name.startswith("model.") for name in self._settings)
        if isinstance(drawn, str) and not of_models:
            self._loaded.setdefault(drawn, load_model(drawn))
        return drawn


# Arguments of a world that are no settings of the society.
_OF_WORLD = ("observer", "rater", "size", "population", "protocol", "event", "event_to", "in_flight", "max_calls",
             "max_tokens_total", "max_cost", "replicas", "engine", "command")  # fmt: skip


def _key_of(learner: int | str | None) -> str:
    return f"agent:{learner}" if isinstance(learner, int) else str(learner)


def _find_reward(scenario: Scenario, name: str | None) -> tuple[str, Reward]:
    """The reward that is learnt from.

    Raises:
        ScenarioError: the scenario has none.
        SettingsError: it has none of that name.
    """
    if not scenario.rewards:
        raise ScenarioError(
            f"scenario {scenario.name!r} has no reward, which an environment needs: give it Scenario(reward=function), a "
            "function of (interaction, world) that returns a number (docs/own_scenario.md#rewards). Included scenarios with "
            "rewards: prisoners and public_goods, for example"
        )
    chosen = next(iter(scenario.rewards)) if name is None else name
    if chosen not in scenario.rewards:
        raise SettingsError(
            f"scenario {scenario.name!r} has no reward {chosen!r}.{nearest(chosen, scenario.rewards)} Rewards: "
            f"{', '.join(scenario.rewards)}"
        )
    return chosen, scenario.rewards[chosen]


def _act(policy: Policy, observations: Sequence[Observation]) -> Sequence[Action]:
    if hasattr(policy, "generate"):
        return policy.generate([one.request for one in observations])
    return [policy(one) for one in observations]
