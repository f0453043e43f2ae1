"""Chat with a language model, alone or in the role of an agent of a run with its memory."""

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
    """The role that a language model plays in a chat.

    Attributes:
        name: Name shown before its replies.
        system: System prompt; empty for none.
        recall: Returns the remembered (question, answer) nearest to a question, if near enough.
        message: Returns the message for a question and what is recalled for it.
    """

    name: str
    system: str
    recall: Callable[[str], tuple[str, str] | None]
    message: Callable[[str, tuple[str, str] | None], str]


def plain_role(system: str = "") -> Role:
    """The role of a model that answers as itself."""
    return Role("", system, lambda _: None, lambda text, _: text)


def agent_role(run: Run, agent: int, *, scenario: Scenario | None = None, system: str = "") -> Role:
    """The role of an agent at the end of a run: its name, its upbringing, and its own answers.

    Args:
        run: The run.
        agent: Index of the agent.
        scenario: Scenario of the run; by default the installed one of that name.
        system: System prompt in place of the agent's own.

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
    states = {"state": run.state(agent), "world_state": run.state()}

    def message(text: str, found: tuple[str, str] | None) -> str:
        recalled = "" if found is None else prompts.recalled.format(question=found[0], answer=found[1])
        return prompts.answer.format(recalled=recalled, heard="", question=text, **states)

    name = str(row["name"])
    persona = persona_text(about.roles.get(str(row["label"]), ""), about.personas, run.personas()[agent])
    whole = system or prompts.answer_system.format(name=name, persona=persona, **states)
    return Role(name, whole, lambda q: memory.recall(q, within=within), message)


class ChatSession:
    """A chat with a language model; each turn includes the earlier ones.

    Args:
        model: The language model.
        role: Its role.
        max_tokens: Maximum length of a reply.
        temperature: Sampling temperature; 0 is greedy decoding.
        seed: Seed of the replies.

    Attributes:
        recalled: The (question, answer) recalled at the last turn, if any.
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
        """Send a message and return the reply; a failed turn is dropped from the chat."""
        self.recalled = self._role.recall(text)
        asked = Message("user", self._role.message(text, self.recalled))
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
