"""Chat with a language model, alone or in the role of an agent of a run with its memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.embedders.base import load_embedder
from sandbox.errors import SettingsError
from sandbox.memories.base import UPBRINGING, Item, Owner, Recollection, load_memory
from sandbox.memories.text_index import TextIndex
from sandbox.models.base import LanguageModel, Message, Reply, Request
from sandbox.scenario.loading import load_scenario_of_run
from sandbox.scenario.personas import persona_text
from sandbox.scenario.scenario import Scenario
from sandbox.scenario.settings import SocietySettings
from sandbox.seeding import keyed_rng, keyed_seed
from sandbox.society.agent_names import find_agent
from sandbox.society.event import sentences
from sandbox.society.remembering import items_of_round, notes_of
from sandbox.store.run import Run


@dataclass(frozen=True)
class Role:
    """The role that a language model plays in a chat.

    Attributes:
        name: Name shown before its replies.
        system: System prompt; empty for none.
        recall: Returns what is recalled for a question, if anything.
        message: Returns the message for a question and what is recalled for it.
    """

    name: str
    system: str
    recall: Callable[[str], Recollection | None]
    message: Callable[[str, Recollection | None], str]


def plain_role(system: str = "") -> Role:
    """The role of a model that answers as itself."""
    return Role("", system, lambda _: None, lambda text, _: text)


def agent_role(run: Run, agent: int | str, *, scenario: str | Scenario | None = None, system: str = "") -> Role:
    """The role of an agent at the end of a run: its name and its memory.

    Args:
        run: The run.
        agent: Number of the agent, from 0, or its name.
        scenario: Scenario of the run; by default where the run found it, with the settings of then.
        system: System prompt in place of the agent's own.

    Raises:
        SettingsError: the run has no such agent, or several of the name.
        UnknownPlugin: the scenario is not where the run found it.
    """
    rows = run.agents().set_index("agent")
    agent = find_agent(agent, dict(enumerate(rows["name"])), str(run.path))
    manifest, row, name = run.manifest, rows.loc[agent], str(rows.loc[agent]["name"])
    about = load_scenario_of_run(manifest, scenario)
    source = about.upbringing.get(str(row["label"]), ())
    n = min(manifest["settings"]["prior_memories"], len(source))
    upbringing = keyed_rng(manifest.get("birth_seed", manifest["seed"]), "upbringing", agent).sample(list(source), n)
    settings, prompts = manifest["settings"], about.prompts
    named, own = settings.get("memory", "nearest"), about.society.get("memory")
    kind = load_memory(
        own if callable(own) and getattr(own, "__name__", None) == named else named, settings.get("memory_settings", {})
    )
    society = SocietySettings(recall_distance=settings["recall_distance"])
    texts = TextIndex(load_embedder(manifest["embedder"]))
    memory = kind.make(Owner(name, prompts, society, texts, now=lambda: run.rounds))
    memory.remember([Item(UPBRINGING, "answer", p.answer, p.question) for p in upbringing])
    if kind.remembers == "answers":
        memory.remember([Item(UPBRINGING, "answer", answer, question) for question, answer in run.memories(agent)])
    else:
        n_stages, notes = len(manifest.get("stages", [""])), run.notes()
        for round_ in range(run.rounds):
            happened = items_of_round(
                run.interactions(round_), run.world_heard(round_), notes_of(notes, round_, kind.name), n_stages=n_stages,
                scale=run.scale,
            )  # fmt: skip
            memory.remember([item for of, item in happened if of == agent])
    states = {"state": run.state(agent), "world_state": run.state(), "node": run.personas()[agent]}

    def message(text: str, found: Recollection | None) -> str:
        recalled = "" if found is None else found.prompt
        return prompts.answer.format(recalled=recalled, heard="", question=text, **states)

    persona = persona_text(about.roles.get(str(row["label"]), ""), about.personas, run.personas()[agent])
    sentences_heard = sentences(states["state"])
    answering = prompts.answer_system.format(name=name, persona=persona, **states)
    whole = system or (
        f"{answering} {prompts.told.format(told=' '.join(sentences_heard))}" if sentences_heard else answering
    )
    return Role(name, whole, memory.recall, message)


class ChatSession:
    """A chat with a language model; each turn includes the earlier ones.

    Args:
        model: The language model.
        role: Its role.
        max_tokens: Maximum length of a reply.
        temperature: Sampling temperature; 0 is greedy decoding.
        seed: Seed of the replies.

    Attributes:
        recalled: What was recalled at the last turn, if anything: a remembered question, or the one asked, and the words.
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
        found = self._role.recall(text)
        self.recalled = None if found is None else (found.question or text, found.text)
        asked = Message("user", self._role.message(text, found))
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
