"""A society as an environment whose actions are calls of a tool, the form that ``GRPOTrainer`` of TRL takes as a factory.

    trainer = GRPOTrainer(model, environment_factory=ToolEnvironments(env), train_dataset=prompts, ...)

The trainer calls ``reset`` before each completion, lets the model call :meth:`ToolEnvironment.answer` until it stops, and rates
the completion by ``get_reward``. The model must have a chat template with tools. Knows nothing of TRL.
"""

from __future__ import annotations

from typing import Any

from sandbox.environment.environment import SocietyEnv
from sandbox.environment.episode import Observation
from sandbox.environment.one_by_one import OneByOne

_OVER = "The episode is over."


class ToolEnvironments:
    """A factory of environments with a tool.

    Args:
        env: The environment; each one that is made plays a copy of it.
    """

    def __init__(self, env: SocietyEnv) -> None:
        self._env = env

    def __call__(self) -> ToolEnvironment:
        """Make an environment."""
        return ToolEnvironment(self._env)


class ToolEnvironment:
    """An environment with the tool :meth:`answer`.

    Args:
        env: The environment; a copy of it is played.
    """

    def __init__(self, env: SocietyEnv) -> None:
        self._one_by_one = OneByOne(env)
        self._reward = 0.0

    def reset(self, seed: int = 0, **row: Any) -> str:
        """Begin an episode, and return what is asked first.

        Args:
            seed: Seed of the society: the column ``seed`` of the data set.
            **row: Further columns, which are not used.
        """
        del row
        self._reward = 0.0
        self._one_by_one.reset(int(seed))
        return f"\n\n{self._asked()}"

    def answer(self, text: str) -> str:
        """Answer what was asked last.

        Args:
            text: The answer.

        Returns:
            What is asked next, or that the episode is over.
        """
        if self._one_by_one.observation is None:
            return _OVER
        self._reward += self._one_by_one.step(text) or 0.0
        return self._asked()

    def get_reward(self) -> float:
        """Return the sum of the rewards of the rounds that have ended."""
        return self._reward

    def _asked(self) -> str:
        one = self._one_by_one.observation
        return _OVER if one is None else _told(one)


def _told(one: Observation) -> str:
    """What is asked, without roles; it ends with the choices, if there are any, which prompts name already."""
    return "\n\n".join(message["content"] for message in one.messages)
