"""A conversation with a language model, alone or in the role of an agent of a run, with what that agent remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.embedders.base import load_embedder
from sandbox.errors import SettingsError
from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.scenario.loading import load_scenario
from sandbox.scenario.personas import persona_text
from sandbox.scenario.scenario import Scenario
from sandbox.seeding import keyed_rng, keyed_seed
from sandbox.society.memory import Memory, QuestionIndex
from sandbox.store.run import Run


@dataclass(frozen=True)
class Role:
    """Who a language model speaks as.

    Attributes:
        name: What it is called.
        system: What it is told of itself; empty for nothing.
        recall: The remembered (question, answer) nearest to what is asked, if near enough.
        told: What is said to it instead of a question, given what it recalls.
    """

    name: str
    system: str
    recall: Callable[[str], tuple[str, str] | None]
    told: Callable[[str, tuple[str, str] | None], str]


def plain_role(system: str = "") -> Role:
    """The role of a model that speaks for itself."""
    return Role("", system, lambda _: None, lambda text, _: text)


def agent_role(run: Run, agent: int, *, scenario: Scenario | None = None, system: str = "") -> Role:
    """The role of an agent as a run left it: its name, its upbringing, and its own answers.

    Args:
        run: The run.
        agent: Its index.
        scenario: What the run was about; by default the installed one of that name.
        system: Something else that it is told of itself.

    Raises:
        SettingsError: the run has no such agent.
        UnknownPlugin: the scenario is not installed.
    """
    rows = run.agents().set_index("agent")
    if agent not in rows.index:
        raise SettingsError(f"{run.path} has no agent {agent}; its agents are 0 to {len(rows) - 1}")
    manifest, row = run.manifest, rows.loc[agent]
    about = scenario or load_scenario(manifest["scenario"], {})
    source = about.upbringing.get(str(row["label"]), ())
    n = min(manifest["settings"]["prior_memories"], len(source))
    born = keyed_rng(manifest.get("birth_seed", manifest["seed"]), "upbringing", agent).sample(list(source), n)
    memory = Memory(QuestionIndex(load_embedder(manifest["embedder"])), [(p.question, p.answer) for p in born])
    for question, answer in run.memories(agent):
        memory.remember(question, answer)
    within = manifest["settings"]["recall_distance"]
    prompts = about.prompts

    def told(text: str, found: tuple[str, str] | None) -> str:
        recalled = "" if found is None else prompts.recalled.format(question=found[0], answer=found[1])
        return prompts.answer.format(recalled=recalled, heard="", question=text)

    name = str(row["name"])
    persona = persona_text(about.roles.get(str(row["label"]), ""), about.personas, run.personas()[agent])
    whole = system or prompts.answer_system.format(name=name, persona=persona)
    return Role(name, whole, lambda q: memory.recall(q, within=within), told)


class ChatSession:
    """Turns with a language model, each of which knows those before it.

    Args:
        model: Who answers.
        role: Who it speaks as.
        max_tokens: Length of a reply at most.
        temperature: 0 takes the likeliest token.
        seed: Keys the replies; each turn has its own.

    Attributes:
        recalled: What it remembered at the last turn, if anything.
    """

    def __init__(
        self, model: LanguageModel, role: Role, *, max_tokens: int = 256, temperature: float = 0.7, seed: int = 0
    ) -> None:
        if max_tokens < 1 or temperature < 0:
            raise SettingsError(f"max_tokens={max_tokens} must be at least 1, and temperature={temperature} 0 or more")
        self._model, self._role = model, role
        self._max_tokens, self._temperature, self._seed = max_tokens, temperature, seed
        self._turns: list[Message] = [Message("system", role.system)] if role.system else []
        self._asked = 0
        self.recalled: tuple[str, str] | None = None

    def say(self, text: str) -> Reply:
        """Say something, and give the answer; a turn that failed leaves no trace."""
        self.recalled = self._role.recall(text)
        asked = Message("user", self._role.told(text, self.recalled))
        self._asked += 1
        request = Request(
            (*self._turns, asked),
            self._max_tokens,
            self._temperature,
            top_p=0.95,
            seed=keyed_seed(self._seed, "chat", self._asked),
        )
        [reply] = self._model.generate([request])
        if reply.error is None:
            self._turns += [asked, Message("assistant", reply.text)]
        return reply
