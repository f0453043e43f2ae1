"""The interface of a world that agents, protocols and scenario functions read.

A protocol, and a scenario's ``ask``, ``move``, ``stop`` and ``measures``, may use what :class:`SocietyContext` lists and
nothing else of the world. Knows no Mesa model: :class:`~sandbox.world.World` satisfies it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sandbox.models.base import LanguageModel
    from sandbox.raters.base import Rater
    from sandbox.records import Interaction
    from sandbox.scenario.rubric import Upbringing
    from sandbox.scenario.scenario import Scenario
    from sandbox.scenario.settings import SocietySettings
    from sandbox.society.agent import SocialAgent
    from sandbox.society.memory import QuestionIndex
    from sandbox.society.observer import Observer


class SocietyContext(Protocol):
    """What others may read of a world.

    Attributes:
        metrics: Measures of the last complete round, by name.
    """

    metrics: dict[str, Any]

    @property
    def scenario(self) -> Scenario:
        """The scenario of the run."""
        ...

    @property
    def society(self) -> SocietySettings:
        """Settings of the society."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the random streams of rounds."""
        ...

    @property
    def birth_seed(self) -> int:
        """Seed of what agents begin with: places, personas, upbringing. That of the first run, in a branch."""
        ...

    @property
    def round(self) -> int:
        """The running round, or the next one between rounds; from 0."""
        ...

    @property
    def members(self) -> Sequence[SocialAgent]:
        """The agents, by index."""
        ...

    @property
    def space(self) -> Any:
        """The grid or network; see :mod:`sandbox.society.space`."""
        ...

    @property
    def rater(self) -> Rater:
        """Rater used by neighbours."""
        ...

    @property
    def observer(self) -> Observer:
        """Scores answers on every dimension of the rubric."""
        ...

    @property
    def questions(self) -> QuestionIndex:
        """Embeddings of the questions that were asked or remembered."""
        ...

    @property
    def upbringing(self) -> Mapping[str, Sequence[Upbringing]]:
        """For each label, the answers that its agents may begin with."""
        ...

    @property
    def lessons(self) -> Mapping[str, Sequence[Upbringing]]:
        """For each label, the labelled answers from which the ``values`` rater learns."""
        ...

    @property
    def previous(self) -> Mapping[int, Interaction]:
        """Interactions of the round before, by agent."""
        ...

    @property
    def protocol_name(self) -> str:
        """Name of the protocol."""
        ...

    def audience(self, agent: SocialAgent) -> list[SocialAgent]:
        """Agents who review the agent's draft this round."""
        ...


class EngineContext(SocietyContext, Protocol):
    """What the engine's own modules use of a world besides; not for protocols or scenarios.

    Attributes:
        on_calls: Callback, receives the number of calls to language models that finished.
        notes: Warnings for the manifest.
    """

    notes: list[str]

    @property
    def on_calls(self) -> Callable[[int], None]:
        """Callback, receives the number of calls to language models that finished."""
        ...

    @property
    def protocol(self) -> Callable[..., Any]:
        """The protocol: a generator function of (agent, question, world)."""
        ...

    @property
    def path(self) -> Path:
        """The run folder."""
        ...

    @property
    def size(self) -> int:
        """Side of the grid."""
        ...

    @property
    def population(self) -> Any:
        """Labels of the agents, as asked for; see :mod:`sandbox.scenario.population`."""
        ...

    @property
    def origin(self) -> Any:
        """Agents taken over from the run that is resumed or branched from; see :mod:`sandbox.society.setup`."""
        ...

    @property
    def embedder(self) -> Any:
        """Embeds questions and answers."""
        ...

    @property
    def voices(self) -> Any:
        """The language models, each loaded once; see :mod:`sandbox.models.pool`."""
        ...

    @property
    def observer_lm(self) -> LanguageModel:
        """Language model of the observers."""
        ...

    @property
    def rater_names(self) -> Mapping[str, str]:
        """Names of the raters of neighbours and observers."""
        ...

    @property
    def observer_rater_name(self) -> str | None:
        """Name of the observers' rater where it is another than the neighbours'."""
        ...

    def calls_of(self, agent: SocialAgent) -> int:
        """Calls to language models that a conversation around the agent makes at most."""
        ...
