"""A society as an environment of OpenEnv, served over HTTP and WebSockets: ``pip install -e '.[openenv]'``.

    app = make_app(SocietyEnv("prisoners", learner=0, others="smollm2", rounds=5))   # then: uvicorn module:app

Each session of a client plays its own episodes. Observations are asked for one at a time.
"""

from __future__ import annotations

import functools
from typing import Any

from sandbox.environment.environment import SocietyEnv
from sandbox.environment.one_by_one import OneByOne
from sandbox.errors import require_packages

require_packages("the server of an environment", "openenv")

from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app  # noqa: E402
from pydantic import Field  # noqa: E402


class SocietyAction(Action):
    """An action: the text that answers the observation."""

    text: str


class SocietyObservation(Observation):
    """An observation, as :meth:`sandbox.environment.episode.Observation.as_dict` describes it; empty at the end.

    ``reward`` is the sum of the rewards of the rounds that ended with the last action, over the learner's agents. At the end,
    ``metadata["episode"]`` is the whole episode.
    """

    messages: list[dict[str, str]] = Field(default_factory=list)
    choices: list[str] = Field(default_factory=list)
    prefix: str = ""
    agent: int | None = None
    round: int | None = None
    purpose: str = ""


class SocietyEnvironment(Environment[SocietyAction, SocietyObservation, State]):
    """An environment of OpenEnv, for one session.

    Args:
        env: The society; a copy of it is played.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True
    REQUIRES_SINGLE_THREAD_EXECUTOR = True  # a run folder is written by the thread that opened it

    def __init__(self, env: SocietyEnv) -> None:
        super().__init__()
        self._env, self._state = OneByOne(env), State()

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> SocietyObservation:
        """Begin an episode; without a seed, that of seed 0."""
        del kwargs
        self._env.reset(0 if seed is None else seed)
        self._state = State(episode_id=episode_id or f"seed-{seed or 0}", step_count=0)
        return self._observed(None)

    def step(self, action: SocietyAction, timeout_s: float | None = None, **kwargs: Any) -> SocietyObservation:
        """Answer the observation, and return the next."""
        del timeout_s, kwargs
        reward = self._env.step(action.text)
        self._state.step_count += 1
        return self._observed(reward)

    @property
    def state(self) -> State:
        """Identity of the episode, and number of actions in it."""
        return self._state

    def close(self) -> None:
        """Abandon the running episode."""
        self._env.close()

    def _observed(self, reward: float | None) -> SocietyObservation:
        one = self._env.observation
        if one is None:
            return SocietyObservation(done=True, reward=reward, metadata={"episode": self._env.episode.as_dict()})
        return SocietyObservation(
            reward=reward, messages=one.messages, choices=[*one.choices], prefix=one.request.prefix, agent=one.agent,
            round=one.round, purpose=one.purpose,
        )  # fmt: skip


def make_app(env: SocietyEnv, *, sessions: int = 8) -> Any:
    """Make the server's application, a FastAPI app.

    Args:
        env: The environment.
        sessions: Maximum number of concurrent sessions.
    """
    factory = functools.partial(SocietyEnvironment, env)
    return create_fastapi_app(factory, SocietyAction, SocietyObservation, max_concurrent_envs=sessions)
