"""A society as an environment of one observation at a time, for interfaces that know no others."""

from __future__ import annotations

from sandbox.environment.environment import SocietyEnv
from sandbox.environment.episode import Episode, Observation


class OneByOne:
    """Asks for the actions of :class:`SocietyEnv` one after the other, in the order of its observations.

    Args:
        env: The environment; a copy of it is played.

    Attributes:
        observation: What is to be answered; None before the first and after the last observation of an episode.
    """

    def __init__(self, env: SocietyEnv) -> None:
        self._env = env.copy()
        self._waiting: list[Observation] = []
        self._actions: list[str] = []
        self.observation: Observation | None = None

    def reset(self, seed: int = 0) -> Observation | None:
        """Begin an episode, and return its first observation; None if nobody is asked in it."""
        return self._ask(self._env.reset(seed))

    def step(self, action: str) -> float | None:
        """Answer the observation.

        Returns:
            The sum of the rewards of the rounds that ended with it, over the learner's agents; None if none ended.

        Raises:
            SettingsError: no episode is running.
        """
        self._actions.append(action)
        if len(self._actions) < len(self._waiting):
            self.observation = self._waiting[len(self._actions)]
            return None
        observations, rewards, *_ = self._env.step(self._actions)
        self._ask(observations)
        return sum(rewards.values()) if rewards else None

    def _ask(self, observations: list[Observation]) -> Observation | None:
        self._waiting, self._actions = observations, []
        self.observation = observations[0] if observations else None
        return self.observation

    @property
    def episode(self) -> Episode:
        """The episode so far."""
        return self._env.episode

    def close(self) -> None:
        """Abandon the running episode."""
        self._env.close()
        self._ask([])
