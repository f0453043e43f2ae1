"""A society as an environment of verifiers, from a module that it finds by name: ``pip install -e '.[verifiers]'``.

    # society.py, then: PYTHONPATH=. vf-eval society --model NAME
    Prisoners = make_taskset(SocietyEnv("prisoners", learner=0, others="smollm2", rounds=5), seeds=range(100))
    __all__ = ["Prisoners", "SocietyGame", "SocietyHarness"]

A task is the seed of an episode. The model is asked for one action at a time, with the very messages that the society sends: in
the trace of an episode, each prompt is a branch, which a trainer takes as a sample. With ``--env.conversation`` they are turns
of one conversation instead.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, ClassVar, TypeVar

from sandbox.environment.environment import SocietyEnv
from sandbox.environment.episode import Observation
from sandbox.environment.one_by_one import OneByOne
from sandbox.errors import SettingsError, ToolNotFound, require_packages

require_packages("an environment of verifiers", "verifiers")
if [int(part) for part in re.findall(r"\d+", version("verifiers"))[:2]] < [0, 4]:
    raise ToolNotFound(
        f"an environment of verifiers needs verifiers 0.4, and {version('verifiers')} is installed. Install with: pip install "
        "'social-sandbox[verifiers]'"
    )

import verifiers.v1 as vf  # noqa: E402
from openai import AsyncOpenAI  # noqa: E402
from pydantic import Field  # noqa: E402

_T = TypeVar("_T")


class SocietyData(vf.TaskData):
    """A task: the seed of the society."""

    seed: int


class SocietyState(vf.State):
    """What the harness is told with each turn.

    Attributes:
        fields: Fields of the request, besides its messages.
        conversation: Whether the request continues a conversation.
    """

    fields: dict[str, Any] = Field(default_factory=dict)
    conversation: bool = False


class SocietyTask(vf.Task[SocietyData, SocietyState]):
    """Rewards and metrics of an episode, which is ``trace.info["episode"]``."""

    @vf.reward
    async def reward(self, trace: vf.Trace) -> dict[str, float]:
        """The return, by the name of the reward: the sum over its rounds and the learner's agents."""
        return {trace.info["reward"]: trace.info["episode"]["total"]}

    @vf.metric
    async def metrics(self, trace: vf.Trace) -> dict[str, float]:
        """The sums of the scenario's other rewards, by name, and the numbers of complete rounds and of actions."""
        episode = trace.info["episode"]
        others = {name: total for name, total in episode["totals"].items() if name != trace.info["reward"]}
        return {**others, "rounds": episode["rounds"], "actions": len(episode["turns"])}


class SocietyTaskset(vf.Taskset[SocietyTask, vf.TasksetConfig]):
    """The seeds of a society's episodes; :func:`make_taskset` makes one.

    Attributes:
        society: The environment that is played.
        seeds: Seeds of its episodes.
    """

    society: ClassVar[SocietyEnv]
    seeds: ClassVar[Sequence[int]]

    def load(self) -> Iterator[SocietyTask]:
        """A task for each seed.

        Raises:
            SettingsError: a system prompt is given.
        """
        if self.system_prompt is not None:
            raise SettingsError(
                "taskset.system_prompt is given, and a society writes the system messages of its agents itself; leave it out, "
                "and give the SocietyEnv prompts, roles or personas instead"
            )
        name = getattr(self.society.scenario, "name", self.society.scenario)
        for seed in self.seeds:
            yield SocietyTask(SocietyData(name=f"{name}, seed {seed}", seed=seed), self.config.task)


def make_taskset(env: SocietyEnv, *, seeds: Sequence[int] = range(100)) -> type[SocietyTaskset]:
    """Make the class of a taskset, for the ``__all__`` of a module.

    Args:
        env: The environment; each episode plays a copy of it.
        seeds: Seeds of the episodes, one a task. Rollouts of the same task play societies with the same seed.

    Raises:
        SettingsError: there are no seeds.
    """
    if not len(seeds):
        raise SettingsError("seeds is empty; give the seed of at least one episode, for example seeds=range(100)")
    return type("SocietyTaskset", (SocietyTaskset,), {"society": env, "seeds": seeds})


class _Session(vf.HarnessSession):
    """The requests of one episode."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # How long to wait for a reply is verifiers' to say.
        self._client = AsyncOpenAI(base_url=self.endpoint, api_key=self.secret, timeout=None)

    async def _run(self, messages: vf.Messages | None) -> vf.ProgramResult:
        if messages is None:
            return await super()._run(messages)
        if self.trace.state.conversation and self.trace.branches:
            said = self.trace.branches[-1].messages
            known = {one.content for one in said if one.role == "system"}
            messages = [*said, *(one for one in messages if one.role != "system" or one.content not in known)]
        asked: Any = [{"role": one.role, "content": one.content} for one in messages]
        await self._client.chat.completions.create(model=self.ctx.model, messages=asked, **self.trace.state.fields)
        return vf.ProgramResult(0, "", "")

    async def close(self) -> None:
        await super().close()
        await self._client.close()


class SocietyHarness(vf.Harness[vf.HarnessConfig]):
    """Asks the model for one reply a turn, in this process: there is no program to install or to start."""

    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def session(self, *args: Any, **options: Any) -> vf.HarnessSession:
        """Begin an episode."""
        return _Session(self, *args, **options)

    async def launch(self, *args: Any, **options: Any) -> vf.ProgramResult:
        """Refuse a task that is no society.

        Raises:
            SettingsError: always.
        """
        raise SettingsError(
            "SocietyHarness answers the prompts of a society, and this task has a prompt of its own; leave out "
            "--env.agent.harness.id, or play a taskset of make_taskset with SocietyGame"
        )


class SocietyGameConfig(vf.EnvConfig):
    """Settings of :class:`SocietyGame`, as ``--env.conversation``.

    Attributes:
        agent: The learner.
        conversation: Whether the prompts of an episode are the turns of one conversation; by default, each is asked by itself.
    """

    agent: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    conversation: bool = False


class SocietyGame(vf.Env[SocietyGameConfig]):
    """Plays episodes of a society.

    Raises:
        SettingsError: the taskset is no society; or one conversation would have several speakers.
    """

    def __init__(self, config: SocietyGameConfig) -> None:
        super().__init__(config)
        if not isinstance(self.taskset, SocietyTaskset):
            raise SettingsError(
                f"taskset {config.taskset.id!r} is a {type(self.taskset).__name__}, and SocietyGame plays societies; "
                "export one that make_taskset has made"
            )
        learner = self.taskset.society.learner
        if config.conversation and not isinstance(learner, int):
            who = "all agents learn" if learner is None else f"learner={learner!r} may be several agents"
            raise SettingsError(
                f"{who}, and conversation=True is the conversation of one; give learner=INDEX, or leave conversation out: each "
                "prompt is then asked by itself, whoever speaks"
            )
        # A run folder is written by the thread that opened it, and models of other agents are asked by one thread at a time.
        self._thread = ThreadPoolExecutor(1, "society")

    async def run(self, task: SocietyTask, agents: vf.Agents) -> None:
        """Play an episode; that which a limit of verifiers ends early has the rewards of its complete rounds."""
        game = OneByOne(self.taskset.society)
        try:
            async with agents.agent.interaction(task) as talk:
                one = await self._in_thread(game.reset, task.data.seed)
                talk.trace.state.conversation = self.config.conversation
                while one is not None:
                    talk.trace.state.fields = _fields(one)
                    said = await talk.turn(one.messages)
                    if said.terminated:
                        break
                    await self._in_thread(game.step, said.last_reply)
                    one = game.observation
                episode = await self._in_thread(lambda: game.episode.as_dict())
                talk.trace.info.update(reward=self.taskset.society.reward, episode=episode)
        finally:
            self._thread.submit(game.close)

    async def _in_thread(self, function: Callable[..., _T], *given: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *given)


def _fields(one: Observation) -> dict[str, Any]:
    """How the society samples, unless verifiers is told otherwise. Without its seed: rollouts of a task are to differ."""
    asked = one.request
    fields: dict[str, Any] = {"max_tokens": asked.max_tokens, "temperature": asked.temperature, "top_p": asked.top_p}
    return {**fields, "stop": [*asked.stop]} if asked.stop else fields
